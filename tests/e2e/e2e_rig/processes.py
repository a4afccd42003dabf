"""What /proc says of a process."""

import contextlib
from pathlib import Path


def alive(pid: int) -> bool:
    """Whether it is there and no zombie (proc(5), stat). One that ends while it is read is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def command_lines() -> dict[int, bytes]:
    """The words of each process that there is, as all users see them, with a NUL behind each."""
    found = {}
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            found[int(path.parent.name)] = path.read_bytes()
    return found
