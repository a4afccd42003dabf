"""What /proc says of a process."""

from pathlib import Path


def alive(pid: int) -> bool:
    """Whether it is there and no zombie (proc(5), stat). One that ends while it is read is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
