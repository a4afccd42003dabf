"""Maps of sparse files: GNU's old header format and its pax versions 0.0, 0.1 and 1.0. Pure.

An extent is `(offset, length)` in bytes within the file; in the archive the data of all extents is in one piece.
"""

from collections.abc import Iterable
from typing import Final, NamedTuple

from seaway_archive.entries import Extent
from seaway_archive.errors import ArchiveTooLarge, malformed
from seaway_archive.headers import BLOCK, Steps, exactly, parse_number
from seaway_archive.pax import pax_number

_PAIR: Final = 24
_NUMBER: Final = 12


class Sparse(NamedTuple):
    """A sparse file: its extents, its size with holes, its name where pax carries one apart."""

    extents: tuple[Extent, ...]
    size: int
    name: bytes


def gnu_sparse(block: bytes, most: int) -> Steps[Sparse]:
    """The map of an old GNU header (type `S`) and the extension blocks after it; at most `most` extents."""
    extents = _gnu_pairs(block[386:482])
    more = block[482]
    size = parse_number(block[483:495], "sparse size")
    while more:
        if len(extents) > most:
            raise _too_many(most)
        extension = yield from exactly(BLOCK)
        extents += _gnu_pairs(extension[:504])
        more = extension[504]
    return Sparse(_checked(extents, size), size, b"")


def pax_sparse(records: list[tuple[bytes, bytes]], most: int) -> Steps[tuple[Sparse, int]]:
    """The map that `GNU.sparse.*` records describe, and how many bytes of the data it took (version 1.0)."""
    last = dict(records)
    name = last.get(b"name", b"")
    if b"\0" in name:
        raise malformed("the name of a sparse file contains NUL")
    size = pax_number(last.get(b"realsize") or last.get(b"size") or b"", "sparse size")
    taken = 0
    if last.get(b"major") == b"1":
        extents, taken = yield from _map_in_data(most)
    elif b"map" in last:
        extents = _paired([pax_number(v, "sparse map") for v in last[b"map"].split(b",") if v])
    else:
        numbers = [pax_number(value, "sparse map") for key, value in records if key in (b"offset", b"numbytes")]
        extents = _paired(numbers)
    return Sparse(_checked(extents, size), size, name), taken


def _gnu_pairs(area: bytes) -> list[Extent]:
    extents = []
    for start in range(0, len(area), _PAIR):
        offset, length = area[start : start + _NUMBER], area[start + _NUMBER : start + _PAIR]
        if not length[0] or not offset[0]:
            break
        extents.append((parse_number(offset, "sparse offset"), parse_number(length, "sparse length")))
    return extents


def _map_in_data(most: int) -> Steps[tuple[list[Extent], int]]:
    lines: list[bytes] = []
    text = b""
    taken = 0
    while not lines or len(lines) < 1 + 2 * pax_number(lines[0], "sparse map"):
        if lines and pax_number(lines[0], "sparse map") > most:
            raise _too_many(most)
        text += yield from exactly(BLOCK)
        taken += BLOCK
        *complete, text = text.split(b"\n")
        if len(text) > BLOCK:
            raise malformed("the map of a sparse file has no line ends")
        lines += complete
    count = pax_number(lines[0], "sparse map")
    return _paired([pax_number(line, "sparse map") for line in lines[1 : 1 + 2 * count]]), taken


def _too_many(most: int) -> ArchiveTooLarge:
    return ArchiveTooLarge(f"a sparse file of the archive has more than {most} extents")


def _paired(numbers: list[int]) -> list[Extent]:
    if len(numbers) % 2:
        raise malformed("the map of a sparse file has an offset without a length")
    return list(zip(numbers[::2], numbers[1::2], strict=True))


def _checked(extents: Iterable[Extent], size: int) -> tuple[Extent, ...]:
    end = 0
    for offset, length in extents:
        if offset < end or offset + length > size:
            raise malformed("the map of a sparse file overlaps or passes the file's end")
        end = offset + length
    return tuple(extents)
