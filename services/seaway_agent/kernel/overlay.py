"""Overlay mounts with any number of lower directories and names of any length.

Kernels that know `lowerdir+` (6.8) take one lower directory per fsconfig(2) call, so neither a ":" in a name nor the
page limit of mount(2) matters. Older ones get mount(2). A name that is too long for either way is given as
/proc/self/fd/N, which the kernel resolves to the same directory.
"""

import contextlib
import errno
import os
import resource
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from seaway_agent.kernel import syscalls

# fsconfig(2) refuses strings of 256 bytes and more with EINVAL.
_FSCONFIG_MAX: Final = 255
# OVL_MAX_STACK of fs/overlayfs/params.h.
MAX_LOWERS: Final = 500
# An upper directory must hold whole files under their own paths: diff and commit read it.
_UPPER_OPTIONS: Final = {"index": "off", "redirect_dir": "off", "metacopy": "off"}
_OPTION_SEPARATORS: Final = frozenset(",:\\")


class _Names:
    """Names of directories for the kernel: the path, or /proc/self/fd/N of a descriptor kept open."""

    def __init__(self, stack: contextlib.ExitStack) -> None:
        self._stack = stack

    def short(self, path: str) -> str:
        """A name of at most 24 bytes without separators."""
        fd = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        self._stack.callback(os.close, fd)
        return f"/proc/self/fd/{fd}"

    def for_fsconfig(self, path: str) -> str:
        return path if len(os.fsencode(path)) <= _FSCONFIG_MAX else self.short(path)


@dataclass(frozen=True, slots=True)
class _Overlay:
    """What to mount; `upper` and `work` are both given or both None."""

    lowers: Sequence[str]
    upper: str | None
    work: str | None
    read_only: bool
    volatile: bool


def _mount_by_fsconfig(target: str, overlay: _Overlay) -> None:
    with contextlib.ExitStack() as stack:
        names = _Names(stack)
        context = syscalls.fsopen("overlay")
        stack.callback(os.close, context)
        syscalls.fsconfig_string(context, "source", "overlay")
        for lower in overlay.lowers:
            syscalls.fsconfig_string(context, "lowerdir+", names.for_fsconfig(lower))
        if overlay.upper is not None and overlay.work is not None:
            syscalls.fsconfig_string(context, "upperdir", names.for_fsconfig(overlay.upper))
            syscalls.fsconfig_string(context, "workdir", names.for_fsconfig(overlay.work))
            for option, value in _UPPER_OPTIONS.items():
                syscalls.fsconfig_string(context, option, value)
            if overlay.volatile:
                syscalls.fsconfig_flag(context, "volatile")
        syscalls.fsconfig_create(context)
        mount_fd = syscalls.fsmount(context, syscalls.MOUNT_ATTR_RDONLY if overlay.read_only else 0)
        stack.callback(os.close, mount_fd)
        syscalls.attach_mount(mount_fd, target)


def _mount_data(overlay: _Overlay) -> str:
    """The option string of mount(2)."""
    data = "lowerdir=" + ":".join(overlay.lowers)
    if overlay.upper is not None:
        options = "".join(f",{option}={value}" for option, value in _UPPER_OPTIONS.items())
        data += f",upperdir={overlay.upper},workdir={overlay.work}{options}" + (",volatile" if overlay.volatile else "")
    return data


def _with_short_names(overlay: _Overlay, names: _Names) -> _Overlay:
    upper, work = (None if name is None else names.short(name) for name in (overlay.upper, overlay.work))
    return replace(overlay, lowers=[names.short(lower) for lower in overlay.lowers], upper=upper, work=work)


def _mount_by_mount(target: str, overlay: _Overlay) -> None:
    page = resource.getpagesize()
    data = _mount_data(overlay)
    given = "".join(name for name in (*overlay.lowers, overlay.upper, overlay.work) if name is not None)
    with contextlib.ExitStack() as stack:
        if len(os.fsencode(data)) >= page or not _OPTION_SEPARATORS.isdisjoint(given):
            data = _mount_data(_with_short_names(overlay, _Names(stack)))
        if len(data) >= page:
            reason = f"{len(overlay.lowers)} lower directories don't fit in the {page} bytes of mount(2): use Linux 6.8"
            raise OSError(errno.E2BIG, reason, target)
        syscalls.mount("overlay", target, "overlay", syscalls.MS_RDONLY if overlay.read_only else 0, data)


def _knows_lowerdir_plus() -> bool:
    """Whether this kernel supports `lowerdir+`, tested with a throw-away context."""
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
    """What the kernel supports, tested once per process."""

    lowerdir_plus: bool | None = None


def _forget_volatile(work: str) -> None:
    """Remove the mark of an earlier volatile mount, which would make the kernel refuse this one."""
    for mark in ("work/incompat/volatile/dirty", "work/incompat/volatile", "work/incompat"):
        with contextlib.suppress(FileNotFoundError):
            (os.unlink if mark.endswith("dirty") else os.rmdir)(f"{work}/{mark}")


def mount_overlay(
    target: str,
    lowers: Sequence[str],
    upper: str | None,
    work: str | None,
    *,
    read_only: bool = False,
    volatile: bool = False,
) -> None:
    """Mount an overlay at `target`; `lowers` has the topmost first.

    Without `upper` and `work` (both None) it is a read-only view of at least two lowers. `volatile` skips every
    sync of the upper directory: fsync inside does nothing, and the last unmount doesn't sync the file system below.
    Raises OSError, with nothing mounted.
    """
    if not lowers or len(lowers) > MAX_LOWERS:
        raise OSError(errno.EINVAL, f"an overlay takes 1 to {MAX_LOWERS} lower directories, not {len(lowers)}", target)
    if (upper is None) != (work is None):
        raise OSError(errno.EINVAL, "an overlay needs both an upper and a work directory, or neither", target)
    if work is not None and volatile:
        _forget_volatile(work)
    if _Support.lowerdir_plus is None:
        _Support.lowerdir_plus = _knows_lowerdir_plus()
    by = _mount_by_fsconfig if _Support.lowerdir_plus else _mount_by_mount
    by(target, _Overlay(lowers, upper, work, read_only, volatile))


def umount(target: str, *, detach: bool = True) -> None:
    """Unmount `target`; with `detach` also while it is in use (the mount ends with its last user)."""
    syscalls.umount2(target, syscalls.UMOUNT_NOFOLLOW | (syscalls.MNT_DETACH if detach else 0))
