"""The supervisor's process, by itself: a real one, with a script in the runtime's place."""

import contextlib
import os
import resource
import select
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.unit.seaway_agent.execs.supervisor.agent import LIMIT_S, Agent, read_all

from seaway_agent.execs.supervisor import orders
from seaway_kit.failpoints import Failpoint


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Agent]:
    made = Agent(tmp_path)
    yield made
    made.close()


def test_a_life(agent: Agent) -> None:
    out, err = agent.order("a", "echo out; echo err >&2; exit 3")
    assert agent.told().keys() == {"id", "pid"}
    end = agent.told()
    assert (end["id"], end["code"]) == ("a", 3)
    assert abs(end["time_ns"] - time.time_ns()) < 60e9
    assert agent.written("a") == "3"
    assert (read_all(out), read_all(err)) == (b"out\n", b"err\n")


def test_an_oom_score_is_the_programs_alone(agent: Agent) -> None:
    score = Path(f"/proc/{agent.supervisor.pid}/oom_score_adj")
    before = score.read_text()
    out, _ = agent.order("a", "cat /proc/self/oom_score_adj", oom_score=321)
    agent.told()
    agent.told()
    assert read_all(out) == b"321\n"
    assert score.read_text() == before


@pytest.mark.parametrize("script", ["exit 3", "refused"])
def test_it_dies_where_a_failpoint_is_armed(tmp_path: Path, script: str) -> None:
    """What it has written down is there; it is the agent that has not been told."""
    agent = Agent.armed(tmp_path, Failpoint.SUPERVISOR_ENDED, Failpoint.SUPERVISOR_REFUSED)
    for fd in agent.order("a", script):
        os.close(fd)
    assert agent.ended() == signal.SIGKILL
    refused = script == "refused"
    assert (agent.place / "a/refused").exists() is refused
    assert (agent.place / "a/exit").exists() is not refused
    agent.close()


def test_many_at_once_are_told_apart(agent: Agent) -> None:
    for number in range(20):
        for fd in agent.order(f"e{number}", f"exit {number}"):
            os.close(fd)
    ends = {}
    while len(ends) < 20:
        words = agent.told()
        if "code" in words:
            ends[words["id"]] = words["code"]
    assert ends == {f"e{number}": number for number in range(20)}


def test_a_signal_counts_from_128(agent: Agent) -> None:
    agent.order("a", "kill -KILL $$")
    agent.told()
    assert agent.told()["code"] == 128 + signal.SIGKILL


def test_signals_are_the_programs_own(agent: Agent) -> None:
    """Python ignores SIGPIPE; what it starts must not."""
    out, _ = agent.order("a", "grep -E 'Sig(Ign|Blk)' /proc/self/status")
    agent.told()
    agent.told()
    assert all(int(line.split()[1], 16) & (1 << (signal.SIGPIPE - 1)) == 0 for line in read_all(out).splitlines())


def test_what_is_refused_is_told_and_marked(agent: Agent) -> None:
    _, err = agent.order("a", "refused")
    assert "refused" in agent.told()
    assert read_all(err) == b"no such thing\n"
    assert (agent.place / "a" / orders.REFUSED).exists()


def test_what_comes_too_late_is_not_begun(agent: Agent) -> None:
    out, _ = agent.order("a", "echo ran", within_s=0.0)
    assert "in time" in agent.told()["refused"]
    assert read_all(out) == b""
    assert (agent.place / "a" / orders.REFUSED).exists()


def test_a_runtime_that_is_not_there(agent: Agent) -> None:
    agent.runtime.unlink()
    agent.order("a", "true")
    assert "No such file" in agent.told()["refused"]


def test_more_than_it_has_descriptors_for(agent: Agent) -> None:
    open_now = len(list(Path(f"/proc/{agent.supervisor.pid}/fd").iterdir()))
    before = resource.prlimit(agent.supervisor.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(agent.supervisor.pid, resource.RLIMIT_NOFILE, (open_now + 4, before[1]))
    agent.order("a", "true")
    assert "no descriptors left" in agent.told()["refused"]
    resource.prlimit(agent.supervisor.pid, resource.RLIMIT_NOFILE, before)
    agent.order("b", "exit 2")
    agent.told()
    assert agent.told()["code"] == 2


def test_it_ends_with_the_agent_where_nothing_runs(agent: Agent) -> None:
    agent.order("a", "true")
    agent.told()
    agent.told()
    agent.goes()
    assert agent.ended() == 0


def test_an_order_just_before_the_agents_end_is_carried_out(agent: Agent) -> None:
    out, _ = agent.order("a", "exit 4")
    os.close(out)
    agent.goes()
    assert agent.ended() == 0
    assert agent.written("a") == "4"


def test_without_the_agent_output_goes_nowhere_and_the_end_is_written(agent: Agent, tmp_path: Path) -> None:
    os.mkfifo(gate := tmp_path / "gate")
    ends = agent.order("a", f"cat {gate}; head -c 300000 /dev/zero; head -c 300000 /dev/zero >&2; exit 5")
    agent.told()
    agent.goes()
    for fd in ends:
        os.close(fd)
    gate.write_text("go")
    assert agent.ended() == 0
    assert agent.written("a") == "5"


def test_an_agent_that_ends_without_having_heard_all(agent: Agent, tmp_path: Path) -> None:
    """Its socket ends in an error then, not just so; an order behind that counts as any other."""
    os.mkfifo(gate := tmp_path / "gate")
    ends = [*agent.order("a", f"cat {gate}; exit 5")]
    assert select.select([agent.socket], [], [], LIMIT_S)[0]
    signal.pidfd_send_signal(agent.supervisor.pidfd, signal.SIGSTOP)
    ends += agent.order("b", "exit 6")
    agent.goes()
    signal.pidfd_send_signal(agent.supervisor.pidfd, signal.SIGCONT)
    for fd in ends:
        os.close(fd)
    gate.write_text("go")
    assert agent.ended() == 0
    assert (agent.written("a"), agent.written("b")) == ("5", "6")


def test_nothing_but_the_three_streams_is_handed_on(agent: Agent) -> None:
    out, _ = agent.order("a", "ls /proc/self/fd | wc -l")
    agent.told()
    agent.told()
    assert int(read_all(out)) == 4  # the three, and that of ls


def test_it_reads_nothing_while_the_agent_lives(agent: Agent) -> None:
    out, _ = agent.order("a", "head -c 100000 /dev/zero")
    agent.told()
    assert not select.select([agent.socket], [], [], 0.3)[0]  # the pipe is full
    size = 0
    with contextlib.suppress(BlockingIOError):
        while data := os.read(out, 65536):
            size += len(data)
            if size == 100000:
                break
    assert agent.told()["code"] == 0
