"""System calls that Python 3.11 doesn't wrap. Each raises OSError that names the call and the object.

Called through ctypes.CDLL, so the GIL is released while the kernel works. Numbers from 424 up are the same on
every architecture.
"""

import ctypes
import os
from typing import Final

MS_RDONLY: Final = 0x1
MS_NOSUID: Final = 0x2
MS_NODEV: Final = 0x4
MS_NOEXEC: Final = 0x8
MS_SYNCHRONOUS: Final = 0x10
MS_REMOUNT: Final = 0x20
MS_MANDLOCK: Final = 0x40
MS_DIRSYNC: Final = 0x80
MS_NOATIME: Final = 0x400
MS_NODIRATIME: Final = 0x800
MS_BIND: Final = 0x1000
MS_REC: Final = 0x4000
MS_SILENT: Final = 0x8000
MS_UNBINDABLE: Final = 0x20000
MS_PRIVATE: Final = 0x40000
MS_SLAVE: Final = 0x80000
MS_SHARED: Final = 0x100000
MS_RELATIME: Final = 0x200000
MS_STRICTATIME: Final = 0x1000000

MNT_DETACH: Final = 0x2
UMOUNT_NOFOLLOW: Final = 0x8

CLONE_FS: Final = 0x00000200
CLONE_NEWNS: Final = 0x00020000
CLONE_NEWNET: Final = 0x40000000

RESOLVE_NO_XDEV: Final = 0x01
RESOLVE_NO_MAGICLINKS: Final = 0x02
RESOLVE_NO_SYMLINKS: Final = 0x04
RESOLVE_BENEATH: Final = 0x08
RESOLVE_IN_ROOT: Final = 0x10

FSCONFIG_SET_FLAG: Final = 0
FSCONFIG_SET_STRING: Final = 1
FSCONFIG_CMD_CREATE: Final = 6
MOUNT_ATTR_RDONLY: Final = 0x1

_SYS_MOVE_MOUNT: Final = 429
_SYS_FSOPEN: Final = 430
_SYS_FSCONFIG: Final = 431
_SYS_FSMOUNT: Final = 432
_SYS_OPENAT2: Final = 437

_AT_FDCWD: Final = -100
_FSOPEN_CLOEXEC: Final = 0x1
_FSMOUNT_CLOEXEC: Final = 0x1
_MOVE_MOUNT_F_EMPTY_PATH: Final = 0x4
_STATFS_SIZE: Final = 256  # struct statfs has 120 bytes on 64-bit machines; f_type is its first word


class _OpenHow(ctypes.Structure):
    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


_libc = ctypes.CDLL(None, use_errno=True)
_libc.mount.argtypes = (ctypes.c_char_p, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_ulong, ctypes.c_char_p)
_libc.umount2.argtypes = (ctypes.c_char_p, ctypes.c_int)
_libc.unshare.argtypes = (ctypes.c_int,)
_libc.setns.argtypes = (ctypes.c_int, ctypes.c_int)
_libc.statfs.argtypes = (ctypes.c_char_p, ctypes.c_char_p)
_libc.syscall.restype = ctypes.c_long


def _checked(result: int, call: str, name: str) -> int:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{call}: {os.strerror(code)}", name)
    return result


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else os.fsencode(text)


def mount(source: str | None, target: str, fstype: str | None = None, flags: int = 0, data: str | None = None) -> None:
    """mount(2). `data` is cut off by the kernel at one page: callers check its length."""
    result = _libc.mount(_bytes(source), os.fsencode(target), _bytes(fstype), flags, _bytes(data))
    _checked(result, f"mount {fstype or source or ''}".rstrip(), target)


def umount2(target: str, flags: int = 0) -> None:
    """umount2(2)."""
    _checked(_libc.umount2(os.fsencode(target), flags), "umount", target)


def unshare(flags: int) -> None:
    """unshare(2) for the calling thread."""
    _checked(_libc.unshare(flags), "unshare", f"flags {flags:#x}")


def setns(fd: int, nstype: int = 0) -> None:
    """setns(2) for the calling thread."""
    _checked(_libc.setns(fd, nstype), "setns", f"fd {fd}")


def openat2(dirfd: int, path: str, flags: int, *, mode: int = 0, resolve: int = 0) -> int:
    """openat2(2); the new descriptor is always close-on-exec."""
    how = _OpenHow(flags | os.O_CLOEXEC, mode, resolve)
    args = (ctypes.c_int(dirfd), ctypes.c_char_p(os.fsencode(path)), ctypes.byref(how), ctypes.c_size_t(24))
    return _checked(_libc.syscall(_SYS_OPENAT2, *args), "openat2", path)


def fsopen(fstype: str) -> int:
    """A new file system context (fsopen(2)); close it after use."""
    name = ctypes.c_char_p(os.fsencode(fstype))
    return _checked(_libc.syscall(_SYS_FSOPEN, name, ctypes.c_uint(_FSOPEN_CLOEXEC)), "fsopen", fstype)


def fsconfig_string(fd: int, key: str, value: str) -> None:
    """Set one option of a file system context. The kernel takes at most 255 bytes of value."""
    args = (ctypes.c_char_p(os.fsencode(key)), ctypes.c_char_p(os.fsencode(value)), ctypes.c_int(0))
    result = _libc.syscall(_SYS_FSCONFIG, ctypes.c_int(fd), ctypes.c_uint(FSCONFIG_SET_STRING), *args)
    _checked(result, f"fsconfig {key}", value)


def fsconfig_flag(fd: int, key: str) -> None:
    """Set one option without value, such as "ro"."""
    args = (ctypes.c_char_p(os.fsencode(key)), ctypes.c_char_p(None), ctypes.c_int(0))
    result = _libc.syscall(_SYS_FSCONFIG, ctypes.c_int(fd), ctypes.c_uint(FSCONFIG_SET_FLAG), *args)
    _checked(result, "fsconfig", key)


def fsconfig_create(fd: int) -> None:
    """Make the superblock that the context describes."""
    empty = (ctypes.c_char_p(None), ctypes.c_char_p(None), ctypes.c_int(0))
    result = _libc.syscall(_SYS_FSCONFIG, ctypes.c_int(fd), ctypes.c_uint(FSCONFIG_CMD_CREATE), *empty)
    _checked(result, "fsconfig create", context_log(fd))


def context_log(fd: int) -> str:
    """The kernel's messages on why a file system context failed ("": none)."""
    lines = []
    while True:
        try:
            lines.append(os.read(fd, 4096).decode(errors="replace").strip())
        except OSError:  # ENODATA: the log is read to its end
            return "; ".join(lines)


def fsmount(fd: int, attributes: int = 0) -> int:
    """A detached mount of the created superblock; closing the descriptor ends it."""
    args = (ctypes.c_int(fd), ctypes.c_uint(_FSMOUNT_CLOEXEC), ctypes.c_uint(attributes))
    return _checked(_libc.syscall(_SYS_FSMOUNT, *args), "fsmount", f"fd {fd}")


def attach_mount(mount_fd: int, target: str) -> None:
    """Attach a mount made by fsmount at `target` (move_mount(2)) in the calling thread's mount namespace."""
    source = (ctypes.c_int(mount_fd), ctypes.c_char_p(b""))
    where = (ctypes.c_int(_AT_FDCWD), ctypes.c_char_p(os.fsencode(target)))
    result = _libc.syscall(_SYS_MOVE_MOUNT, *source, *where, ctypes.c_uint(_MOVE_MOUNT_F_EMPTY_PATH))
    _checked(result, "move_mount", target)


def filesystem_magic(path: str) -> int:
    """f_type of statfs(2) (see linux/magic.h)."""
    buffer = ctypes.create_string_buffer(_STATFS_SIZE)
    _checked(_libc.statfs(os.fsencode(path), buffer), "statfs", path)
    return int.from_bytes(buffer.raw[:4], "little")
