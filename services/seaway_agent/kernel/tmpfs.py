"""Run-time state belongs on tmpfs (fast, and gone after a reboot like the processes it tells of)."""

import errno
from pathlib import Path
from typing import Final

from seaway_agent.kernel import overlay, syscalls

_TMPFS_MAGIC: Final = 0x01021994
_RAMFS_MAGIC: Final = 0x858458F6


def is_tmpfs(path: str) -> bool:
    """Whether the path lies in memory. Raises FileNotFoundError."""
    return syscalls.filesystem_magic(path) & 0xFFFFFFFF in (_TMPFS_MAGIC, _RAMFS_MAGIC)


def ensure_tmpfs(path: str, mode: int = 0o755, size: int | None = None) -> bool:
    """Make the directory and see that it lies on tmpfs: where it doesn't, mount one of `size` bytes there.

    True if something was mounted. What was in the directory before is hidden, not lost. `size` None takes the kernel's
    default, half of the memory. Mount before a launcher starts, so that it sees the mount.
    """
    Path(path).mkdir(parents=True, exist_ok=True)
    if is_tmpfs(path):
        return False
    data = f"mode={mode:04o}" if size is None else f"mode={mode:04o},size={size}"
    syscalls.mount("seaway", path, "tmpfs", syscalls.MS_NOSUID | syscalls.MS_NODEV, data)
    return True


def unmount(path: str) -> bool:
    """Unmount what is mounted at the path, also while in use; False when nothing is, or there is no such path."""
    try:
        overlay.umount(path)
    except OSError as error:
        if error.errno in (errno.EINVAL, errno.ENOENT):
            return False
        raise
    return True
