"""Bounds on the size and complexity of one layer."""

from dataclasses import dataclass
from typing import Final

from seaway_archive import inflate
from seaway_archive.assembly import TarLimits

KIB: Final = 1024
MIB: Final = 1024 * KIB
GIB: Final = 1024 * MIB
_TAR: Final = TarLimits()


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds for one layer. Sizes in bytes.

    `tar.total` also bounds the uncompressed stream. `ratio` and `ratio_from` bound how far a blob may expand
    (`seaway_archive.inflate`). Likewise a blob must have `entry_cost` bytes per entry beyond the first `entries_slack`:
    a few megabytes of gzip could otherwise make a million inodes.
    `steps` bounds the directories opened to resolve names, which chains of symbolic links can multiply.
    """

    tar: TarLimits = _TAR
    entries_slack: int = 50_000
    entry_cost: int = 64
    path: int = 4095
    depth: int = 256
    ratio: int = inflate.EXPANSION_RATIO
    ratio_from: int = inflate.EXPANSION_FROM
    steps: int = 2_000_000
