"""Serves the requests of nodes for log lines and for the records of their own containers."""

from collections.abc import Awaitable, Callable

from seaway_bus.bus import Bus, Command
from seaway_bus.transport import TransportError
from seaway_contracts.base import Empty
from seaway_contracts.catalogue import LOG_LINES
from seaway_contracts.containers import ContainerRecord
from seaway_contracts.errors import Code, SeawayError, bad_request, unavailable
from seaway_contracts.ids import is_container_id
from seaway_contracts.logs import PublishLines
from seaway_contracts.records import KnownContainers, ListKnown
from seaway_metadata.kinds.containers import ContainerView
from seaway_metadata.store.holders import RecordHolders


class NodeRequests:
    """Serves `log.publish` and `container.known`."""

    def __init__(
        self,
        bus: Bus,
        view: ContainerView,
        holders: RecordHolders[ContainerRecord],
        current: Callable[[], Awaitable[object]],
    ) -> None:
        """`current` waits, for a moment at most, until all events that have come are applied."""
        self._bus = bus
        self._view = view
        self._holders = holders
        self._current = current

    async def publish_lines(self, request: PublishLines, command: Command) -> Empty:
        """Publish log lines of a container that the node holds; answer once the server has them.

        Raises SeawayError: FORBIDDEN for another node's container.
        """
        if not is_container_id(request.container):
            raise bad_request("log lines need the whole id of their container")
        refusal = SeawayError(Code.FORBIDDEN, f"container {request.container} is another node's")
        try:
            await self._holders.check(command.node, request.container, "log lines", refusal)
            await self._bus.publish(
                LOG_LINES, request.lines, message_id=request.message_id, node=command.node, id=request.container
            )
            await self._bus.flush()
        except TransportError as error:
            raise unavailable(f"lines can't be published just now: {error}; send them again") from error
        return Empty()

    async def known(self, request: ListKnown, command: Command) -> KnownContainers:
        """The records of the node's containers, and the ids of those that it has removed."""
        await self._current()
        records = [self._view.index.get(identifier) for identifier in request.ids]
        return KnownContainers(
            containers=tuple(record for record in records if record is not None and record.node == command.node),
            removed=tuple(
                one for one in request.ids if self._view.destroyed(one) and self._view.holder(one) == command.node
            ),
        )
