"""The thread that creates containers, with its own mount namespace and working directory.

Its mounts are invisible on the host, and end with the last process of the namespace. A shim started here stays in the
namespace for as long as its container lives, so the launcher must unmount a rootfs as soon as the container has its own
copy. If the agent is killed between mount and unmount, `unmount_in_namespace_of` removes the mount that a shim keeps.

On hybrid cgroup hosts the namespace has an empty tmpfs over the cgroup2 mount: crun refuses to run when it sees both
hierarchies, and makes a plain directory per container below that path, which must not land on the host's tmpfs.
"""

import contextlib
import os
import queue
import shutil
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import ParamSpec, TypeVar

from seaway_agent.kernel import cgroup_text, mountinfo, overlay, syscalls

P = ParamSpec("P")
T = TypeVar("T")


def enter_private_mounts() -> None:
    """Give the calling thread its own mount namespace: host mounts propagate into it, but not back."""
    syscalls.unshare(syscalls.CLONE_FS | syscalls.CLONE_NEWNS)
    syscalls.mount(None, "/", None, syscalls.MS_REC | syscalls.MS_SLAVE)


def hide_unified_hierarchy() -> str | None:
    """Cover the cgroup2 mount of a hybrid host with a tmpfs, for this namespace; returns where, None elsewhere."""
    layout = cgroup_text.parse_layout(Path("/proc/thread-self/mountinfo").read_text())
    if layout.mode is not cgroup_text.CgroupMode.HYBRID or layout.unified is None:
        return None
    overlay.umount(layout.unified)
    flags = syscalls.MS_NOSUID | syscalls.MS_NODEV | syscalls.MS_NOEXEC
    syscalls.mount("seaway", layout.unified, "tmpfs", flags, "mode=0755,size=16m")
    return layout.unified


def make_read_only(file: str) -> None:
    """Mount a file read-only over itself.

    crun re-executes itself from such a mount unless it is on one, so that no container can write it through
    `/proc/self/exe`. And crun chowns an exec's streams to its user, which must not hit the host's `/dev/null`.
    """
    syscalls.mount(file, file, None, syscalls.MS_BIND)
    kept = os.statvfs(file).f_flag & (syscalls.MS_NOSUID | syscalls.MS_NODEV | syscalls.MS_NOEXEC)
    flags = syscalls.MS_REMOUNT | syscalls.MS_BIND | syscalls.MS_RDONLY | kept
    syscalls.mount(None, file, None, flags)


class Launcher:
    """Runs functions one after another in a thread that has its own mount namespace.

    `programs` are read-only in it.
    """

    def __init__(self, name: str = "launcher", programs: Sequence[str] = ()) -> None:
        self._programs = programs
        self._queue: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._ready: Future[None] = Future()
        self._lock = threading.Lock()
        self._open = False
        self._unified: str | None = None
        self.dev_null = -1
        """A descriptor of the namespace's read-only /dev/null, whose owner can't be changed."""

    def start(self) -> None:
        """Make the namespace; returns when it is ready. Raises OSError when the kernel refuses (no root)."""
        self._thread.start()
        self._ready.result()
        self._open = True

    def close(self) -> None:
        """Finish what was called, then end the thread. Safe to call twice, and without start."""
        with self._lock:
            was_open, self._open = self._open, False
            if was_open:
                self._queue.put(None)
        if was_open:
            self._thread.join()
            os.close(self.dev_null)

    def call(self, fn: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> "Future[T]":
        """Run `fn` in the thread, after everything called before. Raises RuntimeError when not started or closed."""
        future: Future[T] = Future()

        def work() -> None:
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(fn(*args, **kwargs))
                except BaseException as error:
                    future.set_exception(error)

        with self._lock:
            if not self._open:
                raise RuntimeError("the launcher thread isn't running: call start() first, and nothing after close()")
            self._queue.put(work)
        return future

    def remove_crun_directory(self, cgroups_path: str) -> "Future[None]":
        """Remove the directory that crun made below the covered cgroup2 mount for one container."""
        return self.call(self._remove_crun_directory, cgroups_path)

    def _remove_crun_directory(self, cgroups_path: str) -> None:
        if self._unified is not None:
            shutil.rmtree(self._unified + cgroups_path, ignore_errors=True)

    def _run(self) -> None:
        try:
            enter_private_mounts()
            self._unified = hide_unified_hierarchy()
            for file in (*self._programs, os.devnull):
                make_read_only(file)
            self.dev_null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        except BaseException as error:
            self._ready.set_exception(error)
            return
        self._ready.set_result(None)
        while (work := self._queue.get()) is not None:
            work()


def unmount_in_namespace_of(pid: int, directory: str) -> list[str]:
    """Unmount everything at or below `directory` in the mount namespace of a process; returns what was unmounted.

    For a shim that outlived its agent. Does nothing when the process is gone, or lives in the caller's own namespace.
    """
    found: list[str] = []
    failed: list[BaseException] = []

    def enter_and_unmount() -> None:
        try:
            found.extend(_unmount_there(pid, directory))
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=enter_and_unmount, name="unmount")
    thread.start()
    thread.join()
    if failed:
        raise failed[0]
    return found


def _unmount_there(pid: int, directory: str) -> list[str]:
    with contextlib.ExitStack() as stack:
        try:
            namespace = os.open(f"/proc/{pid}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
        except (FileNotFoundError, ProcessLookupError):
            return []
        stack.callback(os.close, namespace)
        if os.fstat(namespace).st_ino == Path("/proc/thread-self/ns/mnt").stat().st_ino:
            return []
        syscalls.unshare(syscalls.CLONE_FS)
        syscalls.setns(namespace, syscalls.CLONE_NEWNS)
        targets = mountinfo.targets_below(Path("/proc/thread-self/mountinfo").read_text(), directory)
        for target in targets:  # a copy of a shared mount must not take the original's children with it
            syscalls.mount(None, target, None, syscalls.MS_PRIVATE)
        for target in targets:
            overlay.umount(target)
        return targets
