"""Which images have changed since when, for those who keep a copy of the list. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from seaway_image.oci.digests import Digest
from seaway_image.store.names import NameTable

_MOST: Final = 4096


@dataclass(frozen=True)
class Changes:
    """The images that are new or different, and those that are gone."""

    changed: tuple[Digest, ...]
    gone: tuple[Digest, ...]


class ChangeLog:
    """The last changes of one life of the service. `epoch` tells its versions from those of other lives."""

    def __init__(self, epoch: str, *, most: int = _MOST) -> None:
        self._epoch = epoch
        self._most = most
        self._number = self._forgotten = 0
        self._changed: dict[Digest, int] = {}

    @property
    def version(self) -> str:
        """Of the list as it is."""
        return f"{self._epoch}.{self._number}"

    def note(self, before: NameTable, after: NameTable) -> frozenset[Digest]:
        """The table has changed; these images have."""
        changed = frozenset(_changed(before, after))
        if changed:
            self._number += 1
        for image in changed:
            self._changed.pop(image, None)
            self._changed[image] = self._number
        while len(self._changed) > self._most:
            self._forgotten = self._changed.pop(next(iter(self._changed)))
        return changed

    def since(self, version: str, table: NameTable) -> Changes | None:
        """What has changed since a version; None if that isn't known."""
        epoch, _, number = version.partition(".")
        if epoch != self._epoch or not number.isdigit() or not self._forgotten <= int(number) <= self._number:
            return None
        changed = [image for image, at in self._changed.items() if at > int(number)]
        there = tuple(image for image in changed if image in table.images)
        return Changes(there, tuple(image for image in changed if image not in table.images))


def _changed(before: NameTable, after: NameTable) -> Iterator[Digest]:
    if before.images is not after.images:
        yield from before.images.keys() - after.images.keys()
        yield from (image for image, stored in after.images.items() if before.images.get(image) is not stored)
    for old, new in ((before.tags, after.tags), (before.digests, after.digests)):
        if old is not new:
            yield from (image for _, image in old.items() ^ new.items())
