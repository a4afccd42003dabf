"""Bounds the expansion of compressed data: a few megabytes must not fill a disk."""

from typing import Final

from seaway_contracts.errors import Code, SeawayError

RATIO: Final = 200
"""gzip reaches 1,032 for zeros, zstd 10,000 and more; images and archives of programs and data have 2 to 10."""
FROM: Final = 1 << 30
"""The ratio counts from this many bytes on: a small layer may have a file or two of zeros."""


class Expansion:
    """Counts the input and output of a decompressor."""

    def __init__(self, what: str, *, ratio: int = RATIO, start: int = FROM) -> None:
        self._what = what
        self._ratio = ratio
        self._start = start
        self._compressed = 0
        self._expanded = 0

    def add(self, compressed: int, expanded: int) -> None:
        """Count more bytes. Raises SeawayError (TOO_LARGE) for more than `start` bytes at more than `ratio` to one."""
        self._compressed += compressed
        self._expanded += expanded
        if self._expanded > self._start and self._expanded > self._ratio * self._compressed:
            raise SeawayError(
                Code.TOO_LARGE,
                f"{self._what} expands from {self._compressed} to more than {self._expanded} bytes: over "
                f"{self._start} bytes, {self._ratio} times the compressed size is the most that is accepted",
            )
