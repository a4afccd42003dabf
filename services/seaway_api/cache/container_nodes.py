"""Where containers are, as far as this process knows. A container never changes its node."""

from collections import OrderedDict
from typing import Final

from seaway_bus.judging import Verdict, verdict

_MOST: Final = 1 << 16


class ContainerNodes:
    """Nodes by container id (or by the prefix that execs' ids have of it); of too many the oldest are forgotten."""

    def __init__(self) -> None:
        self._nodes: OrderedDict[str, str] = OrderedDict()

    def find(self, container: str) -> str | None:
        """The node of a container by its whole id."""
        node = self._nodes.get(container)
        if node is not None:
            self._nodes.move_to_end(container)
        return node

    def note(self, container: str, node: str) -> None:
        """The container is on that node."""
        self._nodes[container] = node
        if len(self._nodes) > _MOST:
            self._nodes.popitem(last=False)

    def forget(self, container: str) -> None:
        """There is no such container."""
        self._nodes.pop(container, None)

    def verdict(self, node: str, container: str) -> Verdict:
        """Whether that node holds that container."""
        return verdict(self._nodes.get(container), node)
