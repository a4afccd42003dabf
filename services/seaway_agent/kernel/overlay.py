"""Overlay mounts with any number of lower directories and names of any length.

Kernels that know `lowerdir+` (6.8) take one lower directory per fsconfig(2) call, so neither a ":" in a name nor the
page limit of mount(2) matters. Older ones get mount(2). A name that is too long for either way is given as
/proc/self/fd/N, which the kernel resolves to the same directory.
"""

import contextlib
import errno
import os
import resource
from collections.abc import Iterator, Sequence
from typing import Final

from seaway_agent.kernel import syscalls

# fsconfig(2) refuses strings of 256 bytes and more with EINVAL.
_FSCONFIG_MAX: Final = 255
# OVL_MAX_STACK of fs/overlayfs/params.h.
MAX_LOWERS: Final = 500
_OPTION_SEPARATORS: Final = frozenset(",:\\")


class _Names:
    """Names the kernel takes for directories: themselves, or /proc/self/fd/N of a descriptor kept open meanwhile."""

    def __init__(self, stack: contextlib.ExitStack) -> None:
        self._stack = stack

    def short(self, path: str) -> str:
        """A name of at most 24 bytes without separators."""
        fd = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        self._stack.callback(os.close, fd)
        return f"/proc/self/fd/{fd}"

    def for_fsconfig(self, path: str) -> str:
        return path if len(os.fsencode(path)) <= _FSCONFIG_MAX else self.short(path)


@contextlib.contextmanager
def _directory_names() -> Iterator[_Names]:
    with contextlib.ExitStack() as stack:
        yield _Names(stack)


def _mount_by_fsconfig(target: str, lowers: Sequence[str], upper: str | None, work: str | None, read_only: bool) -> None:
    with _directory_names() as names, contextlib.ExitStack() as stack:
        context = syscalls.fsopen("overlay")
        stack.callback(os.close, context)
        syscalls.fsconfig_string(context, "source", "overlay")
        for lower in lowers:
            syscalls.fsconfig_string(context, "lowerdir+", names.for_fsconfig(lower))
        if upper is not None and work is not None:
            syscalls.fsconfig_string(context, "upperdir", names.for_fsconfig(upper))
            syscalls.fsconfig_string(context, "workdir", names.for_fsconfig(work))
            syscalls.fsconfig_string(context, "index", "off")
        syscalls.fsconfig_create(context)
        mount_fd = syscalls.fsmount(context, syscalls.MOUNT_ATTR_RDONLY if read_only else 0)
        stack.callback(os.close, mount_fd)
        syscalls.attach_mount(mount_fd, target)


def mount_data(lowers: Sequence[str], upper: str | None, work: str | None) -> str:
    """The option string of mount(2) for an overlay."""
    data = "lowerdir=" + ":".join(lowers)
    if upper is not None and work is not None:
        data += f",upperdir={upper},workdir={work},index=off"
    return data


def _mount_by_mount(target: str, lowers: Sequence[str], upper: str | None, work: str | None, read_only: bool) -> None:
    flags = syscalls.MS_RDONLY if read_only else 0
    page = resource.getpagesize()
    data = mount_data(lowers, upper, work)
    with _directory_names() as names:
        given = [name for name in (*lowers, upper, work) if name is not None]
        if len(os.fsencode(data)) >= page or any(_OPTION_SEPARATORS & set(name) for name in given):
            upper, work = (None if name is None else names.short(name) for name in (upper, work))
            data = mount_data([names.short(lower) for lower in lowers], upper, work)
        if len(data) >= page:
            reason = f"{len(lowers)} lower directories don't fit in the {page} bytes of mount(2); needs Linux 6.8"
            raise OSError(errno.E2BIG, reason, target)
        syscalls.mount("overlay", target, "overlay", flags, data)


def _knows_lowerdir_plus() -> bool:
    """Whether this kernel takes lower directories one by one, asked with a context that is thrown away."""
    try:
        context = syscalls.fsopen("overlay")
    except OSError:
        return False
    try:
        syscalls.fsconfig_string(context, "lowerdir+", "/")
    except OSError:
        return False
    finally:
        os.close(context)
    return True


class _Support:
    """The answer of the kernel, asked once per process."""

    lowerdir_plus: bool | None = None


def mount_overlay(
    target: str, lowers: Sequence[str], upper: str | None, work: str | None, *, read_only: bool = False
) -> None:
    """Mount an overlay at `target`; `lowers` has the topmost first.

    Without `upper` and `work` (both None) it is a read-only view of at least two lowers. Raises OSError, with nothing
    mounted.
    """
    if not lowers or len(lowers) > MAX_LOWERS:
        raise OSError(errno.EINVAL, f"an overlay takes 1 to {MAX_LOWERS} lower directories, not {len(lowers)}", target)
    if (upper is None) != (work is None):
        raise OSError(errno.EINVAL, "an overlay needs both an upper and a work directory, or neither", target)
    if _Support.lowerdir_plus is None:
        _Support.lowerdir_plus = _knows_lowerdir_plus()
    by = _mount_by_fsconfig if _Support.lowerdir_plus else _mount_by_mount
    by(target, lowers, upper, work, read_only)


def umount(target: str, *, detach: bool = True) -> None:
    """Unmount `target`; with `detach` also while it is in use (it goes away with its last user)."""
    syscalls.umount2(target, syscalls.UMOUNT_NOFOLLOW | (syscalls.MNT_DETACH if detach else 0))
