"""Pure parsing of /proc/<pid>/mountinfo (proc_pid_mountinfo(5))."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

_ESCAPE = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True, slots=True)
class Mount:
    """One line of mountinfo; `tags` are its propagation fields such as "shared:1" or "master:1"."""

    mount_id: int
    parent_id: int
    root: str
    target: str
    options: frozenset[str]
    tags: tuple[str, ...]
    fstype: str
    source: str
    super_options: frozenset[str]


def _unescape(field: str) -> str:
    """Decode blanks and backslashes, which mountinfo writes as three octal digits."""
    if "\\" not in field:
        return field
    return _ESCAPE.sub(lambda found: chr(int(found[1], 8)), field)


def _parse_line(line: str) -> Mount:
    before, _, after = line.partition(" - ")
    mount_id, parent_id, _device, root, target, options, *tags = before.split(" ")
    fstype, source, super_options = after.split(" ", 2)
    return Mount(
        mount_id=int(mount_id),
        parent_id=int(parent_id),
        root=_unescape(root),
        target=_unescape(target),
        options=frozenset(options.split(",")),
        tags=tuple(tags),
        fstype=fstype,
        source=_unescape(source),
        super_options=frozenset(super_options.strip().split(",")),
    )


def parse_mountinfo(text: str) -> Iterator[Mount]:
    """Every mount of the text, oldest first."""
    return (_parse_line(line) for line in text.splitlines() if line)


def targets_below(text: str, directory: str) -> list[str]:
    """Mount points at or below `directory`, in the order in which they can be unmounted (last mounted first)."""
    prefix = directory.rstrip("/") + "/"
    found = [entry.target for entry in parse_mountinfo(text) if (entry.target + "/").startswith(prefix)]
    return found[::-1]
