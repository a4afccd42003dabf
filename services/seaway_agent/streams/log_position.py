"""Positions in a container's log: where its last lines begin, and up to where it has been published.

The published position is a file beside the log, from which the next agent continues. It is written to the page cache,
which outlives the agent; after a power cut lines may be published twice.
"""

import contextlib
import logging
import os
from pathlib import Path
from typing import Final, NamedTuple

from seaway_agent.streams.log_files import LogFiles
from seaway_docker.logtail import TailScan

log = logging.getLogger(__name__)
_BLOCK: Final = 1 << 18
_STAMP: Final = 35
_MOST: Final = 128


class Position(NamedTuple):
    """A file's number, an offset in it, and how that file begins: with `max-file=1` the next agent counts from 1."""

    number: int
    offset: int
    stamp: bytes


class PublishedPosition:
    """Up to where one log has been published."""

    def __init__(self, files: LogFiles) -> None:
        self._files = files
        self._path = Path(f"{files.path}.published")
        self._stamp = (0, b"")

    def find(self) -> tuple[int, int]:
        """Number and offset from which to publish. Corrects `LogFiles.current` where numbers have begun anew.

        A log without a stored position, of an earlier release, is published from its present end on.
        """
        position = self._load()
        if position is None:
            end = self._files.end()
            with contextlib.suppress(OSError):
                self.save(*end)
            return end
        if position.number >= self._files.current:
            same = not position.stamp or self._stamp_of(self._files.current) == position.stamp
            self._files.current = position.number if same else position.number + 1
        if position.number >= self._files.first:
            return position.number, position.offset
        log.warning("some of %s was rotated away before it was published", self._files.path)
        return self._files.first, 0

    def save(self, number: int, offset: int) -> None:
        """Store the position before which all is published. Raises OSError."""
        if self._stamp[0] != number or not self._stamp[1]:
            self._stamp = (number, self._stamp_of(number))
        line = b"%20d %20d %-35b\n" % (number, offset, self._stamp[1])
        fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.pwrite(fd, line, 0)
        finally:
            os.close(fd)

    def _load(self) -> Position | None:
        try:
            number, offset, *stamp = self._path.read_bytes()[:_MOST].split()
            return Position(int(number), int(offset), b" ".join(stamp))
        except (OSError, ValueError):
            return None

    def _stamp_of(self, number: int) -> bytes:
        with contextlib.suppress(OSError):
            fd = self._files.open(number)
            try:
                return os.pread(fd, _STAMP, 0).strip()
            finally:
                os.close(fd)
        return b""


def tail_position(files: LogFiles, lines: int) -> tuple[int, int]:
    """Number of the file, and offset in it, at which the last `lines` lines of the log begin. Raises OSError.

    Lines of both streams count, as in Docker, also if only one stream is shown then. Reads only what it must.
    """
    numbers = [*files.rotated(), files.current]
    position = (numbers[-1], 0)
    begun: frozenset[int] = frozenset()
    while numbers:
        number = numbers.pop()
        try:
            fd = files.open(number)
        except FileNotFoundError:
            continue
        try:
            scan = _scan(fd, lines, begun)
        finally:
            os.close(fd)
        position, lines, begun = (number, scan.offset or 0), scan.missing, scan.begun
        if not lines:
            break
    return position


def _scan(fd: int, lines: int, begun: frozenset[int]) -> TailScan:
    position = os.fstat(fd).st_size
    scan = TailScan(lines, position, begun=begun)
    while scan.offset is None:
        start = max(0, position - _BLOCK)
        scan.feed_back(os.pread(fd, position - start, start))
        position = start
    return scan
