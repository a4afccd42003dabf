"""One container's log: its files, their rotation while it runs, cursors for readers, publishing on the bus."""

import asyncio
import contextlib
import os
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import Executor
from functools import cached_property
from pathlib import Path
from typing import Final

from seaway_agent.streams.log_cursor import LogCursor
from seaway_agent.streams.log_files import LogFiles
from seaway_agent.streams.log_position import PublishedPosition, tail_position
from seaway_agent.streams.log_rotation import LogRotation
from seaway_agent.streams.log_shipper import LogShipper
from seaway_agent.streams.log_watch import LogWatch
from seaway_bus.bus import Bus
from seaway_contracts.commands import ReadLogs
from seaway_contracts.containers import ContainerSpec
from seaway_docker import log_options
from seaway_docker.log_options import LogPolicy, TagFacts
from seaway_docker.loglines import Reader
from seaway_kit.tasks import Tasks

_REOPEN: Final = b"2 0 0\n"


class ContainerLog:
    """The log of one container. `spec` returns its present spec, `running` whether more output may come.

    `path` is the file that conmon writes, `ctl` its control pipe; threads of `compressors` compress rotated files. With
    the log driver `nats`, lines are published on `bus` in the name of `node`.
    """

    def __init__(
        self,
        spec: Callable[[], ContainerSpec],
        running: Callable[[], bool],
        *,
        path: Path,
        ctl: Path,
        watch: LogWatch,
        compressors: Executor,
        tasks: Tasks,
        node: str,
        bus: Bus | None,
    ) -> None:
        self._spec = spec
        self._running = running
        self._path = path
        self._ctl = ctl
        self._watch = watch
        self._compressors = compressors
        self._tasks = tasks
        self._node = node
        self._bus = bus
        self._rotation: asyncio.Task[None] | None = None
        self._shipping: asyncio.Task[None] | None = None

    @property
    def kept(self) -> bool:
        """Whether the driver keeps a log that can be read."""
        return self._spec().log.driver != "none"

    @cached_property
    def policy(self) -> LogPolicy:
        """When to rotate, and how many files to keep."""
        config = self._spec().log
        return log_options.policy(config.driver, config.options)

    @cached_property
    def files(self) -> LogFiles:
        """The log on disk."""
        return LogFiles(self._path, self.policy)

    @property
    def details(self) -> bytes:
        """The attributes that `--details` puts before each line."""
        spec = self._spec()
        facts = TagFacts(spec.id, spec.name, spec.image.id, spec.image.ref)
        config, env = spec.log, spec.command.env
        return log_options.details(log_options.attributes(config.driver, config.options, spec.labels, env, facts))

    # --- a run

    def begin(self) -> None:
        """Rotate the log by its policy, and publish it with the driver `nats`: a run has begun or was adopted."""
        if not self.kept:
            return
        self._ship()
        if self.policy.max_size and self._rotation is None:
            rotation = LogRotation(self.files, self._watch, self._reopen, self._compressors)
            self._rotation = self._tasks.spawn("log-rotation", rotation.run())

    def end(self) -> None:
        """Stop the rotation and have followers read to the end: the run has ended."""
        rotation, self._rotation = self._rotation, None
        if rotation is not None:
            rotation.cancel()
        if self.kept:
            self._ship()
            self._watch.notify(self._path)

    def keep_open_for_readers(self) -> None:
        """Open the files for their readers before they are removed. Raises OSError."""
        for reader in list(self.files.readers):
            reader.keep_open()

    def _ship(self) -> None:
        """With the driver `nats`: publish the lines that are not published yet, and all that follow."""
        under_way = self._shipping is not None and not self._shipping.done()
        if self._spec().log.driver != "nats" or self._bus is None or under_way:
            return
        published = PublishedPosition(self.files)
        number, offset = published.find()
        cursor = LogCursor(self.files, self._watch, number=number, offset=offset, running=self._running)
        shipper = LogShipper(self._bus, self._node, self._spec().id, cursor, published)
        self._shipping = self._tasks.spawn("log-shipping", shipper.run())

    def _reopen(self) -> None:
        """Have conmon reopen its log. Raises OSError where conmon has ended."""
        fd = os.open(self._ctl, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            os.write(fd, _REOPEN)
        finally:
            os.close(fd)

    # --- reading

    async def cursor(self, asked: ReadLogs) -> LogCursor:
        """A cursor at the first line that was asked for. Raises OSError."""
        number, offset = self.files.first, 0
        if asked.tail >= 0:
            number, offset = await asyncio.to_thread(tail_position, self.files, asked.tail)
        running = self._running if asked.follow else None
        return LogCursor(self.files, self._watch, number=number, offset=offset, running=running)

    def mark(self) -> tuple[int, int]:
        """The present end of the log: file number and offset."""
        return self.files.end()

    def written_since(self, begin: tuple[int, int], *, stdout: bool, stderr: bool, raw: bool) -> bytes:
        """The output since the mark `begin`, in the frames of `docker logs`. Raises OSError.

        Reads all of it into memory: use it for little output.
        """
        (number, offset), reader, found = begin, Reader(stdout=stdout, stderr=stderr, raw=raw), b""
        while number <= self.files.current:
            with contextlib.suppress(FileNotFoundError), os.fdopen(self.files.open(number), "rb") as file:
                file.seek(offset)
                found += reader.feed(file.read())
            number, offset = number + 1, 0
        return found

    async def history(self, end: tuple[int, int], *, raw: bool, stdout: bool, stderr: bool) -> AsyncGenerator[bytes]:
        """The output before the mark `end`, in the frames of `docker logs`. Raises OSError."""
        if not self.kept:
            return
        cursor = LogCursor(self.files, self._watch, number=self.files.first, running=None, end=end)
        reader = Reader(stdout=stdout, stderr=stderr, raw=raw)
        async with contextlib.aclosing(cursor.blocks()) as blocks:
            async for block in blocks:
                if not block:
                    reader.break_off()
                elif out := reader.feed(block):
                    yield out
