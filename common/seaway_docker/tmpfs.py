"""Options of tmpfs mounts, from HostConfig.Tmpfs texts and Mounts entries, as a list for the OCI mount."""

from collections.abc import Iterable

from seaway_docker.errors import InvalidParameter
from seaway_docker.model_host import TmpfsOptions
from seaway_docker.mount_checks import PROPAGATIONS

DEFAULT_OPTIONS = ("noexec", "nosuid", "nodev")
_FLAG_GROUPS = (
    ("defaults",),
    ("ro", "rw"),
    ("suid", "nosuid"),
    ("dev", "nodev"),
    ("exec", "noexec"),
    ("sync", "async"),
    ("dirsync",),
    ("remount",),
    ("mand", "nomand"),
    ("atime", "noatime"),
    ("diratime", "nodiratime"),
    ("bind", "rbind"),
    ("relatime", "norelatime"),
    ("strictatime", "nostrictatime"),
    tuple(sorted(PROPAGATIONS)),
)
_GROUP_OF_FLAG = {flag: group[0] for group in _FLAG_GROUPS for flag in group}
_VALUES = frozenset(["size", "mode", "uid", "gid", "nr_inodes", "nr_blocks", "mpol"])


def tmpfs_options(text: str) -> list[str]:
    """The options of a HostConfig.Tmpfs entry over Docker's defaults. Raises InvalidParameter."""
    return merge_options([*DEFAULT_OPTIONS, *(text.split(",") if text else ())])


def tmpfs_mount_options(options: TmpfsOptions, read_only: bool) -> list[str]:
    """The options of an entry of Mounts over Docker's defaults. Raises InvalidParameter."""
    given = ["ro"] if read_only else []
    if options.mode:
        given.append(f"mode={options.mode:o}")
    if options.size_bytes:
        given.append(f"size={options.size_bytes}")
    given += ["=".join(pair) for pair in options.options or ()]
    return merge_options([*DEFAULT_OPTIONS, *given])


def merge_options(options: Iterable[str]) -> list[str]:
    """The last of contradicting options wins (moby pkg mount, MergeTmpfsOptions). Raises InvalidParameter."""
    chosen: dict[str, str] = {}
    for option in options:
        key = _GROUP_OF_FLAG.get(option) or _value_key(option)
        chosen.pop(key, None)
        chosen[key] = option
    return list(chosen.values())


def _value_key(option: str) -> str:
    key, equals, _ = option.partition("=")
    if not equals or key not in _VALUES:
        raise InvalidParameter(f'invalid tmpfs option "{option}"')
    return f"{key}="
