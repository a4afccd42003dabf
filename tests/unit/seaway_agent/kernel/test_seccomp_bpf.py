"""The compiled filter, run call by call beside the one that libseccomp writes for crun."""

import base64
import errno
import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.unit.seaway_agent.kernel.bpf import ALLOW, ARM64, ERRNO, KILL, X32, X86, X86_64, Program, is_valid, read, run

from seaway_agent.kernel import seccomp_bpf
from seaway_agent.oci.capabilities import ALL, DEFAULT
from seaway_agent.oci.seccomp import base_names, compile_filter

PROFILE = Path("/usr/share/containers/seccomp.json")
pytestmark = [
    pytest.mark.skipif(not PROFILE.exists(), reason="needs the package golang-github-containers-common"),
    pytest.mark.skipif(platform.machine() != "x86_64", reason="numbers of one architecture"),
]


def calls() -> Iterator[tuple[int, ...]]:
    """Every number that there is and some that there aren't, and every argument that a rule looks at."""
    for arch in (X86_64, X86, ARM64):
        for number in (*range(600), *range(X32, X32 + 600), 0xFFFFFFFF):
            yield arch, number
    for flag in (*(1 << bit for bit in range(40)), 0x7E020000, 0x1200011, (1 << 32) | 0x10000000):
        for arch, clone in ((X86_64, 56), (X86, 120), (X86_64, X32 + 56)):
            yield arch, clone, flag
    for family in (*range(60), 1 << 31, (1 << 32) + 38, (1 << 32) + 2):
        yield from ((X86_64, 41, family), (X86, 359, family), (X86_64, X32 + 41, family))
    for persona in (0, 1, 8, 0x20000, 0x20008, 0xFFFFFFFF, 0xFFFFFFFFFFFFFFFF, 1 << 32, 0x40000):
        yield from ((X86_64, 135, persona), (X86, 136, persona))


def section(*caps: str) -> dict[str, Any]:
    return compile_filter(base_names(json.loads(PROFILE.read_bytes())), caps, "x86_64")


def compiled(*caps: str) -> bytes:
    made = seccomp_bpf.compile_tree(section(*caps))
    assert made is not None
    return made


def chain_of(*caps: str) -> Program:
    """What crun has libseccomp make of the same rules."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(seccomp_bpf, "_TREE", 1)
        return read(compiled(*caps))


@pytest.mark.parametrize("caps", [(), DEFAULT, (*DEFAULT, "CAP_SYS_ADMIN"), ALL])
def test_nothing_is_allowed_or_refused_otherwise(caps: tuple[str, ...]) -> None:
    made, chain = read(compiled(*caps)), chain_of(*caps)
    assert is_valid(made)
    results = set()
    for arch, number, *args in calls():
        result = run(made, arch, number, *args)
        assert result == run(chain, arch, number, *args), (hex(arch), number, args)
        results.add(result)
    assert results == {ALLOW, ERRNO | 1, ERRNO | 38, KILL}


@pytest.mark.parametrize("caps", [(), DEFAULT, ALL])
def test_the_path_through_the_program_is_short(caps: tuple[str, ...]) -> None:
    assert steps(read(compiled(*caps))) < steps(chain_of(*caps)) / 3


def steps(program: Program) -> int:
    """How many instructions it takes to try every call."""
    counted = Counted(program)
    for number in range(450):
        run(counted, X86_64, number)
    return counted.taken


class Counted(list[tuple[int, int, int, int]]):
    taken = 0

    def __getitem__(self, at: Any) -> Any:
        self.taken += 1
        return super().__getitem__(at)


UNDER_IT = """
import base64, ctypes, json, os, socket, sys

class Program(ctypes.Structure):
    _fields_ = (("len", ctypes.c_ushort), ("filter", ctypes.c_char_p))

PR_SET_NO_NEW_PRIVS, SECCOMP, SET_MODE_FILTER = 38, 317, 1
UNSHARE, PERSONALITY, CLONE3, UNKNOWN = 272, 135, 435, 500
CLONE_NEWUTS, ADDR_NO_RANDOMIZE, WHAT_IT_IS = 0x04000000, 0x0040000, 0xFFFFFFFF
libc = ctypes.CDLL(None, use_errno=True)
code = base64.b64decode(sys.argv[1])
program = Program(len(code) // 8, code)

def tried(*call):
    ctypes.set_errno(0)
    libc.syscall(*(ctypes.c_ulong(one) if isinstance(one, int) else one for one in call))
    return ctypes.get_errno()

def opened(family):
    try:
        socket.socket(family, socket.SOCK_STREAM).close()
    except OSError as error:
        return error.errno
    return 0

assert libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
loaded = tried(SECCOMP, SET_MODE_FILTER, 0, ctypes.byref(program))
print(json.dumps({
    "loaded": loaded,
    "stat": os.path.isdir("/"),
    "unshare": tried(UNSHARE, CLONE_NEWUTS),
    "personality as it is": tried(PERSONALITY, WHAT_IT_IS),
    "another personality": tried(PERSONALITY, ADDR_NO_RANDOMIZE),
    "clone3": tried(CLONE3, 0, 0),
    "unknown": tried(UNKNOWN),
    "AF_UNIX": opened(socket.AF_UNIX),
    "AF_VSOCK": opened(socket.AF_VSOCK),
}))
"""


@pytest.mark.skipif("\nSeccomp:" not in Path("/proc/self/status").read_text(), reason="needs a kernel with seccomp")
def test_the_kernel_takes_it() -> None:
    argv = [sys.executable, "-c", UNDER_IT, base64.b64encode(compiled(*DEFAULT)).decode()]
    told = subprocess.run(argv, stdout=subprocess.PIPE, check=True, timeout=30).stdout
    assert json.loads(told) == {
        "loaded": 0,
        "stat": True,
        "unshare": errno.EPERM,
        "personality as it is": 0,
        "another personality": errno.ENOSYS,
        "clone3": errno.ENOSYS,
        "unknown": errno.ENOSYS,
        "AF_UNIX": 0,
        "AF_VSOCK": errno.EPERM,
    }


def test_a_rule_of_another_kind_is_left_to_the_runtime() -> None:
    rule = {"names": ["mkdir"], "action": "SCMP_ACT_NOTIFY"}
    with pytest.raises(ValueError, match="SCMP_ACT_NOTIFY"):
        seccomp_bpf.compile_tree({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule]})


def test_no_library_no_filter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seccomp_bpf, "_library", lambda: None)
    assert seccomp_bpf.compile_tree({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": []}) is None


@pytest.mark.skipif(shutil.which("crun") is None, reason="needs the package crun")
def test_which_programs_support_it() -> None:
    assert seccomp_bpf.is_supported_by(shutil.which("crun") or "")
    assert not seccomp_bpf.is_supported_by(shutil.which("sh") or "")
    assert not seccomp_bpf.is_supported_by(os.devnull)
