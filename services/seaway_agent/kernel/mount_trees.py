"""Copy, change and attach mounts by descriptor instead of by path, which could be redirected (open_tree(2)).

A copied tree belongs to no namespace and ends with its descriptor.
"""

import ctypes
import os
from typing import Final

from seaway_agent.kernel import syscalls

AT_RECURSIVE: Final = 0x8000
MOUNT_ATTR_RDONLY: Final = 0x1
_AT_FDCWD: Final = -100
_AT_EMPTY_PATH: Final = 0x1000
_OPEN_TREE_CLONE: Final = 0x1
_MOVE_MOUNT_F_EMPTY_PATH: Final = 0x4
_MOVE_MOUNT_T_EMPTY_PATH: Final = 0x40
_SYS_OPEN_TREE: Final = 428
_SYS_MOVE_MOUNT: Final = 429
_SYS_MOUNT_SETATTR: Final = 442


class _MountAttr(ctypes.Structure):
    _fields_ = (
        ("attr_set", ctypes.c_uint64),
        ("attr_clr", ctypes.c_uint64),
        ("propagation", ctypes.c_uint64),
        ("userns_fd", ctypes.c_uint64),
    )


_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


def _checked(result: int, call: str, name: str) -> int:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{call}: {os.strerror(code)}", name)
    return result


def copy_tree(path: str, *, recursive: bool) -> int:
    """A copy of the mount at `path`, which must be in the calling thread's namespace; links are followed."""
    flags = _OPEN_TREE_CLONE | os.O_CLOEXEC | (AT_RECURSIVE if recursive else 0)
    args = (ctypes.c_int(_AT_FDCWD), ctypes.c_char_p(os.fsencode(path)), ctypes.c_uint(flags))
    return _checked(_libc.syscall(_SYS_OPEN_TREE, *args), "open_tree", path)


def make_own(tree: int, *, read_only: bool = False) -> None:
    """Make a copied tree private: no mount propagates between it and its original. Needs Linux 5.12."""
    attr = _MountAttr(MOUNT_ATTR_RDONLY if read_only else 0, 0, syscalls.MS_PRIVATE, 0)
    flags = _AT_EMPTY_PATH | AT_RECURSIVE
    where = (ctypes.c_int(tree), ctypes.c_char_p(b""), ctypes.c_uint(flags))
    result = _libc.syscall(_SYS_MOUNT_SETATTR, *where, ctypes.byref(attr), ctypes.c_size_t(ctypes.sizeof(attr)))
    _checked(result, "mount_setattr", f"fd {tree}")


def attach_tree(tree: int, target: int) -> None:
    """Attach a copied tree on the file or directory `target`, a descriptor (O_PATH will do)."""
    flags = _MOVE_MOUNT_F_EMPTY_PATH | _MOVE_MOUNT_T_EMPTY_PATH
    empty = ctypes.c_char_p(b"")
    ends = (ctypes.c_int(tree), empty, ctypes.c_int(target), empty)
    result = _libc.syscall(_SYS_MOVE_MOUNT, *ends, ctypes.c_uint(flags))
    _checked(result, "move_mount", f"fd {target}")
