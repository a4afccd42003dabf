"""Classic BPF as far as libseccomp uses it (linux/bpf_common.h), carried out."""

import ctypes
import operator
import struct
from collections.abc import Callable, Sequence
from typing import Final

ALLOW, ERRNO, KILL = 0x7FFF0000, 0x50000, 0
X86_64, X86, ARM64 = 0xC000003E, 0x40000003, 0xC00000B7
X32 = 0x40000000
MAXINSNS: Final = 4096
LOAD, AND, JUMP, RETURN = 0x20, 0x54, 0x05, 0x06
EQUAL, GREATER, AT_LEAST = 0x15, 0x25, 0x35
TESTS: Final[dict[int, Callable[[int, int], bool]]] = {
    EQUAL: operator.eq,
    GREATER: operator.gt,
    AT_LEAST: operator.ge,
}
_INSTRUCTION: Final = struct.Struct("=HBBI")

Program = Sequence[tuple[int, int, int, int]]


def read(filter_: bytes) -> Program:
    return list(_INSTRUCTION.iter_unpack(filter_))


def run(program: Program, arch: int, number: int, *args: int) -> int:
    """What the filter returns for a call."""
    data = struct.pack("=iIQ6Q", ctypes.c_int(number).value, arch, 0, *args, *(0,) * (6 - len(args)))
    at = value = 0
    while True:
        code, yes, no, k = program[at]
        at += 1
        if code == LOAD:
            (value,) = struct.unpack_from("=I", data, k)
        elif code == AND:
            value &= k
        elif code == RETURN:
            return k
        elif code == JUMP:
            at += k
        else:
            at += yes if TESTS[code](value, k) else no


def is_valid(program: Program) -> bool:
    """As the kernel sees it (bpf_check_classic, seccomp_check_filter)."""
    for at, (code, yes, no, k) in enumerate(program, 1):
        ahead = (yes, no) if code in TESTS else (k,) if code == JUMP else (0,) if code in (LOAD, AND) else ()
        if any(at + jump >= len(program) for jump in ahead) or (code == LOAD and (k % 4 or k >= 64)):
            return False
    return 0 < len(program) <= MAXINSNS and program[-1][0] == RETURN
