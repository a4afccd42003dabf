"""How far a log has been published, kept beside it, so that the next agent goes on from there.

It is written through to the page cache: that outlives the agent. After a power cut lines may come twice.
"""

import contextlib
import logging
import os
from pathlib import Path
from typing import Final, NamedTuple

from seaway_agent.streams.log_files import LogFiles

log = logging.getLogger(__name__)
_STAMP: Final = 35
_MOST: Final = 128


class Place(NamedTuple):
    """A file's number, an offset in it, and how that file begins: with `max-file=1` an agent's numbers begin anew."""

    number: int
    offset: int
    stamp: bytes


class LogPlace:
    """Belongs to one log."""

    def __init__(self, files: LogFiles) -> None:
        self._files = files
        self._path = Path(f"{files.path}.published")
        self._stamp = (0, b"")

    def find(self) -> tuple[int, int]:
        """Number and offset from which to publish. `LogFiles.current` is put right where it had begun anew.

        What was written before anybody noted places, under an earlier release, isn't published again.
        """
        place = self._load()
        if place is None:
            end = self._files.end()
            with contextlib.suppress(OSError):
                self.save(*end)
            return end
        if place.number >= self._files.current:
            same = not place.stamp or self._stamp_of(self._files.current) == place.stamp
            self._files.current = place.number if same else place.number + 1
        if place.number >= self._files.first:
            return place.number, place.offset
        log.warning("some of %s was rotated away before it was published", self._files.path)
        return self._files.first, 0

    def save(self, number: int, offset: int) -> None:
        """All before this is published. Raises OSError where it can't be noted."""
        if self._stamp[0] != number or not self._stamp[1]:
            self._stamp = (number, self._stamp_of(number))
        line = b"%20d %20d %-35b\n" % (number, offset, self._stamp[1])
        fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.pwrite(fd, line, 0)
        finally:
            os.close(fd)

    def _load(self) -> Place | None:
        try:
            number, offset, *stamp = self._path.read_bytes()[:_MOST].split()
            return Place(int(number), int(offset), b" ".join(stamp))
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
