"""The resolver in memory, for tests: keeps the port's contract. Needs no root and no kernel."""

from collections.abc import Callable
from dataclasses import dataclass, field

from seaway_agent.dns.port import ContainerNames, ResolverError
from seaway_agent.dns.resolver import wire
from seaway_agent.dns.resolver.zone import View, Zone


@dataclass
class FakeProcess:
    """What survives an agent: the names, what each container finds, and the pids that have sandboxes."""

    zone: Zone = field(default_factory=Zone)
    views: dict[str, View] = field(default_factory=dict)
    pids: dict[str, int] = field(default_factory=dict)

    def drop(self, container: str) -> None:
        """Forget a container."""
        self.zone.remove(container)
        self.views.pop(container, None)
        self.pids.pop(container, None)

    def find(self, container: str, name: str, kind: int = wire.A) -> list[bytes] | None:
        """The data of the records that a container finds; None: the question is not answered from our names."""
        view, packed = self.views.get(container), wire.pack_name(name)
        if view is None or packed is None:
            return None
        found = view.find(packed.lower(), kind)
        return None if found is None else [wire.data_of(record) for record in found]


class FakeResolver:
    """See the port. `alive`: whether a process runs. `failures`: method → the error that it raises, once."""

    def __init__(self, process: FakeProcess | None = None, alive: Callable[[int], bool] = lambda _: True) -> None:
        self.process = process if process is not None else FakeProcess()
        self.attached: dict[str, ContainerNames] = {}
        self.failures: dict[str, Exception] = {}
        self.calls: list[str] = []
        self._alive = alive

    async def attach(self, container: str, sandbox: str, names: ContainerNames) -> None:
        """See the port."""
        self._called("attach")
        self.process.drop(container)
        self._put(container, names)

    def hand_over(self, container: str, pid: int) -> None:
        """See the port."""
        if container in self.attached:
            self.process.pids[container] = pid

    async def adopt(self, container: str, pid: int, names: ContainerNames) -> None:
        """See the port."""
        self._called("adopt")
        if not self._alive(pid):
            raise ResolverError(f"process {pid} has ended, and its network sandbox with it")
        self._put(container, names)
        self.process.pids[container] = pid

    async def update(self, container: str, names: ContainerNames) -> None:
        """See the port."""
        self._called("update")
        if container in self.attached:
            self._put(container, names)

    async def detach(self, container: str) -> None:
        """See the port."""
        self._called("detach")
        self.attached.pop(container, None)
        self.process.drop(container)

    async def sweep(self) -> None:
        """See the port."""
        self._called("sweep")
        for container in set(self.process.views) - set(self.attached):
            self.process.drop(container)

    def close(self) -> None:
        """The agent ends: what no process has is dropped."""
        for container in set(self.process.views) - set(self.process.pids):
            self.process.drop(container)

    def _put(self, container: str, names: ContainerNames) -> None:
        self.attached[container] = names
        self.process.views[container] = self.process.zone.put(container, names.endpoints)

    def _called(self, method: str) -> None:
        self.calls.append(method)
        if (error := self.failures.pop(method, None)) is not None:
            raise error
