"""Programs that are brought into the namespaces of a process, by the test's own."""

import ctypes
import os
import re
import signal
import stat
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import pytest
from tests.unit.seaway_agent.keeper.target import KINDS, WHERE_ONE_CAN_ENTER, Target, target

from seaway_agent.keeper import entering
from seaway_agent.keeper.entering import Enterer, Entering
from seaway_agent.keeper.orders import Entry
from seaway_testing.descriptors import open_descriptors

pytestmark = WHERE_ONE_CAN_ENTER
_GET_DUMPABLE, _SET_DUMPABLE = 3, 4
_ALLOW_ALL: Final = struct.pack("=HBBI", 0x06, 0, 0, 0x7FFF0000)
_libc = ctypes.CDLL(None)


class ReadOnly:
    f_flag = os.ST_RDONLY


@pytest.fixture
def enterer(monkeypatch: pytest.MonkeyPatch) -> Iterator[Enterer]:
    dumpable = _libc.prctl(_GET_DUMPABLE, 0, 0, 0, 0)
    with monkeypatch.context() as patch:  # this process need not be safe from what the test puts there
        patch.setattr(os, "statvfs", lambda _: ReadOnly())
        made = Enterer()
    yield made
    _libc.prctl(_SET_DUMPABLE, dumpable, 0, 0, 0)


@pytest.fixture(scope="module")
def there() -> Iterator[Target]:
    with target() as made:
        yield made


@dataclass
class Outcome:
    arrived: bool
    code: int
    out: str
    pid_file: str


class Sender:
    """Sends one after another, each to its end."""

    def __init__(self, enterer: Enterer, place: Path) -> None:
        self.enterer = enterer
        self.pid_file = place / "pidfile"

    def __call__(self, where: Target, entry: Entry, before: Callable[[Entering], object] | None = None) -> Outcome:
        """`before` is done instead of the leave."""
        reader, writer = os.pipe()
        null, pid_file = os.open(os.devnull, os.O_RDONLY), os.open(self.pid_file, os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
        try:
            sent = self.enterer.send(entry, where.pidfd, [null, writer, writer], pid_file)
        except BaseException:
            os.close(reader)
            os.close(pid_file)
            raise
        finally:
            for fd in (null, writer):
                os.close(fd)
        if sent.is_ready():
            os.write(pid_file, b"%d" % sent.pid)
            (before or Entering.go)(sent)
            assert not sent.is_ready()
        os.close(pid_file)
        return self._end(sent, reader)

    def _end(self, sent: Entering, reader: int) -> Outcome:
        arrived = self.enterer.arrived(sent)
        with open(reader) as file:
            out = file.read()
        code = os.waitstatus_to_exitcode(os.waitpid(sent.pid, 0)[1]) if arrived else -1
        return Outcome(arrived, code, out, self.pid_file.read_text())


@pytest.fixture
def send(enterer: Enterer, tmp_path: Path) -> Iterator[Sender]:
    before = open_descriptors()
    yield Sender(enterer, tmp_path)
    assert open_descriptors() <= before


def status(out: str) -> dict[str, str]:
    return {name: value.strip() for name, _, value in (row.partition(":") for row in out.splitlines())}


STATUS: Final = ("cat", "/proc/self/status")


def test_it_is_in_all_namespaces_and_alone(send: Sender, there: Target) -> None:
    links = [f"/proc/self/ns/{kind}" for kind in KINDS]
    found = send(there, there.entry("sh", "-c", f"readlink {' '.join(links)}; echo $PPID; exit 3"))
    assert found.out.splitlines() == [*there.namespaces(), "0"]
    assert (found.arrived, found.code) == (True, 3)
    assert found.pid_file.isdigit()


def test_only_what_is_asked_for_is_joined(send: Sender, there: Target) -> None:
    flags = KINDS["mnt"] | KINDS["pid"]
    found = send(there, there.entry("readlink", "/proc/self/ns/net", "/proc/self/ns/pid", namespaces=flags))
    assert found.out.splitlines() == [os.readlink("/proc/self/ns/net"), os.readlink(f"/proc/{there.pid}/ns/pid")]


def test_this_process_stays_where_it_is(send: Sender, there: Target) -> None:
    before = [os.readlink(f"/proc/self/ns/{kind}") for kind in (*KINDS, "pid_for_children")]
    send(there, there.entry("true"))
    assert [os.readlink(f"/proc/self/ns/{kind}") for kind in (*KINDS, "pid_for_children")] == before


def test_who_it_is(send: Sender, there: Target) -> None:
    changes: dict[str, Any] = {"uid": 1000, "gid": 100, "groups": [7, 100], "umask": 0o077}
    masks = {"bounding": 0b1011, "permitted": 0b11, "effective": 0b1, "inheritable": 0b10}
    found = status(send(there, there.entry(*STATUS, **changes, **masks)).out)
    assert (found["Uid"].split(), found["Gid"].split()) == (["1000"] * 4, ["100"] * 4)
    assert (found["Groups"], found["Umask"]) == ("7 100", "0077")
    assert int(found["CapBnd"], 16) == 0b1011
    assert [int(found[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapAmb")] == [0b10, 0, 0, 0]


def test_roots_capabilities_are_those_that_are_given(send: Sender, there: Target) -> None:
    found = status(send(there, there.entry(*STATUS, bounding=0b101, permitted=0b101, effective=0b101)).out)
    assert [int(found[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapBnd")] == [0, 0b101, 0b101, 0b101]


def test_its_signals_are_nobodys(send: Sender, there: Target) -> None:
    found = status(send(there, there.entry(*STATUS)).out)
    assert {found[name] for name in ("SigPnd", "SigBlk", "SigIgn", "SigCgt")} == {"0" * 16}


def test_a_session_of_its_own_and_three_descriptors(send: Sender, there: Target) -> None:
    found = send(there, there.entry("sh", "-c", "echo $$ $(cut -d' ' -f5,6 /proc/$$/stat); ls /proc/$$/fd"))
    ids, *fds = found.out.splitlines()
    assert len(set(ids.split())) == 1
    assert fds == ["0", "1", "2"]


def test_its_limits_and_directory(send: Sender, there: Target) -> None:
    entry = there.entry("sh", "-c", "ulimit -Sn; ulimit -Hn; pwd", cwd="/usr/lib", rlimits=[(7, 50, 60)])
    assert send(there, entry).out.split() == ["50", "60", "/usr/lib"]


@pytest.mark.parametrize("no_new_privileges", [False, True])
def test_its_filter(send: Sender, there: Target, tmp_path: Path, no_new_privileges: bool) -> None:
    (tmp_path / "filter").write_bytes(_ALLOW_ALL)
    entry = there.entry(*STATUS, seccomp=str(tmp_path / "filter"), no_new_privileges=no_new_privileges)
    found = status(send(there, entry).out)
    assert (found["Seccomp"], found["NoNewPrivs"]) == ("2", str(int(no_new_privileges)))


@pytest.mark.parametrize("filter_", [b"", _ALLOW_ALL * 5000, b"\xff" * 8])
def test_a_filter_that_is_none(send: Sender, there: Target, tmp_path: Path, filter_: bytes) -> None:
    (tmp_path / "filter").write_bytes(filter_)
    found = send(there, there.entry("echo", "hi", seccomp=str(tmp_path / "filter")))
    assert (found.arrived, found.out, found.pid_file) == (False, "", "")


def test_a_filter_that_is_not_there(send: Sender, there: Target) -> None:
    with pytest.raises(FileNotFoundError):
        send(there, there.entry("true", seccomp="/nowhere/filter"))


def test_pipes_are_its_users(send: Sender, there: Target) -> None:
    entry = there.entry("stat", "-Lc", "%u:%g", "/proc/self/fd/1", "/dev/null", uid=1000, gid=100)
    assert send(there, entry).out.splitlines()[0] == "1000:100"
    about = os.stat(os.devnull)
    assert stat.S_ISCHR(about.st_mode) and about.st_uid == 0


def test_the_first_of_the_path_that_can_be_run(send: Sender, there: Target, tmp_path: Path) -> None:
    for name, mode in (("a", 0o644), ("b", 0o755), ("c", 0o755)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "tool").write_text(f"#!/bin/sh\necho {name}\n")
        (tmp_path / name / "tool").chmod(mode)
    env = {"PATH": ":".join(f"{tmp_path}/{name}" for name in "xabc"), "HOME": "/"}
    assert send(there, there.entry("tool", env=env)).out == "b\n"
    (tmp_path / "b/tool").write_text("no program\n")
    assert not send(there, there.entry("tool", env=env)).arrived


@pytest.mark.parametrize(
    "changes",
    [
        {"args": ["/nowhere"]},
        {"args": ["/etc/passwd"]},
        {"args": ["/usr"]},
        {"args": [""]},
        {"args": ["nowhere"]},
        {"cwd": "/nowhere"},
        {"cwd": "/etc/passwd"},
        {"cwd": "/proc/self/fd/3"},
        {"cwd": "/proc/self/cwd"},
        {"cwd": "/proc/1/root"},
        {"apparmor": "\x00"},
        {"permitted": 0, "effective": 1},
        {"rlimits": [(99, 0, 0)]},
        {"rlimits": [(7, 9, 8)]},
    ],
)
def test_what_fails_leaves_nothing(send: Sender, there: Target, changes: dict[str, Any]) -> None:
    found = send(there, replace(there.entry("true"), **changes))
    assert (found.arrived, found.out, found.pid_file) == (False, "", "")
    assert send(there, there.entry("echo", "hi")).out == "hi\n"


@pytest.mark.parametrize(
    "changes",
    [
        {"env": {"PATH": "/bin", "A": "x" * (600 << 10)}},
        {"env": {"PATH": "/bin", "A": "a\0b"}},
        {"env": {}},
        {"uid": 1 << 32},
        {"gid": (1 << 32) - 1},
        {"groups": [1 << 32]},
        {"rlimits": [(7, -1, -1)]},
    ],
)
def test_what_cannot_be_said_leaves_nothing(send: Sender, there: Target, changes: dict[str, Any]) -> None:
    with pytest.raises((OverflowError, ValueError)):
        send(there, there.entry("true", **changes))
    assert send(there, there.entry("echo", "hi")).out == "hi\n"


def test_without_leave_nothing_is_run(send: Sender, there: Target) -> None:
    found = send(there, there.entry("echo", "hi"), before=Entering.stop)
    assert (found.arrived, found.out, found.pid_file) == (False, "", "")


def test_one_that_is_killed_at_its_gate(send: Sender, there: Target) -> None:
    found = send(there, there.entry("echo", "hi"), before=lambda sent: os.kill(sent.pid, signal.SIGKILL))
    assert (found.arrived, found.out) == (False, "")


def test_one_whose_container_ends_at_its_gate(send: Sender) -> None:
    with target() as there:

        def end(sent: Entering) -> None:
            os.kill(sent.pid, signal.SIGSTOP)
            sent.go()
            there.end()

        found = send(there, there.entry("echo", "hi"), before=end)
        assert (found.arrived, found.out) == (False, "")
        found = send(there, there.entry("echo", "hi"))
        assert (found.arrived, found.out, found.pid_file) == (False, "", "")


def test_what_is_written_to_its_oom_score_is_its_own(send: Sender, there: Target) -> None:
    def score(sent: Entering) -> None:
        Path(f"/proc/{sent.pid}/oom_score_adj").write_text("321")
        sent.go()

    before = Path("/proc/self/oom_score_adj").read_text()
    assert send(there, there.entry("cat", "/proc/self/oom_score_adj"), before=score).out == "321\n"
    assert Path("/proc/self/oom_score_adj").read_text() == before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGUSR1, signal.SIGPIPE])
def test_no_handler_of_ours_is_run_for_it(
    send: Sender, there: Target, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    called: list[int] = []
    before = signal.signal(number, lambda *_: called.append(number))
    try:
        monkeypatch.setattr(send.enterer, "_handled", [number])

        def signalled(sent: Entering) -> None:
            os.kill(sent.pid, number)
            sent.go()

        found = send(there, there.entry("echo", "hi"), before=signalled)
    finally:
        signal.signal(number, before)
    assert (called, found.arrived) == ([], False)


def test_what_this_process_handles_is_known(enterer: Enterer) -> None:
    handled = enterer._handled
    assert {signal.SIGINT, signal.SIGPIPE, signal.SIGXFSZ} <= set(handled)
    assert signal.SIGKILL not in handled


def test_many_on_their_way_at_once(enterer: Enterer, there: Target, tmp_path: Path) -> None:
    null = os.open(os.devnull, os.O_RDWR)
    under_way = []
    for number in range(40):
        pid_file = os.open(tmp_path / str(number), os.O_CREAT | os.O_WRONLY)
        under_way.append(enterer.send(there.entry("sh", "-c", f"exit {number}"), there.pidfd, [null] * 3, pid_file))
        os.close(pid_file)
    for sent in under_way:
        assert sent.is_ready()
    for sent in reversed(under_way):
        sent.go()
    for number, sent in enumerate(under_way):
        assert not sent.is_ready()
        assert enterer.arrived(sent)
        assert os.waitstatus_to_exitcode(os.waitpid(sent.pid, 0)[1]) == number
    os.close(null)


def test_an_interpreter_that_could_be_written() -> None:
    assert not os.statvfs("/proc/self/exe").f_flag & os.ST_RDONLY
    with pytest.raises(PermissionError, match="read-only"):
        Enterer()


def test_where_who_changes_its_user_can_be_looked_into(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "suid_dumpable").write_text("1\n")
    monkeypatch.setattr(os, "statvfs", lambda _: ReadOnly())
    monkeypatch.setattr(entering, "_SUID_DUMPABLE_FILE", tmp_path / "suid_dumpable")
    with pytest.raises(PermissionError, match=re.escape("fs.suid_dumpable")):
        Enterer()


def test_nobody_else_can_look_into_it(enterer: Enterer) -> None:
    assert _libc.prctl(_GET_DUMPABLE, 0, 0, 0, 0) == 0
