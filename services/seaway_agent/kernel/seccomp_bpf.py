"""Compile a seccomp section of the OCI spec to the kernel's BPF by libseccomp, a dependency of crun.

crun does the same, but lets libseccomp emit a linear list of comparisons. On installation the kernel evaluates a filter
for every system call; a tree of comparisons takes a third of that time, and of each later call's. The rules are passed
to libseccomp as crun passes them, so the filter allows the same.
"""

import contextlib
import ctypes
import errno
import functools
import mmap
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

ANNOTATION: Final = "run.oci.seccomp_bpf_data"
"""The annotation under which crun (0.19 or newer) takes a filter as base64, in place of the section."""

_LIBRARY: Final = "libseccomp.so.2"
_ALLOW: Final = 0x7FFF0000
_ERRNO: Final = 0x00050000
_EPERM: Final = 1
# enum scmp_filter_attr: SCMP_FLTATR_CTL_OPTIMIZE, since libseccomp 2.5. Level 2 is the tree.
_OPTIMIZE: Final = 8
_TREE: Final = 2
_UNKNOWN_CALL: Final = -1
_OPERATORS: Final = {
    f"SCMP_CMP_{name}": number for number, name in enumerate(("NE", "LT", "LE", "EQ", "GE", "GT", "MASKED_EQ"), 1)
}


class _Comparison(ctypes.Structure):
    """struct scmp_arg_cmp of seccomp.h."""

    _fields_ = (
        ("arg", ctypes.c_uint),
        ("op", ctypes.c_int),
        ("datum_a", ctypes.c_uint64),
        ("datum_b", ctypes.c_uint64),
    )


def is_supported_by(program: str) -> bool:
    """Whether an OCI runtime knows the annotation; any other would run a container without a filter."""
    try:
        with Path(program).open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as text:
            return text.find(ANNOTATION.encode()) >= 0
    except (OSError, ValueError):
        return False


def compile_tree(section: Mapping[str, Any]) -> bytes | None:
    """The section's filter, an array of struct sock_filter; None if this machine's libseccomp can't make it.

    Knows the actions SCMP_ACT_ALLOW and SCMP_ACT_ERRNO. Raises ValueError for others, OSError where libseccomp refuses.
    """
    library = _library()
    if library is None:
        return None
    default = _action(section["defaultAction"], section.get("defaultErrnoRet"))
    with _context(library, default) as context:
        if library.seccomp_attr_set(context, _OPTIMIZE, _TREE) < 0:
            return None
        _add_architectures(library, context, section.get("architectures", ()))
        for rule in section["syscalls"]:
            action = _action(rule["action"], rule.get("errnoRet"))
            if action != default:
                _add(library, context, action, rule["names"], rule.get("args", ()))
        return _exported(library, context)


@functools.cache
def _library() -> ctypes.CDLL | None:
    try:
        library = ctypes.CDLL(_LIBRARY)
    except OSError:
        return None
    library.seccomp_init.restype = ctypes.c_void_p
    return library


@contextlib.contextmanager
def _context(library: ctypes.CDLL, default: int) -> Iterator[ctypes.c_void_p]:
    context = ctypes.c_void_p(library.seccomp_init(ctypes.c_uint32(default)))
    if not context:
        raise OSError(errno.ENOMEM, "libseccomp makes no filter")
    try:
        yield context
    finally:
        library.seccomp_release(context)


def _action(name: str, number: int | None) -> int:
    if name == "SCMP_ACT_ALLOW":
        return _ALLOW
    if name == "SCMP_ACT_ERRNO":
        return _ERRNO | (_EPERM if number is None else number)
    raise ValueError(f"the action {name} isn't compiled here")


def _add_architectures(library: ctypes.CDLL, context: ctypes.c_void_p, names: Sequence[str]) -> None:
    for name in names:
        token = library.seccomp_arch_resolve_name(name.removeprefix("SCMP_ARCH_").lower().encode())
        if not token:
            raise ValueError(f"libseccomp doesn't know the architecture {name}")
        _checked(library.seccomp_arch_add(context, ctypes.c_uint32(token)), name, fine=errno.EEXIST)


def _add(
    library: ctypes.CDLL, context: ctypes.c_void_p, action: int, names: Sequence[str], args: Sequence[Mapping[str, Any]]
) -> None:
    """Add one rule. Skips calls that this libseccomp doesn't know, as crun does."""
    compared = (_Comparison * len(args))(
        *(_Comparison(arg["index"], _OPERATORS[arg["op"]], arg["value"], arg.get("valueTwo", 0)) for arg in args)
    )
    for name in names:
        number = library.seccomp_syscall_resolve_name(name.encode())
        if number != _UNKNOWN_CALL:
            code = library.seccomp_rule_add_array(context, ctypes.c_uint32(action), number, len(args), compared)
            _checked(code, name)


def _exported(library: ctypes.CDLL, context: ctypes.c_void_p) -> bytes:
    fd = os.memfd_create("seccomp", os.MFD_CLOEXEC)
    try:
        _checked(library.seccomp_export_bpf(context, fd), "the filter")
        return os.pread(fd, os.fstat(fd).st_size, 0)
    finally:
        os.close(fd)


def _checked(code: int, what: str, fine: int = 0) -> None:
    """Raise OSError for libseccomp's negative error numbers."""
    if code < 0 and -code != fine:
        raise OSError(-code, os.strerror(-code), what)
