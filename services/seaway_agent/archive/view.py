"""A container's files, as its processes see them, under one descriptor: root filesystem, volumes, binds, tmpfs.

What the runtime mounts (/proc, /sys, /dev) isn't in it, as with Docker. A view is made in a mount namespace of its own,
that nothing but the view's descriptors keeps alive: however the agent ends, nothing stays mounted.

Of a running container the mounts themselves are copied, so that nothing is mounted twice; of a stopped one the overlay
is mounted. No program is run there, no file of the container is loaded; paths are only opened below `root`
(`kernel.paths`), so no link leads out of it, also when it is swapped meanwhile.
"""

import contextlib
import errno
import os
import select
import stat
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeVar

from seaway_agent.kernel import launcher, mount_trees, overlay, paths, syscalls
from seaway_agent.kernel.clones import clone_below
from seaway_contracts.errors import internal

T = TypeVar("T")
_OWN_FILES: Final = ("/etc/hosts", "/etc/hostname", "/etc/resolv.conf")
_PATH: Final = os.O_PATH | os.O_CLOEXEC
# proc, sysfs, cgroup, cgroup2, devpts, mqueue, debugfs, tracefs, bpf (linux/magic.h).
_OF_THE_KERNEL: Final = frozenset(
    (0x9FA0, 0x62656572, 0x27E0EB, 0x63677270, 0x1CD1, 0x19800202, 0x64626720, 0x74726163, 0xCAFE4A11)
)


@dataclass(frozen=True)
class Place:
    """Something mounted in a container: `source` on the host, or what is at `subpath` in there.

    Without a source its files can be reached only while the container runs. `mount` mounts the source in the mount
    namespace of a view, unless that is done.
    """

    target: str
    source: Path | None = None
    read_only: bool = False
    subpath: str = ""
    mount: Callable[[], None] | None = None


@dataclass
class View:
    """`root` is the top directory. To be closed."""

    root: int
    _held: list[int] = field(default_factory=list)

    def close(self) -> None:
        """Close all descriptors, which unmounts what was mounted for it."""
        for fd in (self.root, *self._held):
            os.close(fd)

    def __enter__(self) -> "View":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def view_of_running(pid: int, pidfd: int, places: Sequence[Place], scratch: Path, *, chrooted: bool = False) -> View:
    """The view of a container by its first process, held by `pidfd`. Raises ProcessLookupError once that has ended.

    `chrooted`: what counts is that process's root, and not the root of its mount namespace.
    """
    with contextlib.ExitStack() as stack:
        namespace, root = _namespace(pid, pidfd, stack)
        targets = [*_OWN_FILES, *(place.target for place in places)]
        trees = apart(lambda: _copies(namespace, root if chrooted else None, ["/", *targets]))
        for _, tree in trees:
            stack.callback(os.close, tree)
        if not trees or trees[0][0] != "/":
            raise internal("the root filesystem of the container can't be reached")
        return apart(lambda: _assembled(trees[0][1], trees[1:], scratch))


def rootfs_of_running(pid: int, pidfd: int, *, chrooted: bool = False) -> View:
    """Only the root filesystem of a running container, with what is mounted over it laid open."""
    with contextlib.ExitStack() as stack:
        namespace, root = _namespace(pid, pidfd, stack)
        trees = apart(lambda: _copies(namespace, root if chrooted else None, ["/"]))
    if not trees:
        raise internal("the root filesystem of the container can't be reached")
    return View(trees[0][1])


@dataclass(frozen=True)
class Stack:
    """The directories of a stopped container's overlay, topmost lower first."""

    lowers: tuple[str, ...]
    upper: str
    work: str


def rootfs_of_stopped(layers: Stack, scratch: Path) -> View:
    """Only the root filesystem of a stopped container, read-only."""
    return apart(lambda: _root_alone(layers, scratch))


def view_of_stopped(layers: Stack, places: Sequence[Place], scratch: Path, *, writable: bool) -> View:
    """The view of a stopped container. A writable one must be the only mount of its overlay.

    Where not `writable`, raises FileNotFoundError if a mount point is missing: a writable view makes it.
    """
    return apart(lambda: _mounted(layers, places, scratch, writable=writable))


def apart(work: Callable[[], T]) -> T:
    """Run `work` in a thread of its own, which may change its namespaces. Its error is raised here."""
    done: list[T] = []
    failed: list[BaseException] = []

    def run() -> None:
        try:
            done.append(work())
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=run, name="view")
    thread.start()
    thread.join()
    if failed:
        raise failed[0]
    return done[0]


def _namespace(pid: int, pidfd: int, stack: contextlib.ExitStack) -> tuple[int, int]:
    """Mount namespace and root of a process, which still runs after the look: so the number was its own."""
    gone = ProcessLookupError(errno.ESRCH, "the container has ended", str(pid))
    try:
        namespace = os.open(f"/proc/{pid}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
        stack.callback(os.close, namespace)
        root = os.open(f"/proc/{pid}/root", _PATH | os.O_DIRECTORY)
        stack.callback(os.close, root)
    except (FileNotFoundError, ProcessLookupError):
        raise gone from None
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    if poll.poll(0):
        raise gone
    return namespace, root


def _copies(namespace: int, root: int | None, targets: Sequence[str]) -> list[tuple[str, int]]:
    """Copies of what is mounted at these places in another namespace; what isn't there is left out.

    In there nothing is done but system calls: no module, no message text may be loaded from the container's files.
    """
    syscalls.unshare(syscalls.CLONE_FS)
    syscalls.setns(namespace, syscalls.CLONE_NEWNS)
    if root is not None:
        os.fchdir(root)
        os.chroot(".")
    with contextlib.ExitStack() as stack:
        trees = []
        for target in targets:
            try:
                tree = mount_trees.copy_tree(target, recursive=target != "/")
            except OSError as error:
                if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
                    continue
                raise
            stack.callback(os.close, tree)
            mount_trees.make_own(tree)
            trees.append((target, tree))
        stack.pop_all()
        return trees


def _assembled(root: int, trees: Sequence[tuple[str, int]], scratch: Path) -> View:
    launcher.enter_private_mounts()
    syscalls.attach_mount(root, str(scratch))
    with contextlib.ExitStack() as stack:
        top = _opened(scratch, stack)
        for target, tree in trees:
            if syscalls.filesystem_magic(f"/proc/self/fd/{tree}") in _OF_THE_KERNEL:
                continue  # the way to the mount was led astray
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                _attach(top, target, tree)
        return _view(top, stack)


def _mounted(layers: Stack, places: Sequence[Place], scratch: Path, *, writable: bool) -> View:
    launcher.enter_private_mounts()
    _mount_overlay(layers, scratch, writable=writable)
    with contextlib.ExitStack() as stack:
        top = _opened(scratch, stack)
        for place in places:
            if place.source is not None:
                _bind(top, place, place.source, writable=writable)
        return _view(top, stack)


def _mount_overlay(layers: Stack, scratch: Path, *, writable: bool) -> None:
    if writable:
        overlay.mount_overlay(str(scratch), layers.lowers, layers.upper, layers.work)
    else:
        overlay.mount_overlay(str(scratch), (layers.upper, *layers.lowers), None, None, read_only=True)


def _root_alone(layers: Stack, scratch: Path) -> View:
    launcher.enter_private_mounts()
    _mount_overlay(layers, scratch, writable=False)
    with contextlib.ExitStack() as stack:
        return _view(_opened(scratch, stack), stack)


def _bind(top: int, place: Place, source: Path, *, writable: bool) -> None:
    if place.mount is not None:
        place.mount()
    if place.subpath:
        tree = clone_below(str(source), place.subpath)
    else:
        tree = mount_trees.copy_tree(str(source), recursive=True)
    try:
        mount_trees.make_own(tree, read_only=place.read_only or not writable)
        if writable:
            _make_target(top, place.target, directory=stat.S_ISDIR(os.fstat(tree).st_mode))
        _attach(top, place.target, tree)
    finally:
        os.close(tree)


def _make_target(top: int, target: str, *, directory: bool) -> None:
    """As the runtime will do at the start."""
    with contextlib.suppress(OSError):
        os.close(paths.open_in_root(top, target, _PATH))
        return
    if directory:
        os.close(paths.mkdir_all_in_root(top, target))
    else:
        paths.replace_with_file_in_root(top, target)


def _attach(top: int, target: str, tree: int) -> None:
    fd = paths.open_in_root(top, target, _PATH)
    try:
        mount_trees.attach_tree(tree, fd)
    finally:
        os.close(fd)


def _opened(scratch: Path, stack: contextlib.ExitStack) -> int:
    top = os.open(scratch, _PATH | os.O_DIRECTORY)
    stack.callback(os.close, top)
    return top


def _view(top: int, stack: contextlib.ExitStack) -> View:
    """Keep the namespace, without which the mounts in it would fall apart."""
    namespace = os.open("/proc/thread-self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    stack.pop_all()
    return View(top, [namespace])
