"""The compiled filter, run call by call beside the one that libseccomp writes for crun."""

import ctypes
import json
import operator
import os
import platform
import shutil
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from seaway_agent.kernel import seccomp_bpf
from seaway_agent.oci.capabilities import ALL, DEFAULT
from seaway_agent.oci.seccomp import base_names, compile_filter

PROFILE = Path("/usr/share/containers/seccomp.json")
pytestmark = [
    pytest.mark.skipif(not PROFILE.exists(), reason="needs the package golang-github-containers-common"),
    pytest.mark.skipif(platform.machine() != "x86_64", reason="numbers of one architecture"),
]
ALLOW, ERRNO, KILL = 0x7FFF0000, 0x50000, 0
X86_64, X86, ARM64 = 0xC000003E, 0x40000003, 0xC00000B7
X32 = 0x40000000
INSTRUCTION = struct.Struct("=HBBI")
# classic BPF, as far as libseccomp uses it (linux/bpf_common.h)
LOAD, AND, JUMP, RETURN = 0x20, 0x54, 0x05, 0x06
TESTS: dict[int, Callable[[int, int], bool]] = {0x15: operator.eq, 0x25: operator.gt, 0x35: operator.ge}


def run(program: list[tuple[int, int, int, int]], arch: int, number: int, *args: int) -> int:
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


def read(filter_: bytes) -> list[tuple[int, int, int, int]]:
    return list(INSTRUCTION.iter_unpack(filter_))


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


def as_crun(section: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> bytes:
    with monkeypatch.context() as patch:
        patch.setattr(seccomp_bpf, "_TREE", 1)
        made = seccomp_bpf.compile_tree(section)
    assert made is not None
    return made


@pytest.mark.parametrize("caps", [(), DEFAULT, (*DEFAULT, "CAP_SYS_ADMIN"), ALL])
def test_nothing_is_allowed_or_refused_otherwise(caps: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    section = compile_filter(base_names(json.loads(PROFILE.read_bytes())), caps, "x86_64")
    made = seccomp_bpf.compile_tree(section)
    assert made is not None
    tree, chain = read(made), read(as_crun(section, monkeypatch))
    results = set()
    for arch, number, *args in calls():
        result = run(tree, arch, number, *args)
        assert result == run(chain, arch, number, *args), (hex(arch), number, args)
        results.add(result)
    assert results == {ALLOW, ERRNO | 1, ERRNO | 38, KILL}


def test_the_path_is_short(monkeypatch: pytest.MonkeyPatch) -> None:
    section = compile_filter(base_names(json.loads(PROFILE.read_bytes())), DEFAULT, "x86_64")
    made = seccomp_bpf.compile_tree(section)
    assert made is not None
    assert len(made) // INSTRUCTION.size < 4096  # BPF_MAXINSNS
    assert steps(read(made)) < steps(read(as_crun(section, monkeypatch))) / 3


def steps(program: list[tuple[int, int, int, int]]) -> int:
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


def test_a_rule_of_another_kind_is_left_to_the_runtime() -> None:
    rule = {"names": ["mkdir"], "action": "SCMP_ACT_NOTIFY"}
    with pytest.raises(ValueError, match="SCMP_ACT_NOTIFY"):
        seccomp_bpf.compile_tree({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule]})


def test_no_library_no_filter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seccomp_bpf, "_library", lambda: None)
    assert seccomp_bpf.compile_tree({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": []}) is None


@pytest.mark.skipif(shutil.which("crun") is None, reason="needs the package crun")
def test_who_understands_it() -> None:
    assert seccomp_bpf.understood_by(shutil.which("crun") or "")
    assert not seccomp_bpf.understood_by(shutil.which("sh") or "")
    assert not seccomp_bpf.understood_by(os.devnull)
