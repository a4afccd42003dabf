"""Lists of system calls, made by real processes."""

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from seaway_agent.keeper import calls
from seaway_agent.keeper.calls import ANYTHING, Calls, has_ended

pytestmark = pytest.mark.skipif(os.uname().machine != calls.MACHINE, reason="x86-64")
READ, WRITE, ACCESS, PAUSE, GETPID, EXECVE, MKDIR, EXIT_GROUP = 0, 1, 21, 34, 39, 59, 83, 231
CLONE_THREAD = 0x10000


@pytest.fixture(scope="module")
def code() -> int:
    return calls.executable()


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    yield ends
    for end in ends:
        os.close(end)


@pytest.fixture
def say(pipe: tuple[int, int]) -> Calls:
    """A list whose failure says `f`."""
    made = Calls()
    made.add(WRITE, pipe[1], made.put(b"f"), 1)
    made.add(EXIT_GROUP, 9)
    made.start()
    return made


def ended(made: Calls, code: int) -> None:
    assert has_ended(made.run(code))


def said(pipe: tuple[int, int]) -> bytes:
    os.write(pipe[1], b".")
    return os.read(pipe[0], 100)


def test_one_after_another(say: Calls, pipe: tuple[int, int], code: int) -> None:
    for word in (b"one ", b"two"):
        say.add(WRITE, pipe[1], say.put(word), len(word), least=len(word))
    say.add(EXIT_GROUP, 0)
    ended(say, code)
    assert said(pipe) == b"one two."


def test_what_fails_ends_the_list(say: Calls, pipe: tuple[int, int], code: int) -> None:
    say.add(MKDIR, say.text("/"), 0o700)
    say.add(WRITE, pipe[1], say.put(b"x"), 1)
    ended(say, code)
    assert said(pipe) == b"f."


def test_less_than_what_is_asked_for_is_a_failure(say: Calls, pipe: tuple[int, int], code: int) -> None:
    say.add(WRITE, pipe[1], say.put(b"x"), 1, least=2)
    ended(say, code)
    assert said(pipe) == b"xf."


def test_what_may_fail(say: Calls, pipe: tuple[int, int], code: int) -> None:
    say.add(MKDIR, say.text("/"), 0o700, least=ANYTHING)
    say.add(WRITE, pipe[1], say.put(b"x"), 1)
    say.add(EXIT_GROUP, 0)
    ended(say, code)
    assert said(pipe) == b"x."


def test_what_is_left_out_behind_a_failure(say: Calls, pipe: tuple[int, int], code: int) -> None:
    for path in ("/", "/nowhere"):
        say.add(ACCESS, say.text(path), os.F_OK, skip=2)
        say.add(WRITE, pipe[1], say.put(b"1"), 1)
        say.add(WRITE, pipe[1], say.put(b"2"), 1)
    say.add(WRITE, pipe[1], say.put(b"3"), 1)
    say.add(EXIT_GROUP, 0)
    ended(say, code)
    assert said(pipe) == b"123."


def test_memory_is_shared(say: Calls, pipe: tuple[int, int], code: int) -> None:
    os.write(pipe[1], (4711).to_bytes(4, "little"))
    place = say.numbers("i", 0)
    say.add(READ, pipe[0], place, 4, least=4)
    say.add(EXIT_GROUP, 0)
    assert say.number_at(place) == 0
    ended(say, code)
    assert say.number_at(place) == 4711


def test_a_list_can_be_begun_anew(say: Calls, pipe: tuple[int, int], code: int) -> None:
    for word in (b"a" * 50, b"b"):
        say.begin()
        say.add(EXIT_GROUP, 9)
        say.start()
        say.add(WRITE, pipe[1], say.put(word), len(word))
        say.add(EXIT_GROUP, 0)
        ended(say, code)
    assert said(pipe) == b"a" * 50 + b"b."


def test_one_that_becomes_a_program_is_a_child_as_others(say: Calls, pipe: tuple[int, int], code: int) -> None:
    argv = [sys.executable, "-IS", "-c", f"import os, sys; os.write({pipe[1]}, os.environb[b'A']); sys.exit(3)"]
    os.set_inheritable(pipe[1], True)
    say.add(EXECVE, say.text(argv[0]), say.texts(argv), say.texts(["A=\udce4"]))
    pid = say.run(code)
    assert os.read(pipe[0], 1) == b"\xe4"  # before that, it is no such child
    assert not has_ended(pid)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 3


def test_its_signals_are_blocked_and_ours_are_not(say: Calls, code: int) -> None:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    say.add(PAUSE)
    pid = say.run(code)
    try:
        assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == before
        status = Path(f"/proc/{pid}/status").read_text()
        blocked = next(int(row.split()[1], 16) for row in status.splitlines() if row.startswith("SigBlk"))
        assert all(blocked >> (number - 1) & 1 for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP})
    finally:
        os.kill(pid, signal.SIGKILL)
        assert has_ended(pid)


def test_many_at_once(pipe: tuple[int, int], code: int) -> None:
    """Each has a list of its own; who ends leaves others alone."""
    lists = [Calls() for _ in range(50)]
    pids = []
    for number, made in enumerate(lists):
        made.add(EXIT_GROUP, 9)
        made.start()
        made.add(WRITE, pipe[1], made.put(bytes([number])), 1)
        made.add(EXIT_GROUP, 0)
        pids.append(made.run(code))
    assert all(has_ended(pid) for pid in pids)
    assert sorted(said(pipe)[:-1]) == list(range(50))


def test_a_clone_that_is_refused(say: Calls, code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    say.add(EXIT_GROUP, 0)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    monkeypatch.setattr(calls, "_CLONE_VM", CLONE_THREAD)  # not without two other flags
    with pytest.raises(OSError, match="clone"):
        say.run(code)
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == before


def test_too_much_to_say() -> None:
    made = Calls()
    with pytest.raises(OverflowError):
        made.put(bytes(512 << 10))


def test_too_many_calls(code: int) -> None:
    made = Calls()
    for _ in range(600):
        made.add(GETPID)
    with pytest.raises(OverflowError):
        made.run(code)


@pytest.mark.parametrize("text", ["a\0b", "\ud800"])
def test_text_that_c_has_no_string_for(text: str) -> None:
    with pytest.raises(ValueError):
        Calls().text(text)


def test_a_number_that_is_too_great() -> None:
    with pytest.raises(OverflowError):
        Calls().numbers("I", 1 << 32)


def test_another_kind_of_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "MACHINE", "m68k")
    with pytest.raises(OSError, match="x86-64"):
        calls.executable()


def test_the_code_is_not_to_be_written(code: int) -> None:
    rows = [row.split() for row in Path("/proc/self/maps").read_text().splitlines()]
    spans = [(*(int(end, 16) for end in row[0].split("-")), row[1]) for row in rows]
    assert [rights for low, high, rights in spans if low <= code < high] in (["r-xs"], ["r-xp"])
