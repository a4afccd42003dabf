"""Reads tar archives from a stream. Pure: `TarParser` is fed with bytes, the two readers only call their source."""

from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from enum import Enum
from typing import Final, Literal

from seaway_archive.assembly import Assembler, Member, TarLimits
from seaway_archive.entries import Extent, TarEntry
from seaway_archive.errors import ArchiveTruncated
from seaway_archive.headers import BLOCK, Steps

Read = Callable[[int], bytes]
"""`read(n)` gives 1 to n bytes, or b"" at the end."""

Piece = tuple[int, memoryview]
"""Data of a file: the offset in the file, and the bytes."""

Pieces = Iterable[Piece]

CHUNK: Final = 256 << 10


class Starved(Enum):
    """Instead of an answer: the parser needs more bytes first."""

    STARVED = "starved"


class TarParser:
    """Entries and their data, from bytes in pieces of any size. Raises `ArchiveRejected`, `ArchiveTooLarge`.

    `end_mark` rejects an archive without one, which may have been cut off between two entries.
    """

    def __init__(self, limits: TarLimits, *, end_mark: bool = False) -> None:
        self._assembler = Assembler(limits, end_mark=end_mark)
        self._steps: Steps[Member | None] | None = None
        self._wanted = 0
        self._buffer = b""
        self._position = 0
        self._ended = False
        self._unread = 0
        self._extents: Iterator[Extent] = iter(())
        self._offset = self._extent_end = 0

    def feed(self, data: bytes) -> None:
        """Take the next bytes of the archive; b"" says that there are none."""
        self._ended = self._ended or not data
        self._buffer = self._buffer[self._position :] + data if self._position < len(self._buffer) else data
        self._position = 0

    def next_entry(self) -> TarEntry | Literal[Starved.STARVED] | None:
        """The next entry, None at the end. What was not read of the entry before is skipped."""
        if not self._skip():
            return Starved.STARVED
        if self._steps is None:
            self._steps = self._assembler.member()
            self._wanted = next(self._steps)
        while (data := self._take(self._wanted)) is not None:
            try:
                self._wanted = self._steps.send(data)
            except StopIteration as done:
                self._steps = None
                return self._begin(done.value)
        return Starved.STARVED

    def next_piece(self) -> Piece | Literal[Starved.STARVED] | None:
        """The next part of the current entry's data, None after the last."""
        while self._offset == self._extent_end:
            extent = next(self._extents, None)
            if extent is None:
                return None
            self._offset, length = extent
            self._extent_end = self._offset + length
        view = self._view(self._extent_end - self._offset)
        if not view:
            return Starved.STARVED
        offset = self._offset
        self._offset += len(view)
        self._unread -= len(view)
        return offset, view

    def _begin(self, member: Member | None) -> TarEntry | None:
        if member is None:
            return None
        self._unread = member.stored + -member.stored % BLOCK
        self._extents = iter(member.extents)
        self._offset = self._extent_end = 0
        return member.entry

    def _skip(self) -> bool:
        """Pass over the rest of an entry's data and its padding; whether that is done."""
        while self._unread:
            view = self._view(self._unread)
            if not view:
                return False
            self._unread -= len(view)
        return True

    def _take(self, size: int) -> bytes | None:
        """The next `size` bytes, fewer only at the end of the archive; None if more must be fed first."""
        start, end = self._position, self._position + size
        if end > len(self._buffer) and not self._ended:
            return None
        self._position = min(end, len(self._buffer))
        return self._buffer[start:end]

    def _view(self, most: int) -> memoryview:
        """At most `most` bytes without a copy; none if more must be fed first."""
        start = self._position
        if start == len(self._buffer) and self._ended:
            raise ArchiveTruncated("the archive is truncated: it ends within an entry")
        self._position = min(start + most, len(self._buffer))
        return memoryview(self._buffer)[start : self._position]


class TarReader:
    """Iterates over the entries; between two of them `pieces()` gives the data of the last one."""

    def __init__(self, read: Read, limits: TarLimits) -> None:
        self._read = read
        self._parser = TarParser(limits)

    def __iter__(self) -> Iterator[TarEntry]:
        """Entries in archive order. Raises `ArchiveRejected`, `ArchiveTooLarge`, and whatever `read` raises."""
        while (entry := self._parser.next_entry()) is not None:
            if entry is Starved.STARVED:
                self._parser.feed(self._read(CHUNK))
            else:
                yield entry

    def pieces(self) -> Iterator[Piece]:
        """The data of the current file, in order."""
        while (piece := self._parser.next_piece()) is not None:
            if piece is Starved.STARVED:
                self._parser.feed(self._read(CHUNK))
            else:
                yield piece

    def drain(self) -> None:
        """Read what follows the end mark, so that digests cover it; archives are often padded."""
        while self._read(CHUNK):
            pass


class AsyncTarReader:
    """Like `TarReader`, from an asynchronous source; an archive without an end mark is rejected."""

    def __init__(self, source: AsyncIterator[bytes], limits: TarLimits) -> None:
        self._source = source
        self._parser = TarParser(limits, end_mark=True)

    async def entries(self) -> AsyncIterator[TarEntry]:
        """Entries in archive order. Raises `ArchiveRejected`, `ArchiveTooLarge`, and whatever the source raises."""
        while (entry := self._parser.next_entry()) is not None:
            if entry is Starved.STARVED:
                await self._feed()
            else:
                yield entry

    async def pieces(self) -> AsyncIterator[Piece]:
        """The data of the current file, in order."""
        while (piece := self._parser.next_piece()) is not None:
            if piece is Starved.STARVED:
                await self._feed()
            else:
                yield piece

    async def _feed(self) -> None:
        self._parser.feed(await next_bytes(self._source))


async def next_bytes(source: AsyncIterator[bytes]) -> bytes:
    """The next bytes of `source`, b"" only at its end."""
    async for data in source:
        if data:
            return data
    return b""
