"""Open files of containers' processes, from /proc."""
# os functions on str cost a third of pathlib, and this is done for each process at each scrape.
# ruff: noqa: PTH116, PTH208

import os
import resource
from collections.abc import Iterable
from functools import cache


def open_files(pids: Iterable[str]) -> int:
    """The open descriptors of these processes; a process that has ended counts none."""
    return sum(map(_open_files, pids))


def open_file_limit(pid: int) -> int | None:
    """The soft limit of a process's open files; None if it has ended."""
    try:
        return resource.prlimit(pid, resource.RLIMIT_NOFILE)[0]
    except (ProcessLookupError, PermissionError):
        return None


def _open_files(pid: str) -> int:
    directory = f"/proc/{pid}/fd"
    try:
        return os.stat(directory).st_size if _has_sizes() else len(os.listdir(directory))
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return 0


@cache
def _has_sizes() -> bool:
    """Whether the size of /proc/<pid>/fd is the number of its descriptors, as from Linux 6.2 on."""
    return os.stat("/proc/self/fd").st_size > 0
