"""Stop all that runs on a node, as `docker stop` does: restart policies don't start it again."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Final

from seaway_bus.bus import Bus, Command
from seaway_bus.events import Event
from seaway_bus.feed import EventFeed
from seaway_contracts import catalogue as cat
from seaway_contracts.commands import ListInventory, StopContainer
from seaway_contracts.containers import DEFAULT_STOP_S, ContainerSpec, State
from seaway_contracts.errors import Code, SeawayError
from seaway_contracts.nodes import NodeEvent
from seaway_kit.tasks import Tasks

AT_ONCE: Final = 32
"""So many stops go on at the same time."""
_UP: Final = frozenset((State.RUNNING, State.PAUSED, State.RESTARTING))
_NOT_THERE: Final = (Code.NOT_MODIFIED, Code.NOT_FOUND)
_WEEK_S: Final = 7 * 86_400.0

Stopped = Callable[[ContainerSpec, str], None]
"""Called for each container when it has ended; with why not, where it could not be stopped."""


async def stop_all(bus: Bus, actor: str, node: str, stopped: Stopped) -> None:
    """Stop what runs on the node, and then what was started meanwhile, until nothing runs.

    Raises SeawayError where the node can't be asked. A stop that has begun is carried out also if this is cancelled.
    """
    tried: set[str] = set()
    while waiting := [spec for spec in await _running(bus, node) if spec.id not in tried]:
        tried.update(spec.id for spec in waiting)
        await _stop(bus, actor, node, in_order(waiting), stopped)


def in_order(specs: Sequence[ContainerSpec]) -> list[ContainerSpec]:
    """The longest stop time-out first: then all of them take little more time than the one that takes longest."""
    return sorted(specs, key=_patience_s, reverse=True)


def _patience_s(spec: ContainerSpec) -> float:
    """How long a container has for its end; a negative time-out is none."""
    own = spec.command.stop_timeout
    seconds = DEFAULT_STOP_S if own is None else own
    return _WEEK_S if seconds < 0 else seconds


async def _running(bus: Bus, node: str) -> list[ContainerSpec]:
    """Asked of the node itself: records may lag behind."""
    found, after = list[ContainerSpec](), ""
    while True:
        page = await bus.call(cat.INVENTORY, ListInventory(after=after), node=node)
        found += [item.spec for item in page.containers if item.status.state in _UP]
        if not (after := page.next):
            return found


async def _stop(bus: Bus, actor: str, node: str, specs: Sequence[ContainerSpec], stopped: Stopped) -> None:
    left, unheard = iter(specs), list[SeawayError]()

    async def stop_next() -> None:
        for spec in left:
            request, limit_s = StopContainer(id=spec.id), cat.STOP.timeout_s + _patience_s(spec)
            try:
                await bus.call(cat.STOP, request, node=node, command=Command.new(actor), timeout_s=limit_s)
            except SeawayError as error:
                if error.retryable:
                    unheard.append(error)
                    return
                stopped(spec, "" if error.code in _NOT_THERE else error.message)
            else:
                stopped(spec, "")

    async with asyncio.TaskGroup() as group:
        for _ in specs[:AT_ONCE]:
            group.create_task(stop_next())
    if unheard:
        raise unheard[0]


@contextlib.asynccontextmanager
async def noticing_its_end(bus: Bus, tasks: Tasks, node: str) -> AsyncIterator[None]:
    """Inside, calls to the node fail soon after it went down, also those that may take long. Raises TransportError."""

    def receive(event: Event) -> None:
        envelope = event.envelope
        if envelope.noun != cat.NODE_DOWN.noun or envelope.node != node:
            return
        if envelope.action == cat.NODE_DOWN.action:
            bus.down_nodes.gone(node, _reason(event))
        elif envelope.action == cat.NODE_REMOVE.action:
            bus.down_nodes.gone(node, "it was removed")
        elif envelope.action == cat.NODE_UP.action:
            bus.down_nodes.back(node)

    subjects = tuple(channel.subject(node, node) for channel in (cat.NODE_DOWN, cat.NODE_REMOVE, cat.NODE_UP))
    feed = EventFeed(bus.transport, receive, tasks, subjects, in_order=False)
    await feed.start()
    try:
        yield
    finally:
        await feed.close()


def _reason(event: Event) -> str:
    with contextlib.suppress(SeawayError):
        if isinstance(body := event.body(), NodeEvent):
            return body.reason
    return ""
