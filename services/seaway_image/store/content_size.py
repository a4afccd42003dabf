"""How much there is in a tar: the sizes of its entries added up, which is what Docker calls a layer's size. Pure."""

from seaway_archive.assembly import TarLimits
from seaway_archive.entries import Kind, TarEntry
from seaway_archive.reader import TarParser
from seaway_contracts.errors import SeawayError


class ContentSize:
    """Fed with a tar in pieces of any size. What is no tar, or one that can't be unpacked, counts as a whole."""

    def __init__(self) -> None:
        self._fed = 0
        self._content = 0
        self._parser = TarParser(TarLimits())
        self._ended = self._lost = False

    @property
    def size(self) -> int:
        """Bytes so far."""
        return self._fed if self._lost else self._content

    def feed(self, data: bytes) -> None:
        """Take the next piece, which isn't empty."""
        self._fed += len(data)
        if self._lost or self._ended:
            return
        try:
            self._parser.feed(data)
            while isinstance(entry := self._parser.next_entry(), TarEntry):
                # A link counts as on a disk: Docker adds up what lstat says.
                self._content += len(entry.link) if entry.kind is Kind.SYMLINK else entry.size
            self._ended = entry is None
        except SeawayError:
            self._lost = True
