"""The user of a container: Docker's `User` resolved against the image's /etc/passwd and /etc/group. Pure.

Semantics and error texts are those of moby/sys/user `GetExecUser`: a number is always an id, never a name; without a
group the user gets its own group and those that list it. Malformed lines are skipped, where moby reads a broken number
as 0, that is as root.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

from seaway_agent.rootfs.errors import UserUnknown

MOST_TEXT: Final = 4 * 1024 * 1024
"""The number of bytes of /etc/passwd or /etc/group that are read; the rest is ignored."""

_MOST_ID: Final = 2**31 - 1
_MOST_LINES: Final = 65_536
_MOST_GROUPS: Final = 65_536  # NGROUPS_MAX
_OUT_OF_RANGE: Final = "uids and gids must be in range 0-2147483647"


@dataclass(frozen=True, slots=True)
class Identity:
    """Ids for the OCI process. `home` is the default of HOME."""

    uid: int = 0
    gid: int = 0
    groups: tuple[int, ...] = ()
    home: str = "/"


class _User(NamedTuple):
    name: str
    uid: int
    gid: int
    home: str


class _Group(NamedTuple):
    name: str
    gid: int
    members: tuple[str, ...]


def resolve_user(user: str, passwd: str, group: str) -> Identity:
    """The identity for `User` ("", "name", "1000", "name:group", "1000:1000" and mixtures). Raises `UserUnknown`.

    What follows a second colon is nobody's, as in Docker.
    """
    user_part, group_part = (*user.split(":"), "")[:2]
    entry = _find_user(user_part, passwd)
    if entry is None:
        uid = _numeric_user(user_part)
        return Identity(uid=uid, gid=_explicit_group(group_part, group) if group_part else 0)
    home = entry.home if entry.home and "\0" not in entry.home else "/"
    if group_part:
        return Identity(uid=entry.uid, gid=_explicit_group(group_part, group), home=home)
    groups = tuple(g.gid for g in _groups(group) if entry.name in g.members)
    return Identity(uid=entry.uid, gid=entry.gid, groups=groups[:_MOST_GROUPS], home=home)


def additional_groups(names: Iterable[str], group: str) -> tuple[int, ...]:
    """Ids for HostConfig.GroupAdd, each once. Raises `UserUnknown`."""
    known = {g.name: g.gid for g in reversed(list(_groups(group)))}
    gids: dict[int, None] = {}
    for name in names:
        gid = known.get(name)
        if gid is None:
            number = _number(name)
            if number is None:
                raise UserUnknown(f"Unable to find group {name[:200]}: no matching entries in group file")
            gid = _in_range(number)
        gids[gid] = None
    return tuple(gids)


def _find_user(part: str, passwd: str) -> _User | None:
    number = 0 if part == "" else _number(part)
    for entry in _users(passwd):
        if entry.name == part if number is None else entry.uid == number:
            return entry
    return None


def _numeric_user(part: str) -> int:
    number = 0 if part == "" else _number(part)
    if number is None:
        raise UserUnknown(f"unable to find user {part[:200]}: no matching entries in passwd file")
    return _in_range(number)


def _explicit_group(part: str, group: str) -> int:
    number = _number(part)
    if number is not None:
        return _in_range(number)
    for entry in _groups(group):
        if entry.name == part:
            return entry.gid
    raise UserUnknown(f"unable to find group {part[:200]}: no matching entries in group file")


def _users(text: str) -> Iterator[_User]:
    for fields in _lines(text):
        if len(fields) < 4 or not fields[0]:
            continue
        uid, gid = _id(fields[2]), _id(fields[3])
        if uid is not None and gid is not None:
            yield _User(fields[0], uid, gid, fields[5] if len(fields) > 5 else "")


def _groups(text: str) -> Iterator[_Group]:
    for fields in _lines(text):
        gid = _id(fields[2]) if len(fields) > 2 and fields[0] else None
        if gid is not None:
            yield _Group(fields[0], gid, tuple(fields[3].split(",")) if len(fields) > 3 else ())


def _lines(text: str) -> Iterator[list[str]]:
    for line in text[:MOST_TEXT].split("\n", _MOST_LINES)[:_MOST_LINES]:
        line = line.strip()
        if line and not line.startswith("#"):
            yield line.split(":")


def _number(text: str) -> int | None:
    """`text` as a number, by the rules of Go's Atoi; None where it is none. Raises `UserUnknown`."""
    digits = text[1:] if text[:1] in ("-", "+") else text
    if not (digits.isascii() and digits.isdigit()):
        return None
    if len(digits) > 18:
        raise UserUnknown(_OUT_OF_RANGE)
    return int(text)


def _id(text: str) -> int | None:
    if not (text.isascii() and text.isdigit()) or len(text) > 10:
        return None
    number = int(text)
    return number if number <= _MOST_ID else None


def _in_range(number: int) -> int:
    if not 0 <= number <= _MOST_ID:
        raise UserUnknown(_OUT_OF_RANGE)
    return number
