"""The record of an unpacked layer, a file beside it."""

from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Final

import orjson

from seaway_agent.rootfs.tree import walk
from seaway_kit.private_files import write_private

RECORD: Final = "layer.json"
DIFF: Final = "diff"


@dataclass(frozen=True, slots=True)
class LayerRecord:
    """One layer. `size` is the bytes of its regular files as Docker counts them; `parent` is "" for a bottom layer.

    `inodes` and `disk_size` were counted on disk during the boot `boot_id` (see `is_whole`). New fields need a default,
    and unknown ones are ignored: containers need their layers after an upgrade and after a downgrade.
    """

    chain_id: str
    parent: str
    diff_id: str
    size: int
    opaque_root: bool
    inodes: int
    disk_size: int
    boot_id: str

    def save(self, directory: Path) -> None:
        """Write the record into the layer's directory."""
        write_private(directory / RECORD, orjson.dumps(asdict(self)))


def load_record(directory: Path) -> LayerRecord | None:
    """The record in `directory`; None where it is missing or unreadable."""
    try:
        found = orjson.loads((directory / RECORD).read_bytes())
        return LayerRecord(**{field.name: found[field.name] for field in fields(LayerRecord) if field.name in found})
    except (OSError, ValueError, TypeError):
        return None


def count(diff: Path) -> tuple[int, int]:
    """The number of inodes below `diff`, and the sum of their sizes in bytes without directories."""
    inodes = size = 0
    for status in walk(diff):
        inodes += 1
        size += status.st_size if status.st_mode & 0o170000 != 0o040000 else 0
    return inodes, size


def is_whole(record: LayerRecord, diff: Path) -> bool:
    """Whether a layer that was unpacked before a reboot is complete.

    Layers are written without fsync, as they can be fetched again. After a power cut a journalling file system has
    the names of recent files but maybe not their content; such files are empty, so counting finds them.
    """
    try:
        return count(diff) == (record.inodes, record.disk_size)
    except OSError:
        return False
