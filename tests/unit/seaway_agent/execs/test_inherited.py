"""Execs that a former agent has left while their runtime is at work: scripts in the runtime's place."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from seaway_agent.execs import inherited
from seaway_agent.kernel import procs
from seaway_agent.runtime.shim import ExitFiles
from seaway_testing.waiting import GUARD_S

# It writes a pid as soon as `go` is there.
RUNTIME = """
import sys, time
from pathlib import Path
pid_file = Path(sys.argv[1])
print("up", flush=True)
while not pid_file.with_name("go").exists():
    time.sleep(0.01)
if pid_file.with_name("go").read_text():
    pid_file.write_text("4711")
"""
Begin = Callable[[str | None], "subprocess.Popen[bytes]"]


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that stops for a moment ends nobody's patience."""
    monkeypatch.setattr(inherited, "_BEGINS_S", GUARD_S)
    monkeypatch.setattr(inherited, "_WRITES_S", GUARD_S)


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Begin]:
    """Starts a runtime that may run something (or nothing: ""), or hangs (None)."""
    running = []

    def begun(go: str | None) -> "subprocess.Popen[bytes]":
        words = [sys.executable, "-IS", "-c", RUNTIME, str(tmp_path / "pidfile")]
        running.append(subprocess.Popen(words, stdout=subprocess.PIPE))
        assert running[-1].stdout is not None and running[-1].stdout.readline() == b"up\n"
        if go is not None:
            (tmp_path / "part").write_text(go)
            (tmp_path / "part").rename(tmp_path / "go")
        return running[-1]

    yield begun
    for process in running:
        process.kill()
        process.communicate()


@pytest.mark.parametrize(("go", "pid"), [("yes", 4711), ("", 0)])
def test_the_runtimes_end_is_waited_for(tmp_path: Path, begin: Begin, go: str, pid: int) -> None:
    begin(go)
    assert inherited.begun_alone(tmp_path) == pid


def test_one_that_hangs_is_ended(tmp_path: Path, begin: Begin, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is told to have failed must not begin later."""
    monkeypatch.setattr(inherited, "_BEGINS_S", 0.05)
    begin(None)
    assert inherited.begun_alone(tmp_path) is None
    (tmp_path / "go").write_text("yes")
    assert inherited.begun_alone(tmp_path) == 0


def test_the_next_agent_waits_for_it_too(tmp_path: Path, begin: Begin) -> None:
    begin("yes")
    files = ExitFiles.of(tmp_path, tmp_path, tmp_path, "c")
    assert inherited.begun_in(tmp_path, files, supervisors=())


@pytest.fixture
def supervisor() -> list[procs.Process]:
    """One that lives: this process."""
    found = procs.find(os.getpid())
    assert found is not None
    return [found]


def test_an_end_before_that_of_the_runtime_is_waited_for(
    tmp_path: Path, begin: Begin, supervisor: list[procs.Process]
) -> None:
    """The supervisor writes it down when the runtime has ended too."""
    runtime = begin(None)
    files = ExitFiles.of(tmp_path, tmp_path, tmp_path, "c")

    def write_down() -> None:
        runtime.kill()
        runtime.wait()
        (tmp_path / "c").write_text("9")

    threading.Timer(0.1, write_down).start()
    inherited.await_end(tmp_path, files, supervisor)
    found = files.read()
    assert found is not None and found.code == 9


def test_a_living_child_of_the_supervisor_is_found_and_no_dead_one(
    tmp_path: Path, supervisor: list[procs.Process]
) -> None:
    assert inherited.supervised_in(tmp_path, supervisor) is None
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as child:
        (tmp_path / "pidfile").write_text(str(child.pid))
        assert inherited.supervised_in(tmp_path, supervisor) == procs.find(child.pid)
        child.kill()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert inherited.supervised_in(tmp_path, supervisor) is None


def test_an_end_that_nobody_can_tell_is_not_waited_for(
    tmp_path: Path, supervisor: list[procs.Process], monkeypatch: pytest.MonkeyPatch
) -> None:
    files = ExitFiles.of(tmp_path, tmp_path, tmp_path, "c")
    inherited.await_end(tmp_path, files, supervisors=())
    monkeypatch.setattr(inherited, "_WRITES_S", 0.01)
    inherited.await_end(tmp_path, files, supervisor)
    assert files.read() is None
