"""Filters rewritten, and carried out beside what they were made of."""

import platform
from collections.abc import Iterable
from itertools import cycle, product
from typing import Any

import pytest
from hypothesis import given, reject
from hypothesis import strategies as st
from tests.unit.seaway_agent.kernel.bpf import (
    ALLOW,
    AND,
    ARM64,
    AT_LEAST,
    EQUAL,
    ERRNO,
    GREATER,
    JUMP,
    KILL,
    LOAD,
    RETURN,
    TESTS,
    X32,
    X86,
    X86_64,
    Program,
    is_valid,
    read,
    run,
    written,
)

from seaway_agent.kernel import bpf_ranges, seccomp_bpf
from seaway_agent.kernel.bpf_ranges import NotUnderstoodError, rewritten, smaller

Instruction = tuple[int, int, int, int]
NUMBER, ARCH, ARG, POINTER = 0, 4, 16, 8
LAST = 0xFFFFFFFF
BIT_IS_SET, PLUS, NEGATE, RETURN_VALUE, LOAD_CONSTANT, STORE = 0x45, 0x04, 0x84, 0x16, 0x00, 0x02
x86_64_only = pytest.mark.skipif(platform.machine() != "x86_64", reason="numbers of one architecture")


def load(place: int) -> Instruction:
    return LOAD, 0, 0, place


def compare(code: int, k: int, yes: int, no: int) -> Instruction:
    return code, yes, no, k


def answer(k: int) -> Instruction:
    return RETURN, 0, 0, k


def each_by_itself(numbers: Iterable[int]) -> list[Instruction]:
    """In libseccomp's way."""
    tests = [pair for number in numbers for pair in (compare(EQUAL, number, 0, 1), answer(ALLOW))]
    return [load(ARCH), compare(EQUAL, X86_64, 1, 0), answer(KILL), load(NUMBER), *tests, answer(ERRNO)]


def test_neighbours_are_found_together() -> None:
    program = written(each_by_itself([*range(10, 20), *range(21, 100)]))
    assert read(smaller(program)) == [
        load(ARCH),
        compare(EQUAL, X86_64, 0, 6),
        load(NUMBER),
        compare(AT_LEAST, 10, 0, 3),
        compare(AT_LEAST, 100, 2, 0),
        compare(EQUAL, 20, 1, 0),
        answer(ALLOW),
        answer(ERRNO),
        answer(KILL),
    ]


# --- whatever the program


CONSTANTS = (0, 1, 3, 7, X32, X32 + 7, X86, X86_64, LAST - 1, LAST)
AROUND = sorted({(k + step) & LAST for k in CONSTANTS for step in (-1, 0, 1)})
constants = st.sampled_from(CONSTANTS)
jumps = st.integers(0, 6)
tests = st.builds(compare, st.sampled_from(sorted(TESTS)), constants, jumps, jumps)
pieces = st.one_of(
    st.tuples(st.sampled_from((NUMBER, ARCH)).map(load), tests),
    st.tuples(st.sampled_from((POINTER, ARG, ARG + 4, ARG + 12)).map(load), tests),
    st.tuples(st.just(load(ARG)), constants.map(lambda k: (AND, 0, 0, k)), tests),
    st.tuples(tests, tests),
    st.one_of(jumps.map(lambda k: (JUMP, 0, 0, k)), st.sampled_from((ALLOW, ERRNO | 1, KILL)).map(answer)).map(
        lambda one: (one,)
    ),
)
words = st.sampled_from(AROUND)
longs = st.builds(lambda high, low: high << 32 | low, words, words)


def ended(body: list[Instruction]) -> list[Instruction]:
    """All jumps inside: one that leads too far leads to the end."""
    left = range(len(body), 0, -1)
    made = [
        (code, min(yes, far - 1), min(no, far - 1), min(k, far - 1) if code == JUMP else k)
        for far, (code, yes, no, k) in zip(left, body, strict=True)
    ]
    return [*made, answer(ERRNO | 38)]


@given(st.lists(pieces, min_size=1, max_size=15), st.lists(st.tuples(longs, longs), min_size=5, max_size=5))
def test_any_program_answers_as_before(drawn: list[tuple[Instruction, ...]], args: list[tuple[int, int]]) -> None:
    program = ended([load(NUMBER), *(instruction for piece in drawn for instruction in piece)])
    try:
        made = read(rewritten(written(program)))
    except NotUnderstoodError:  # a jump to the mask of an argument
        reject()
    assert is_valid(made)
    for (arch, number), pair in zip(product(AROUND, AROUND), cycle(args)):
        assert run(made, arch, number, *pair) == run(program, arch, number, *pair), (arch, number, pair)


# --- whatever the profile

NAMES = ("read", "write", "open", "close", "stat", "clone", "clone3", "personality", "ioctl", "mmap", "openat", "futex")
datums = st.one_of(
    st.sampled_from((0, 1, 2, LAST, LAST + 1, LAST << 32, (1 << 64) - 1, 0x7E020000)), st.integers(0, (1 << 64) - 1)
)
arguments = st.lists(
    st.fixed_dictionaries(
        {
            "index": st.integers(0, 5),
            "op": st.sampled_from(("NE", "LT", "LE", "EQ", "GE", "GT", "MASKED_EQ")).map("SCMP_CMP_{}".format),
            "value": datums,
            "valueTwo": datums,
        }
    ),
    max_size=2,
    unique_by=lambda arg: str(arg["index"]),
)
actions = st.sampled_from((("SCMP_ACT_ALLOW", None), ("SCMP_ACT_ERRNO", None), ("SCMP_ACT_ERRNO", 38)))


@st.composite
def profiles(draw: st.DrawFn) -> dict[str, Any]:
    default, default_number = draw(actions)
    syscalls = []
    some = st.lists(st.sampled_from(NAMES), min_size=1, max_size=6, unique=True)
    for names in draw(st.lists(some, min_size=1, max_size=4)):  # with more of a call libseccomp takes minutes
        action, number = draw(actions)
        syscalls.append({"names": names, "action": action, "errnoRet": number, "args": draw(arguments)})
    architectures = st.sampled_from(("X86_64", "X86", "X32", "AARCH64", "ARM", "RISCV64"))
    return {
        "defaultAction": default,
        "defaultErrnoRet": default_number,
        "architectures": draw(st.lists(architectures.map("SCMP_ARCH_{}".format), unique=True)),
        "syscalls": syscalls,
    }


def by_libseccomp(profile: dict[str, Any]) -> Program:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bpf_ranges, "smaller", lambda filter_: filter_)
        made = seccomp_bpf.compile_tree(profile)
    assert made is not None
    return read(made)


def tried(profile: dict[str, Any], others: list[tuple[int, ...]]) -> Iterable[tuple[int, ...]]:
    """Calls that the rules are about, and arguments around those that they name."""
    named = [arg["value"] for rule in profile["syscalls"] for arg in rule["args"]]
    for arch in (X86_64, X86, ARM64, 0x40000028, 0xC00000F3):
        for number in (*range(16), 56, 120, 135, 136, 202, 240, 257, 295, 435, X32, X32 + 1, X32 + 56, X32 + 512, LAST):
            yield arch, number
            for value in named:
                yield arch, number, *(value,) * 6
                yield arch, number, *((value + 1) % (1 << 64),) * 6
    for _, number, *args in others:
        yield X86_64, number, *args
        yield X86, number % 512, *args


@x86_64_only
@given(profiles(), st.lists(st.tuples(st.just(0), st.integers(0, 512), *[datums] * 6), max_size=10))
def test_any_profile_is_kept(profile: dict[str, Any], others: list[tuple[int, ...]]) -> None:
    try:
        tree = by_libseccomp(profile)
    except OSError:  # rules that contradict each other
        reject()
    made = read(rewritten(written(tree)))
    assert is_valid(made)
    for call in tried(profile, others):
        assert run(made, *call) == run(tree, *call), call


# --- what lies further than the eight bits of a test reach


@x86_64_only
def test_it_is_jumped_to() -> None:
    def rule(name: str, value: int) -> dict[str, Any]:
        arg = {"index": 0, "value": value, "op": "SCMP_CMP_EQ"}
        return {"names": [name], "action": "SCMP_ACT_ALLOW", "args": [arg]}

    rules = [rule(name, salt * 100 + step) for salt, name in enumerate(NAMES, 1) for step in range(40)]
    tree = by_libseccomp({"defaultAction": "SCMP_ACT_ERRNO", "syscalls": rules})
    made = read(rewritten(written(tree)))
    assert is_valid(made)
    assert JUMP in {code for code, *_ in made}
    for number in range(512):
        for value in (0, *range(100, 1400, 13), *range(139, 1400, 100)):
            assert run(made, X86_64, number, value) == run(tree, X86_64, number, value)


@pytest.mark.parametrize("length", range(250, 262))
def test_a_jump_moves_nothing_out_of_reach(length: int) -> None:
    """Of two branches of a test the first is only just in reach, the second isn't, behind one of that length."""

    def values(first: int, count: int) -> list[Instruction]:
        tests = [(compare(EQUAL, value, 0, 1), answer(ALLOW)) for value in range(first, first + count)]
        return [load(ARG), *(instruction for two in tests for instruction in two), answer(ERRNO)]

    usual, five, above = values(1000, 9), values(2000, 9), values(3000, length)
    branches = [compare(AT_LEAST, 10, 0, 1), (JUMP, 0, 0, len(five) + len(usual) + 1), compare(EQUAL, 5, 0, len(five))]
    program = [load(NUMBER), *branches, *five, *usual, *above]
    made = read(rewritten(written(program)))
    assert is_valid(made)
    for number in (0, 5, 10):
        for value in (0, *range(1000, 1010), *range(2000, 2010), *range(3000, 3000 + length + 1)):
            assert run(made, X86_64, number, value) == run(program, X86_64, number, value)


# --- what is left as it is

NUMBERS = each_by_itself(range(50))


@pytest.mark.parametrize(
    "odd",
    [
        [(BIT_IS_SET, 0, 0, X32)],
        [(PLUS, 0, 0, 1)],
        [(AND, 0, 0, 0xFF), compare(EQUAL, 3, 0, 0)],
        [(NEGATE, 0, 0, 0)],
        [(LOAD_CONSTANT, 0, 0, 3)],
        [(STORE, 0, 0, 0)],
        [load(ARG), (RETURN_VALUE, 0, 0, 0)],
        [load(64)],
        [load(2)],
        [(JUMP, 0, 0, LAST)],
        [(JUMP, 0, 0, 1 << 20)],
    ],
    ids=str,
)
def test_what_is_not_understood_stays(odd: list[Instruction]) -> None:
    program = written([load(NUMBER), *odd, *NUMBERS])
    with pytest.raises(NotUnderstoodError):
        rewritten(program)
    assert smaller(program) == program


@pytest.mark.parametrize(
    "program",
    [
        b"",
        written(NUMBERS)[:-1],
        written(NUMBERS[:-1]),
        written([compare(EQUAL, 0, 0, 0), *NUMBERS]),
        written([(AND, 0, 0, 0), *NUMBERS]),
        written([*NUMBERS[:-1], compare(GREATER, 5, 7, 7)]),
    ],
    ids=["empty", "a piece", "without an end", "tests nothing", "masks nothing", "jumps out"],
)
def test_what_is_no_program_stays(program: bytes) -> None:
    with pytest.raises(NotUnderstoodError):
        rewritten(program)
    assert smaller(program) == program


def test_what_would_grow_stays() -> None:
    program = written([load(ARCH), compare(EQUAL, X86_64, 0, 1), answer(ALLOW), answer(KILL)])
    assert len(rewritten(program)) == len(program)
    assert smaller(program) == program
    at_once = written([answer(ALLOW)])
    assert smaller(at_once) == at_once
