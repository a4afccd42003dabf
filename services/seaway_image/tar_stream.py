"""A tar archive read from a stream of bytes, entry by entry, with nothing unpacked anywhere (POSIX.1-2001, GNU)."""

import tarfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final, Literal

from seaway_contracts.errors import bad_request

BLOCK: Final = 512
_MAX_ENTRIES: Final = 200_000
_MAX_EXTENSION: Final = 1 << 20
_MAX_NAME: Final = 4096
_PIECE: Final = 1 << 20

Kind = Literal["file", "directory", "symlink", "hardlink", "other"]
_KINDS: Final[dict[bytes, Kind]] = {
    tarfile.REGTYPE: "file",
    tarfile.AREGTYPE: "file",
    tarfile.CONTTYPE: "file",
    tarfile.DIRTYPE: "directory",
    tarfile.SYMTYPE: "symlink",
    tarfile.LNKTYPE: "hardlink",
}


@dataclass(frozen=True)
class TarEntry:
    """One entry; `size` in bytes, 0 for anything but a file."""

    name: str
    kind: Kind
    size: int = 0
    link: str = ""


class TarReader:
    """Entries in order; the content of an entry is to be read before the next one, or is skipped."""

    def __init__(self, source: AsyncIterator[bytes]) -> None:
        self._source = source
        self._buffer = b""
        self._content = 0
        self._padding = 0

    async def entries(self) -> AsyncIterator[TarEntry]:
        """All entries; raises SeawayError(BAD_REQUEST) for what is no tar, is cut off or beyond the bounds."""
        for _ in range(_MAX_ENTRIES):
            entry = await self._next()
            if entry is None:
                return
            yield entry
        raise bad_request(f"archive has more than {_MAX_ENTRIES} entries")

    async def content(self) -> AsyncIterator[bytes]:
        """The bytes of the entry that came last."""
        while self._content > 0:
            piece = await self._some(min(self._content, _PIECE))
            self._content -= len(piece)
            yield piece
        await self._exactly(self._padding)
        self._padding = 0

    async def _next(self) -> TarEntry | None:
        overrides: dict[str, str] = {}
        while True:
            async for _ in self.content():
                pass
            header = await self._header()
            if header is None:
                return None
            if header.type in (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK):
                overrides |= _extension(header.type, await self._extension_data(header.size))
                continue
            return self._begin(header, overrides)

    def _begin(self, header: tarfile.TarInfo, overrides: dict[str, str]) -> TarEntry:
        name, link = overrides.get("path", header.name), overrides.get("linkpath", header.linkname)
        size = _number(overrides["size"]) if "size" in overrides else header.size
        if len(name) > _MAX_NAME or len(link) > _MAX_NAME or "\0" in name + link:
            raise bad_request("archive: an entry's name is too long or contains a NUL")
        if header.type == tarfile.GNUTYPE_SPARSE or any(key.startswith("GNU.sparse") for key in overrides):
            raise bad_request(f"archive: {name[:100]!r} is stored as a sparse file: make the archive without --sparse")
        if size < 0:
            raise bad_request(f"archive: {name[:100]!r} has a negative size")
        kind = _KINDS.get(header.type, "other")
        self._content = 0 if kind in ("directory", "symlink", "hardlink") else size
        self._padding = -self._content % BLOCK
        return TarEntry(name, kind, self._content if kind == "file" else 0, link)

    async def _header(self) -> tarfile.TarInfo | None:
        block = await self._exactly(BLOCK)
        if not block.strip(b"\0"):
            return None
        try:
            return tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
        except (tarfile.HeaderError, ValueError) as error:
            raise bad_request(f"archive is no tar: {error}") from None

    async def _extension_data(self, size: int) -> bytes:
        if not 0 <= size <= _MAX_EXTENSION:
            raise bad_request(f"archive: an extended header has {size} bytes, more than the {_MAX_EXTENSION} allowed")
        data = await self._exactly(size)
        await self._exactly(-size % BLOCK)
        return data

    async def _some(self, most: int) -> bytes:
        while not self._buffer:
            try:
                self._buffer = await anext(self._source)
            except StopAsyncIteration:
                raise bad_request("archive is cut off") from None
        piece, self._buffer = self._buffer[:most], self._buffer[most:]
        return piece

    async def _exactly(self, size: int) -> bytes:
        data = bytearray()
        while len(data) < size:
            data += await self._some(size - len(data))
        return bytes(data)


def _extension(kind: bytes, data: bytes) -> dict[str, str]:
    if kind == tarfile.XGLTYPE:
        return {}
    if kind != tarfile.XHDTYPE:
        text = data.split(b"\0", 1)[0].decode("utf-8", "surrogateescape")
        return {"path" if kind == tarfile.GNUTYPE_LONGNAME else "linkpath": text}
    return extension_records(data)


def extension_records(data: bytes) -> dict[str, str]:
    """The records of a pax extended header (POSIX.1-2001); raises SeawayError(BAD_REQUEST)."""
    try:
        return dict(_records(data))
    except ValueError:
        raise bad_request("archive: a damaged extended header") from None


def _records(data: bytes) -> list[tuple[str, str]]:
    found, start = [], 0
    while start < len(data) and data[start]:
        length = int(data[start : data.index(b" ", start, start + 20)])
        if length < 5 or start + length > len(data):
            raise ValueError(length)
        record = data[data.index(b" ", start) + 1 : start + length - 1]
        key, _, value = record.partition(b"=")
        found.append((key.decode("utf-8", "replace"), value.decode("utf-8", "surrogateescape")))
        start += length
    return found


def _number(text: str) -> int:
    if not text.isdigit() or len(text) > 19:
        raise bad_request(f"archive: {text[:40]!r} is no size")
    return int(text)


def check_first_header(block: bytes) -> None:
    """Raise SeawayError(BAD_REQUEST) unless a tar may begin with this block."""
    if len(block) == BLOCK and not block.strip(b"\0"):
        return
    try:
        tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except (tarfile.HeaderError, ValueError):
        raise bad_request("the archive is no tar, or a compression that isn't known") from None


def encode_header(name: str, size: int, *, directory: bool = False) -> bytes:
    """The header of an entry, readable by all, dated 1970."""
    info = tarfile.TarInfo(name)
    info.size = size
    info.mode = 0o755 if directory else 0o644
    info.type = tarfile.DIRTYPE if directory else tarfile.REGTYPE
    try:
        return info.tobuf(tarfile.PAX_FORMAT)
    except ValueError as error:
        raise bad_request(f"archive: {name}: {error}") from None
