"""Samples from nodes, shared by all clients that want them: one byte stream per node, while somebody looks.

A listener gets the newest frame of its container; a slow one misses some. With the last listener the stream ends, and
with it the node's work.
"""

import asyncio
import logging
from collections import defaultdict
from typing import Final

from pydantic import ValidationError

from seaway_api.translate.stats import Shown
from seaway_bus.bus import Bus
from seaway_contracts.catalogue import STATS
from seaway_contracts.errors import SeawayError
from seaway_contracts.stats import SampleBatch, WatchedContainers, WatchStats
from seaway_kit.tasks import Tasks

log = logging.getLogger(__name__)
_SILENCE_S: Final = 3.0


class Frame:
    """A container's sample and the one before it. Its line is made once, for all who want it."""

    __slots__ = ("_line", "before", "shown")

    def __init__(self, shown: Shown, before: Shown | None) -> None:
        self.shown = shown
        self.before = before if before is not None and before.runs and shown.runs else None
        self._line = b""

    @property
    def line(self) -> bytes:
        """As the API sends it."""
        if not self._line:
            self._line = self.shown.line(self.before)
        return self._line


class Listener:
    """Who wants one container's frames."""

    def __init__(self, container: str) -> None:
        self.container = container
        self._frame: Frame | None = None
        self._end: SeawayError | None = None
        self._over = False
        self._wake = asyncio.Event()

    def offer(self, frame: Frame) -> None:
        """The newest one."""
        self._frame = frame
        self._wake.set()

    def finish(self, error: SeawayError | None) -> None:
        """No more come: the container is gone (None), or its node."""
        self._over, self._end = True, error
        self._wake.set()

    async def next(self) -> Frame | None:
        """The next frame; None when the container is gone. Raises SeawayError when its node is."""
        while True:
            if self._frame is not None:
                frame, self._frame = self._frame, None
                return frame
            if self._end is not None:
                raise self._end
            if self._over:
                return None
            self._wake.clear()
            await self._wake.wait()


class StatsFeeds:
    """The feeds of all nodes."""

    def __init__(self, bus: Bus, tasks: Tasks) -> None:
        self._bus = bus
        self._tasks = tasks
        self._feeds: dict[str, _NodeFeed] = {}

    def __len__(self) -> int:
        return len(self._feeds)

    async def join(self, container: str, node: str) -> Listener:
        """Listen to a container; give it back with `leave`. Raises SeawayError where the node can't be asked."""
        feed = self._feeds.get(node)
        if feed is None or feed.ended:
            feed = self._feeds[node] = _NodeFeed(self._bus, self._tasks, node)
        listener = Listener(container)
        try:
            await feed.add(listener)
        except BaseException:
            await self.leave(listener, node)
            raise
        return listener

    async def leave(self, listener: Listener, node: str) -> None:
        """This listener has gone."""
        feed = self._feeds.get(node)
        if feed is not None and await feed.remove(listener) and self._feeds.get(node) is feed:
            del self._feeds[node]


class _NodeFeed:
    def __init__(self, bus: Bus, tasks: Tasks, node: str) -> None:
        self.ended = False
        self._bus = bus
        self._node = node
        self._stream = bus.new_stream(tasks, node)
        self._listeners: defaultdict[str, set[Listener]] = defaultdict(set)
        self._last: dict[str, Shown] = {}
        self._opening: asyncio.Task[None] = tasks.spawn(f"stats-open-{node}", self._open())
        self._tasks = tasks

    async def add(self, listener: Listener) -> None:
        """A further listener. One whose container is being sampled already has the newest sample at once."""
        known = self._listeners[listener.container]
        first = not known
        known.add(listener)
        await asyncio.shield(self._opening)
        if first:
            await self._want(WatchedContainers(add=(listener.container,)))
        elif (last := self._last.get(listener.container)) is not None:
            listener.offer(Frame(last, None))

    async def remove(self, listener: Listener) -> bool:
        """True where it was the last one: the feed has ended then."""
        known = self._listeners.get(listener.container)
        if known is None or listener not in known:
            return self.ended
        known.discard(listener)
        if known:
            return False
        del self._listeners[listener.container]
        self._last.pop(listener.container, None)
        if not self._listeners:
            await self._close()
            return True
        await self._unwatch(listener.container)
        return False

    async def _unwatch(self, container: str) -> None:
        try:
            await self._want(WatchedContainers(drop=(container,)))
        except SeawayError as error:
            log.debug("node %s can't be told to stop sampling: %s", self._node, error)

    async def _want(self, change: WatchedContainers) -> None:
        await self._stream.write(change.model_dump_json(exclude_defaults=True).encode() + b"\n")

    async def _open(self) -> None:
        await self._connect()
        self._tasks.spawn(f"stats-{self._node}", self._run())

    async def _connect(self) -> None:
        await self._stream.open()
        await self._bus.call(STATS, WatchStats(stream=self._stream.id), node=self._node)

    async def _close(self) -> None:
        self.ended = True
        await self._stream.close()

    async def _run(self) -> None:
        """Read to the end; begin anew where the node's agent has been replaced meanwhile."""
        try:
            while not self.ended:
                await self._read()
                await self._stream.close()
                if not self.ended:
                    self._stream = self._bus.new_stream(self._tasks, self._node)
                    await self._connect()
                    await self._want(WatchedContainers(add=tuple(self._listeners)))
        except SeawayError as error:
            log.info("node %s sends no more samples: %s", self._node, error)
            self._finish(error)
        finally:
            await self._stream.close()

    def _finish(self, error: SeawayError) -> None:
        self.ended = True
        for listeners in self._listeners.values():
            for listener in listeners:
                listener.finish(error)

    async def _read(self) -> None:
        """Until the stream ends, breaks, or says nothing for longer than a living node would."""
        parts: list[bytes] = []
        try:
            while data := await self._next():
                *lines, rest = data.split(b"\n")
                for line in lines:
                    self._batch(b"".join((*parts, line)))
                    parts.clear()
                parts.append(rest)
        except (SeawayError, TimeoutError) as error:
            log.debug("the samples of node %s broke off: %s", self._node, error)

    async def _next(self) -> bytes:
        async with asyncio.timeout(_SILENCE_S):
            return await self._stream.read()

    def _batch(self, line: bytes) -> None:
        try:
            batch = SampleBatch.model_validate_json(line)
        except ValidationError as error:
            log.warning("node %s sent samples that can't be read: %s", self._node, error)
            return
        for sample in batch.samples:
            listeners = self._listeners.get(sample.id)
            if listeners:
                shown = Shown(sample, batch)
                frame = Frame(shown, self._last.get(sample.id))
                self._last[sample.id] = shown
                for listener in listeners:
                    listener.offer(frame)
        for container in batch.gone:
            for listener in self._listeners.get(container, ()):
                listener.finish(None)
