"""Pax extended headers (POSIX.1-2017 pax, "pax Header Block"; SCHILY.xattr as star and Docker write it). Pure."""

import re
from dataclasses import dataclass, field
from typing import Final

from seaway_archive.errors import malformed, shown

XATTR: Final = b"SCHILY.xattr."
_SPARSE: Final = b"GNU.sparse."
_NAMES: Final = (b"path", b"linkpath")
_NUMBERS: Final = (b"size", b"uid", b"gid")
_TIME: Final = re.compile(rb"(-?)(\d{1,19})(?:\.(\d{0,32}))?\Z")


@dataclass(slots=True)
class Pax:
    """What a pax header says about the entry that follows; None where it is silent.

    `sparse` holds the GNU.sparse records in order, without that prefix, since version 0.0 repeats its keys.
    """

    names: dict[bytes, bytes] = field(default_factory=dict)
    numbers: dict[bytes, int] = field(default_factory=dict)
    mtime_ns: int | None = None
    xattrs: dict[str, bytes] = field(default_factory=dict)
    sparse: list[tuple[bytes, bytes]] = field(default_factory=list)


def parse_pax(data: bytes) -> Pax:
    """The records in `data`; unknown keys are skipped. Raises `ArchiveRejected`."""
    pax = Pax()
    for key, value in _records(data):
        if key.startswith(XATTR):
            pax.xattrs[_xattr_name(key[len(XATTR) :])] = value
        elif key.startswith(_SPARSE):
            pax.sparse.append((key[len(_SPARSE) :], value))
        elif value:
            _set(pax, key, value)
    return pax


def pax_number(value: bytes, what: str) -> int:
    """A decimal number of at most 19 digits that isn't negative."""
    if value.startswith(b"-"):
        raise malformed(f"negative {what} in a pax header")
    if not value.isdigit() or len(value) > 19:
        raise malformed(f"{what} {shown(value)!r} in a pax header is no number")
    return int(value)


def _set(pax: Pax, key: bytes, value: bytes) -> None:
    if key in _NAMES:
        if b"\0" in value:
            raise malformed(f"the name {shown(value)!r} contains NUL")
        pax.names[key] = value
    elif key in _NUMBERS:
        pax.numbers[key] = pax_number(value, key.decode())
    elif key == b"mtime":
        pax.mtime_ns = _time_ns(value)


def _records(data: bytes) -> list[tuple[bytes, bytes]]:
    records = []
    position = 0
    while position < len(data):
        space = data.find(b" ", position, position + 20)
        digits = data[position:space] if space > 0 else b""
        end = position + int(digits) if digits.isdigit() else 0
        if end <= space + 1 or end > len(data) or data[end - 1] != ord("\n"):
            raise malformed("a pax header has a record of a wrong length")
        key, equals, value = data[space + 1 : end - 1].partition(b"=")
        if not equals or not key or b"\0" in key:
            raise malformed("a pax header has a record without a key")
        records.append((key, value))
        position = end
    return records


def _time_ns(value: bytes) -> int:
    match = _TIME.match(value)
    if match is None:
        raise malformed(f"mtime {shown(value)!r} in a pax header is no time")
    sign, seconds, fraction = match.groups()
    nanoseconds = int(seconds) * 1_000_000_000 + int((fraction or b"")[:9].ljust(9, b"0"))
    return -nanoseconds if sign else nanoseconds


def _xattr_name(name: bytes) -> str:
    try:
        return name.decode("utf-8")
    except UnicodeDecodeError:
        raise malformed(f"the xattr name {shown(name)!r} is not UTF-8") from None
