"""How much there is in a tar: the sizes of its entries added up, which is what Docker calls a layer's size. Pure."""

import tarfile
from typing import Final

from seaway_contracts.errors import SeawayError
from seaway_image.tar_stream import BLOCK, extension_records

_MAX_EXTENSION: Final = 1 << 20
_EXTENSIONS: Final = (tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK)
_BODILESS: Final = (
    tarfile.LNKTYPE,
    tarfile.SYMTYPE,
    tarfile.CHRTYPE,
    tarfile.BLKTYPE,
    tarfile.DIRTYPE,
    tarfile.FIFOTYPE,
)


class ContentSize:
    """Fed with a tar in pieces of any size. What is no tar, or one of unknown kind, counts as a whole."""

    def __init__(self) -> None:
        self._fed = 0
        self._content = 0
        self._pending = b""
        self._skip = 0
        self._need = BLOCK
        self._extended = False
        self._override: int | None = None
        self._link: int | None = None
        self._lost = False

    @property
    def size(self) -> int:
        """Bytes so far."""
        return self._fed if self._lost else self._content

    def feed(self, data: bytes) -> None:
        """The next piece."""
        self._fed += len(data)
        if self._lost:
            return
        try:
            self._pending = self._walk(self._pending + data if self._pending else data)
        except (tarfile.HeaderError, ValueError, SeawayError):
            self._lost, self._pending = True, b""

    def _walk(self, data: bytes) -> bytes:
        """Go through `data`; what is left for the next piece."""
        at = 0
        while True:
            step = min(self._skip, len(data) - at)
            at += step
            self._skip -= step
            if self._skip or len(data) - at < self._need:
                return data[at:]
            block = data[at : at + self._need]
            at += self._need
            if self._extended:
                self._extension(block)
            elif block.strip(b"\0"):
                self._entry(tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape"))

    def _extension(self, data: bytes) -> None:
        records = extension_records(data)
        size, link = records.get("size"), records.get("linkpath")
        self._override = None if size is None else int(size)
        self._link = None if link is None else _length(link)
        self._skip = -len(data) % BLOCK
        self._extended, self._need = False, BLOCK

    def _entry(self, header: tarfile.TarInfo) -> None:
        if header.type == tarfile.XHDTYPE:
            if header.size > _MAX_EXTENSION:
                raise ValueError("an extended header beyond all measure")
            self._extended, self._need = True, header.size
            return
        size = header.size if self._override is None else self._override
        if size < 0:
            raise ValueError("a negative size")
        if header.type in _EXTENSIONS:
            if header.type == tarfile.GNUTYPE_LONGLINK:
                self._link = header.size - 1
            self._skip = header.size + -header.size % BLOCK
            return
        link = _length(header.linkname) if self._link is None else self._link
        self._override = self._link = None
        if header.type == tarfile.SYMTYPE:
            self._content += link  # as on a disk: Docker adds up what lstat says
        if header.type not in _BODILESS:
            self._content += size
            self._skip = size + -size % BLOCK


def _length(text: str) -> int:
    return len(text.encode("utf-8", "surrogateescape"))
