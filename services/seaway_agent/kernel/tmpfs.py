"""A tmpfs for run-time state: fast, and empty after a reboot, like the process table."""

import errno
from pathlib import Path
from typing import Final

from seaway_agent.kernel import overlay, syscalls

_TMPFS_MAGIC: Final = 0x01021994
_RAMFS_MAGIC: Final = 0x858458F6


def is_tmpfs(path: str) -> bool:
    """Whether the path is on tmpfs or ramfs. Raises FileNotFoundError."""
    return syscalls.filesystem_magic(path) & 0xFFFFFFFF in (_TMPFS_MAGIC, _RAMFS_MAGIC)


def ensure_tmpfs(path: str, mode: int = 0o755, size: int | None = None) -> bool:
    """Make the directory, and mount a tmpfs of `size` bytes there unless it is on one.

    True if something was mounted. The mount hides the directory's earlier content. `size` None takes the kernel's
    default, half of the memory. Mount before a launcher starts, so that it sees the mount.
    """
    Path(path).mkdir(parents=True, exist_ok=True)
    if is_tmpfs(path):
        return False
    data = f"mode={mode:04o}" if size is None else f"mode={mode:04o},size={size}"
    syscalls.mount("seaway", path, "tmpfs", syscalls.MS_NOSUID | syscalls.MS_NODEV, data)
    return True


def unmount(path: str) -> bool:
    """Unmount the path, also while in use; False when nothing is mounted there."""
    try:
        overlay.umount(path)
    except OSError as error:
        if error.errno in (errno.EINVAL, errno.ENOENT):
            return False
        raise
    return True
