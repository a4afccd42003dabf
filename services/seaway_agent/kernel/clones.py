"""Copies of mounts that the launcher's mount namespace doesn't show, or that must not be looked up twice.

A copy is a descriptor, which `syscalls.attach_mount` attaches; it ends when the descriptor and the mount are gone.
"""

import contextlib
import os
import threading

from seaway_agent.kernel import mount_trees, paths, syscalls


def clone_in_namespace_of(pid: int, path: str, *, subpath: str = "", recursive: bool = False, own: bool = True) -> int:
    """A copy of the mount at `path` in a process's mount namespace; `own`: without propagation to the original.

    With a `subpath` it is a copy of that alone, which no link and no `..` leads out of `path`.

    Raises OSError; ProcessLookupError when the process is gone.
    """
    found: list[int] = []
    failed: list[BaseException] = []

    def enter_and_clone() -> None:
        try:
            found.append(_clone_there(pid, path, subpath, recursive=recursive))
            if own:
                mount_trees.make_own(found[0])
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=enter_and_clone, name="clone")
    thread.start()
    thread.join()
    if failed:
        raise failed[0]
    return found[0]


def _clone_there(pid: int, path: str, subpath: str, *, recursive: bool) -> int:
    try:
        there = os.open(f"/proc/{pid}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        raise ProcessLookupError(f"no process {pid}") from None
    try:
        syscalls.unshare(syscalls.CLONE_FS)
        syscalls.setns(there, syscalls.CLONE_NEWNS)
    finally:
        os.close(there)
    return clone_below(path, subpath) if subpath else mount_trees.copy_tree(path, recursive=recursive)


def clone_below(directory: str, path: str) -> int:
    """A copy of the mount or file at `path` inside `directory`, which no link and no `..` can leave. Raises OSError."""
    root = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        inside = paths.open_in_root(root, path, os.O_PATH | os.O_CLOEXEC)
    finally:
        os.close(root)
    try:
        return mount_trees.copy_tree(f"/proc/self/fd/{inside}", recursive=False)
    finally:
        os.close(inside)


def detach_clone(path: str) -> None:
    """Unmount an attached copy and all below it, if it is mounted."""
    with contextlib.suppress(OSError):
        unmount_tree(path)


def unmount_tree(path: str) -> None:
    """Unmount what is mounted at a path and all below it; it ends with its last user. Raises OSError.

    It is made private first, so that the unmount doesn't propagate to the originals of what is below.
    """
    syscalls.mount(None, path, None, syscalls.MS_REC | syscalls.MS_PRIVATE)
    syscalls.umount2(path, syscalls.MNT_DETACH | syscalls.UMOUNT_NOFOLLOW)
