"""Keep a run's rootfs mounted beyond its exit, so that the exit does not wait for the disk.

The last unmount of an overlay syncs the whole file system below it. Without the pin the kernel does that while the
container's first process exits, before anybody can see the exit.
"""

import os

from seaway_agent.kernel import procs


class RootfsPin:
    """A descriptor of the root directory of a run's first process.

    With gVisor that isn't the container's root, so the exit still waits; likewise if the descriptor can't be opened.
    """

    def __init__(self, pid: int, pidfd: int) -> None:
        """`pidfd` proves that `pid` is still the run's; -1: there is nothing to pin."""
        self._fd = _root_of(pid, pidfd)

    def release(self) -> None:
        """Close the descriptor; if that is the last unmount, it blocks for a sync. Safe to call twice."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)


def _root_of(pid: int, pidfd: int) -> int:
    if pidfd < 0:
        return -1
    try:
        fd = os.open(f"/proc/{pid}/root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return -1
    if not procs.send_signal(pidfd, 0):  # by now another process may have had the number
        os.close(fd)
        return -1
    return fd
