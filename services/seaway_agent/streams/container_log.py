"""One container's log: its files, who rotates them while it runs, who reads them, who sends them on."""

import asyncio
import contextlib
import os
from collections.abc import AsyncGenerator, Callable
from functools import cached_property
from typing import Final

from seaway_agent.plumbing import Plumbing
from seaway_agent.streams.log_cursor import LogCursor
from seaway_agent.streams.log_files import LogFiles
from seaway_agent.streams.log_place import LogPlace
from seaway_agent.streams.log_rotation import LogRotation
from seaway_agent.streams.log_shipper import LogShipper
from seaway_agent.streams.log_tail import tail_place
from seaway_contracts.commands import ReadLogs
from seaway_contracts.containers import ContainerSpec
from seaway_docker import log_options
from seaway_docker.log_options import LogPolicy, TagFacts
from seaway_docker.loglines import Reader

_REOPEN: Final = b"2 0 0\n"


class ContainerLog:
    """`spec` gives the container as it is named now, `running` says whether more output may come."""

    def __init__(self, node: Plumbing, spec: Callable[[], ContainerSpec], running: Callable[[], bool]) -> None:
        self._node = node
        self._spec = spec
        self._running = running
        self._rotation: asyncio.Task[None] | None = None
        self._shipping: asyncio.Task[None] | None = None

    @property
    def kept(self) -> bool:
        """Whether there is a log to read."""
        return self._spec().log.driver != "none"

    @cached_property
    def policy(self) -> LogPolicy:
        """How the log is kept."""
        config = self._spec().log
        return log_options.policy(config.driver, config.options)

    @cached_property
    def files(self) -> LogFiles:
        """The log on disk."""
        return LogFiles(self._node.layout.log(self._spec().id), self.policy)

    @property
    def details(self) -> bytes:
        """What `--details` puts before each line."""
        spec = self._spec()
        facts = TagFacts(spec.id, spec.name, spec.image.id, spec.image.ref)
        config, env = spec.log, spec.command.env
        return log_options.details(log_options.attributes(config.driver, config.options, spec.labels, env, facts))

    # --- a run

    def begin(self) -> None:
        """A run has begun, or was taken over: keep its log to the policy, and send it on where that is wanted."""
        if not self.kept:
            return
        self._ship()
        if self.policy.max_size and self._rotation is None:
            rotation = LogRotation(self.files, self._node.log_watch, self._reopen, self._node.packers)
            self._rotation = self._node.tasks.spawn("log-rotation", rotation.run())

    def end(self) -> None:
        """The run is over, perhaps since long. Who follows looks once more."""
        rotation, self._rotation = self._rotation, None
        if rotation is not None:
            rotation.cancel()
        if self.kept:
            self._ship()
            self._node.log_watch.stir(self._node.layout.log(self._spec().id))

    def part(self) -> None:
        """The files are about to be removed: who reads them reads them to their end. Raises OSError."""
        for reader in list(self.files.readers):
            reader.hold()

    def _ship(self) -> None:
        """Publish what has not been published, and what comes, where that is wanted."""
        bus, under_way = self._node.bus, self._shipping is not None and not self._shipping.done()
        if self._spec().log.driver != "nats" or bus is None or under_way:
            return
        place = LogPlace(self.files)
        number, offset = place.find()
        cursor = LogCursor(self.files, self._node.log_watch, number=number, offset=offset, running=self._running)
        shipper = LogShipper(bus, self._node.node, self._spec().id, cursor, place)
        self._shipping = self._node.tasks.spawn("log-shipping", shipper.run())

    def _reopen(self) -> None:
        """Tell conmon. Raises OSError where it is gone."""
        ctl = self._node.layout.bundle(self._spec().id) / "ctl"
        fd = os.open(ctl, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            os.write(fd, _REOPEN)
        finally:
            os.close(fd)

    # --- reading

    async def cursor(self, asked: ReadLogs) -> LogCursor:
        """A place in the log for this question. Raises OSError."""
        number, offset = self.files.first, 0
        if asked.tail >= 0:
            number, offset = await asyncio.to_thread(tail_place, self.files, asked.tail)
        running = self._running if asked.follow else None
        return LogCursor(self.files, self._node.log_watch, number=number, offset=offset, running=running)

    def mark(self) -> tuple[int, int]:
        """Where the log ends now."""
        return self.files.end()

    def written_since(self, begin: tuple[int, int], *, stdout: bool, stderr: bool, raw: bool) -> bytes:
        """What was written since `begin`, as logs send it: read at once, so meant for little. Raises OSError."""
        (number, offset), reader, found = begin, Reader(stdout=stdout, stderr=stderr, raw=raw), b""
        while number <= self.files.current:
            with contextlib.suppress(FileNotFoundError), os.fdopen(self.files.open(number), "rb") as file:
                file.seek(offset)
                found += reader.feed(file.read())
            number, offset = number + 1, 0
        return found

    async def history(self, end: tuple[int, int], *, raw: bool, stdout: bool, stderr: bool) -> AsyncGenerator[bytes]:
        """What had been written when `end` was marked, as logs send it. Raises OSError."""
        if not self.kept:
            return
        cursor = LogCursor(self.files, self._node.log_watch, number=self.files.first, running=None, end=end)
        reader = Reader(stdout=stdout, stderr=stderr, raw=raw)
        async with contextlib.aclosing(cursor.blocks()) as blocks:
            async for block in blocks:
                if not block:
                    reader.break_off()
                elif out := reader.feed(block):
                    yield out
