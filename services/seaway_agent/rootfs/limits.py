"""Bounds on what one layer may cost."""

from dataclasses import dataclass
from typing import Final

KIB: Final = 1024
MIB: Final = 1024 * KIB
GIB: Final = 1024 * MIB


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds for one layer. Sizes in bytes.

    `total` bounds the uncompressed stream and the sum of file sizes (holes included). A stream may grow to
    `ratio` times its compressed size, and `ratio_slack` beyond that, so that small layers of zeros pass. Likewise a
    blob must have `entry_cost` bytes per entry beyond the first `entries_slack`: a few megabytes of gzip could
    otherwise make a million inodes.
    `steps` bounds the directories opened to resolve names, which chains of symbolic links can multiply.
    """

    total: int = 64 * GIB
    entries: int = 1_000_000
    entries_slack: int = 50_000
    entry_cost: int = 64
    path: int = 4095
    depth: int = 256
    metadata: int = MIB
    ratio: int = 100
    ratio_slack: int = 512 * MIB
    steps: int = 2_000_000
