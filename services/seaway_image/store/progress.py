"""Progress in Docker's words, and one piece of work that several clients follow at once."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from seaway_docker.streams import aux_line, progress_line, status_line
from seaway_kit.tasks import Tasks

_BACKLOG: Final = 4096


@dataclass(frozen=True)
class Progress:
    """One line: a status, of one layer (`layer` is its short id) or of the whole; `current` and `total` in bytes.

    `aux` stands for itself: a result that programs read.
    """

    status: str
    layer: str = ""
    current: int = 0
    total: int = 0
    title: str = ""
    aux: Mapping[str, Any] | None = None

    def line(self) -> bytes:
        """The line as Docker's JSON."""
        if self.aux is not None:
            return aux_line(self.aux)
        if self.layer:
            return progress_line(self.status, self.layer, self.current, self.total)
        return status_line(self.status, id=self.title or None)


Emit = Callable[[Progress], None]
Work = Callable[[Emit], Awaitable[None]]


class _Follower:
    """One client's queue. It never blocks the work: measures are dropped once it is far behind."""

    def __init__(self, backlog: list[Progress]) -> None:
        self._queue = deque(backlog)
        self._ready = asyncio.Event()
        self._ready.set()
        self._ended = False

    def put(self, progress: Progress) -> None:
        if len(self._queue) < _BACKLOG or not progress.current:
            self._queue.append(progress)
            self._ready.set()

    def end(self) -> None:
        self._ended = True
        self._ready.set()

    async def take(self) -> Progress | None:
        """The next line, or None at the end."""
        while not self._queue:
            if self._ended:
                return None
            self._ready.clear()
            await self._ready.wait()
        return self._queue.popleft()


class SharedWork:
    """Work that runs while anybody follows it; the last follower to leave cancels it."""

    def __init__(self, name: str, work: Work, tasks: Tasks, on_end: Callable[[], None]) -> None:
        self._log: dict[str | int, Progress] = {}
        self._followers: set[_Follower] = set()
        self._failure: Exception | None = None
        self._on_end = on_end
        self._task = tasks.spawn(name, self._run(work))

    async def _run(self, work: Work) -> None:
        try:
            await work(self._emit)
        except Exception as error:
            self._failure = error  # every follower raises it
        finally:
            self._on_end()
            for follower in self._followers:
                follower.end()

    def _emit(self, progress: Progress) -> None:
        self._log[progress.layer or len(self._log)] = progress
        for follower in self._followers:
            follower.put(progress)

    async def follow(self) -> AsyncGenerator[Progress, None]:
        """All general lines and each layer's latest so far, then what comes; raises what the work raised."""
        follower = _Follower(list(self._log.values()))
        self._followers.add(follower)
        try:
            if self._task.done():
                follower.end()
            while (progress := await follower.take()) is not None:
                yield progress
        finally:
            self._followers.discard(follower)
            if not self._followers and not self._task.done():
                self._on_end()
                self._task.cancel()
        if self._failure is not None:
            raise self._failure
        if self._task.cancelled():
            raise asyncio.CancelledError
