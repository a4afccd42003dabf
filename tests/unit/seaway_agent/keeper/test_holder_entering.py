"""The keeper's process where it goes into a container itself: a real one, and a target with namespaces of its own."""

import json
import os
import select
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.unit.seaway_agent.keeper.agent import LIMIT_S, Agent, read_all
from tests.unit.seaway_agent.keeper.still import Still
from tests.unit.seaway_agent.keeper.target import WHERE_ONE_CAN_ENTER, Target, target

from seaway_agent.kernel.launcher import Launcher
from seaway_kit.failpoints import Failpoint

OWN = 6
"""What a keeper that has nothing to do has open: its streams, the agent's socket, a pipe that wakes it."""


@pytest.fixture(scope="module")
def there() -> Iterator[Target]:
    with target() as made:
        yield made


@pytest.fixture(scope="module")
def launcher() -> Iterator[Launcher]:
    """In whose namespace the interpreter can't be written."""
    made = Launcher(programs=[os.path.realpath(sys.executable)])
    made.start()
    yield made
    made.close()


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Agent]:
    made = Agent(tmp_path)
    yield made
    made.close()


class Enters:
    """An agent of whose keeper execs are asked in a target's namespaces."""

    def __init__(self, agent: Agent, there: Target) -> None:
        self.agent = agent
        self.there = there

    def order(
        self, name: str, *args: str, instead: str = "refused", within_s: float = LIMIT_S, **changes: Any
    ) -> tuple[int, int]:
        """`instead`: the script of the runtime."""
        entry = self.there.entry(*args, **changes)
        return self.agent.order(name, instead, container=self.there.pidfd, entry=entry, within_s=within_s)

    def told(self) -> dict[str, Any]:
        return self.agent.told()

    def has_process_file(self, name: str) -> bool:
        return (self.agent.place / name / "process.json").exists()

    def pid_file(self, name: str) -> str:
        return (self.agent.place / name / "pidfile").read_text()

    def descriptors(self) -> int:
        return len(os.listdir(f"/proc/{self.agent.keeper.pid}/fd"))

    def children(self) -> str:
        pid = self.agent.keeper.pid
        return Path(f"/proc/{pid}/task/{pid}/children").read_text()


@pytest.fixture
def enters(tmp_path: Path, there: Target, launcher: Launcher) -> Iterator[Enters]:
    agent = Agent(tmp_path, launcher=launcher)
    yield Enters(agent, there)
    agent.close()


def _wait_until(condition: Any) -> None:
    end = time.monotonic() + LIMIT_S
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


@pytest.fixture
def still() -> Iterator[Still]:
    with Still() as made:
        yield made


class TestEntering:
    pytestmark = WHERE_ONE_CAN_ENTER

    def test_a_life(self, enters: Enters) -> None:
        out, err = enters.order("a", "sh", "-c", "readlink /proc/self/ns/pid; echo err >&2; exit 3")
        begun, end = enters.told(), enters.told()
        assert begun == {"id": "a", "pid": int(enters.pid_file("a")), "entered": True}
        assert (end["id"], end["code"]) == ("a", 3)
        link = os.readlink(f"/proc/{enters.there.pid}/ns/pid")
        assert (read_all(out), read_all(err)) == (f"{link}\n".encode(), b"err\n")
        assert enters.agent.written("a") == "3"
        assert not enters.has_process_file("a")
        _wait_until(lambda: enters.children() == "")  # it is told before it is gone

    def test_a_signal_counts_from_128(self, enters: Enters) -> None:
        enters.order("a", "sh", "-c", "kill -KILL $$")
        assert enters.told()["entered"]
        assert enters.told()["code"] == 128 + signal.SIGKILL

    def test_where_a_call_fails_the_runtime_is_asked(self, enters: Enters) -> None:
        """Its words are heard, and what it runs counts."""
        out, _ = enters.order("a", "/nowhere", instead="echo by the runtime; exit 4")
        assert enters.told()["entered"] is False
        assert enters.told()["code"] == 4
        assert read_all(out) == b"by the runtime\n"
        assert json.loads((enters.agent.place / "a/process.json").read_text()) == {"what": "crun reads"}

    def test_what_comes_too_late_is_not_begun(self, enters: Enters) -> None:
        """Nor by the runtime: the agent has told that it failed."""
        signal.pidfd_send_signal(enters.agent.keeper.pidfd, signal.SIGSTOP)
        out, _ = enters.order("a", "echo", "ran", instead="echo ran", within_s=0.0)
        signal.pidfd_send_signal(enters.agent.keeper.pidfd, signal.SIGCONT)
        assert "in time" in enters.told()["refused"]
        assert (read_all(out), enters.pid_file("a")) == (b"", "")
        _wait_until(lambda: (enters.children(), enters.descriptors()) == ("", OWN))

    def test_what_the_runtime_refuses_too(self, enters: Enters) -> None:
        _, err = enters.order("a", "/nowhere")
        assert "refused" in enters.told()
        assert read_all(err) == b"no such thing\n"
        assert enters.pid_file("a") == ""
        _wait_until(lambda: enters.children() == "")

    def test_what_cannot_be_said_is_the_runtimes(self, enters: Enters) -> None:
        enters.order("a", "true", instead="exit 5", cwd="/\0")
        assert enters.told()["entered"] is False
        assert enters.told()["code"] == 5

    def test_a_container_that_has_ended(self, enters: Enters) -> None:
        with target() as gone:
            gone.end()
            assert select.select([gone.pidfd], [], [], LIMIT_S)[0]
            enters.there = gone
            enters.order("a", "true")
            assert "refused" in enters.told()

    def test_many_at_once_are_told_apart_and_leave_nothing_open(self, enters: Enters) -> None:
        for number in range(100):
            for fd in enters.order(f"e{number}", *(("sh", "-c", f"exit {number}") if number % 10 else ("/nowhere",))):
                os.close(fd)
        ends: dict[str, int | None] = {}
        while len(ends) < 100:
            words = enters.told()
            if "code" in words or "refused" in words:
                ends[words["id"]] = words.get("code")
        assert ends == {f"e{number}": number if number % 10 else None for number in range(100)}
        _wait_until(lambda: enters.descriptors() == OWN and enters.children() == "")

    def test_one_after_another_leave_nothing_open(self, enters: Enters) -> None:
        for number in range(30):
            for fd in enters.order(f"e{number}", "true"):
                os.close(fd)
            assert enters.told()["entered"]
            assert enters.told()["code"] == 0
        _wait_until(lambda: enters.descriptors() == OWN)

    def test_one_that_does_not_come_on_keeps_nobody_waiting(self, enters: Enters, still: Still) -> None:
        """Its program is on a file system that doesn't answer, say; here, its container stands still."""
        enters.order("b", "sh", "-c", "exit 2", cgroups=[still.directory])
        for number in range(5):
            enters.order(f"e{number}", "sh", "-c", "exit 3")
            assert (enters.told()["id"], enters.told()["code"]) == (f"e{number}", 3)
        still.let_go()
        assert enters.told()["entered"]
        assert enters.told() | {"time_ns": 0} == {"id": "b", "code": 2, "time_ns": 0}

    def test_it_ends_with_the_agent_and_what_it_was_asked_for(self, enters: Enters) -> None:
        for fd in enters.order("a", "sh", "-c", "sleep 0.2; head -c 300000 /dev/zero; exit 6"):
            os.close(fd)
        enters.agent.goes()
        assert enters.agent.ended() == 0
        assert enters.agent.written("a") == "6"

    def test_an_agent_that_goes_while_one_is_on_its_way(self, enters: Enters, still: Still) -> None:
        ends = enters.order("a", "sh", "-c", "head -c 300000 /dev/zero; exit 7", cgroups=[still.directory])
        enters.agent.goes()
        for fd in ends:
            os.close(fd)
        still.let_go()
        assert enters.agent.ended() == 0
        assert enters.agent.written("a") == "7"

    def test_a_container_that_ends_while_one_is_on_its_way(self, enters: Enters) -> None:
        with target() as going:
            enters.there = going
            signal.pidfd_send_signal(enters.agent.keeper.pidfd, signal.SIGSTOP)
            for number in range(20):
                enters.order(f"e{number}", "sleep", "1000")
            signal.pidfd_send_signal(enters.agent.keeper.pidfd, signal.SIGCONT)
            assert enters.told()["entered"]
            going.end()
            last: set[str] = set()
            while len(last) < 20:
                words = enters.told()
                if words.get("code") == 128 + signal.SIGKILL or "refused" in words:
                    last.add(words["id"])

    def test_anothers_oom_score_is_not_theirs(self, enters: Enters, still: Still) -> None:
        """The keeper has that itself while the runtime is started, and what else the agent has."""
        Path(f"/proc/{enters.agent.keeper.pid}/oom_score_adj").write_text("123")
        out, _ = enters.order("a", "cat", "/proc/self/oom_score_adj", cgroups=[still.directory])
        other, _ = enters.agent.order("b", "cat /proc/self/oom_score_adj", oom_score=321)
        assert [enters.told()["id"] for _ in range(2)] == ["b", "b"]
        assert read_all(other) == b"321\n"
        still.let_go()
        assert read_all(out) == b"0\n"
        assert Path(f"/proc/{enters.agent.keeper.pid}/oom_score_adj").read_text() == "123\n"

    def test_it_is_put_into_the_cgroups_at_the_gate(self, enters: Enters, tmp_path: Path) -> None:
        (tmp_path / "cgroup").mkdir()
        enters.order("a", "true", cgroups=[str(tmp_path / "cgroup")])
        pid = enters.told()["pid"]
        assert (tmp_path / "cgroup/cgroup.procs").read_text() == str(pid)
        assert enters.told()["code"] == 0

    def test_what_can_not_be_joined_is_the_runtimes(self, enters: Enters, tmp_path: Path) -> None:
        enters.order("a", "true", instead="exit 5", cgroups=[str(tmp_path / "gone")])
        assert enters.told()["entered"] is False
        assert enters.told()["code"] == 5
        assert enters.pid_file("a") != ""

    def test_killed_at_the_gate_it_leaves_nothing_that_runs(
        self, tmp_path: Path, there: Target, launcher: Launcher
    ) -> None:
        agent = Agent.armed(tmp_path, Failpoint.KEEPER_FORKED, launcher=launcher)
        out, err = Enters(agent, there).order("a", "touch", str(tmp_path / "ran"))
        assert agent.ended() == signal.SIGKILL
        assert (read_all(out), read_all(err)) == (b"", b"")  # nobody is left to hold them
        assert (agent.place / "a/pidfile").read_text() == ""
        assert not (tmp_path / "ran").exists()
        agent.close()

    def test_killed_behind_the_gate_it_leaves_the_program(
        self, tmp_path: Path, there: Target, launcher: Launcher
    ) -> None:
        agent = Agent.armed(tmp_path, Failpoint.KEEPER_SPAWNED, launcher=launcher)
        out, _ = Enters(agent, there).order("a", "sh", "-c", "echo $PPID")
        assert agent.ended() == signal.SIGKILL
        assert read_all(out) == b"0\n"
        assert (agent.place / "a/pidfile").read_text().isdigit()
        agent.close()

    def test_where_the_interpreter_can_be_written_the_runtime_does_it_all(self, agent: Agent, there: Target) -> None:
        agent.order("a", "exit 8", container=there.pidfd, entry=there.entry("true"))
        assert agent.told()["entered"] is False
        assert agent.told()["code"] == 8
