"""Warm up the kernel's lock for moving processes between cgroups before a runtime needs it.

The first write to any `cgroup.procs` waits for an RCU grace period (5 to 15 ms), as the kernel's
`cgroup_threadgroup_rwsem` favours fork and exit over moves. Writes within the next 15 ms or so don't wait. So a write
without effect, made while a container is being prepared, removes that wait from its start. With cgroups mounted with
`favordynmods` there is no wait, and the write is harmless.
"""

import contextlib
import logging
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from seaway_agent.kernel.cgroup_text import CgroupLayout, own_cgroup

log = logging.getLogger(__name__)
_MYSELF = b"0"
_WARM_S: Final = 0.007
"""Half the time in which writes after a write don't wait, so that a runtime reaches its own write in time."""


class AttachLock:
    """A thread that moves itself into its own cgroup, on request. Without `start`, `warm` does nothing."""

    def __init__(self, layout: CgroupLayout, now: Callable[[], float] = time.monotonic) -> None:
        self._layout = layout
        self._now = now
        self._wanted = threading.Event()
        self._thread: threading.Thread | None = None
        self._fd = -1
        self._closing = False
        self._warmed = 0.0

    def start(self) -> None:
        """Start the thread; if the agent's cgroup is not writable, containers start a little slower."""
        path = own_cgroup(self._layout, Path("/proc/self/cgroup").read_text())
        if path is None:
            return
        try:
            self._fd = os.open(f"{path}/cgroup.procs", os.O_WRONLY | os.O_CLOEXEC)
        except OSError as error:
            log.info("container starts are slower, as %s/cgroup.procs is not writable: %s", path, error.strerror)
            return
        self._thread = threading.Thread(target=self._run, name="attach-lock", daemon=True)
        self._thread.start()

    def warm(self) -> None:
        """Warm up the lock, as a process will soon be moved. Returns at once."""
        now = self._now()
        if now - self._warmed > _WARM_S:
            self._warmed = now
            self._wanted.set()

    def used(self) -> None:
        """Note that a runtime has just moved a process, which warms up the lock as well."""
        self._warmed = self._now()

    def close(self) -> None:
        """End the thread. Safe to call twice, and without start."""
        self._closing = True
        self._wanted.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
            os.close(self._fd)

    def _run(self) -> None:
        while True:
            self._wanted.wait()
            self._wanted.clear()
            if self._closing:
                return
            with contextlib.suppress(OSError):
                os.write(self._fd, _MYSELF)
