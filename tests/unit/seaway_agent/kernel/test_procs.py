import os
import signal
import subprocess

import pytest

from seaway_agent.kernel import procs


def test_comm_may_hold_blanks_and_parentheses() -> None:
    tail = " ".join(["S", *map(str, range(4, 53))])
    assert procs.parse_stat(f"12 (a) b (c)) {tail}\n") == ("S", 22)


def test_start_time_tells_processes_apart() -> None:
    started = procs.start_time(os.getpid())
    assert started is not None
    assert procs.alive(os.getpid(), started)
    assert not procs.alive(os.getpid(), started + 1)


def test_a_zombie_and_a_reaped_process_are_not_alive() -> None:
    child = subprocess.Popen(["sleep", "60"])
    started = procs.start_time(child.pid)
    assert started is not None
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert not procs.alive(child.pid, started)
    assert procs.start_time(child.pid) == started, "a zombie still has its number"
    child.wait()
    assert not procs.alive(child.pid, started)
    assert procs.start_time(child.pid) is None
    with pytest.raises(ProcessLookupError):
        procs.open_pidfd(child.pid)


def ended(script: str) -> int | None:
    """The exit code by pidfd of a shell that was reaped already."""
    child = subprocess.Popen(["sh", "-c", f"read wait; {script}"], stdin=subprocess.PIPE)
    pidfd = procs.open_pidfd(child.pid)
    try:
        assert procs.exit_code_from_pidfd(pidfd) is None, "still running"
        child.communicate(b"\n")
        return procs.exit_code_from_pidfd(pidfd)
    finally:
        os.close(pidfd)


kernel_keeps_exit_codes = tuple(int(part) for part in os.uname().release.split(".")[:2]) >= (6, 15)


@pytest.mark.parametrize(("script", "code"), [("exit 0", 0), ("exit 7", 7), ("kill -KILL $$", 137)])
def test_exit_code_after_reaping(script: str, code: int) -> None:
    assert ended(script) == (code if kernel_keeps_exit_codes else None)


def test_send_signal_says_whether_it_arrived() -> None:
    child = subprocess.Popen(["sleep", "60"])
    pidfd = procs.open_pidfd(child.pid)
    try:
        assert procs.send_signal(pidfd, signal.SIGTERM)
        assert child.wait() == -signal.SIGTERM
        assert not procs.send_signal(pidfd, signal.SIGTERM)
    finally:
        os.close(pidfd)


def test_real_time_signals_can_be_sent() -> None:
    child = subprocess.Popen(["sleep", "60"])
    pidfd = procs.open_pidfd(child.pid)
    try:
        assert procs.send_signal(pidfd, int(signal.SIGRTMIN) + 3)
        assert child.wait() == -(int(signal.SIGRTMIN) + 3)
    finally:
        os.close(pidfd)


def test_boot_id_is_a_uuid() -> None:
    assert len(procs.boot_id()) == 36
    assert procs.boot_id() == procs.boot_id()


def test_a_pidfd_is_of_exactly_the_process_that_was_meant() -> None:
    own = procs.find(os.getpid())
    assert own is not None
    os.close(procs.open_process(own))
    with pytest.raises(ProcessLookupError):
        procs.open_process(procs.Process(own.pid, own.started + 1))


def test_children_are_found_by_their_parent() -> None:
    child = subprocess.Popen(["sleep", "60"])
    try:
        assert procs.child_of(os.getpid(), child.pid) == procs.find(child.pid)
        assert procs.child_of(1, child.pid) is None
        assert procs.child_of(os.getpid(), 0) is None
    finally:
        child.kill()
        child.wait()


def test_a_pidfd_has_a_pid_and_shows_the_end() -> None:
    child = subprocess.Popen(["sleep", "60"])
    pidfd = os.pidfd_open(child.pid)
    try:
        assert procs.pid_of(pidfd) == child.pid and not procs.has_ended(pidfd)
        child.kill()
        child.wait()
        assert procs.pid_of(pidfd) == -1 and procs.has_ended(pidfd)
    finally:
        os.close(pidfd)


def test_an_ended_process_has_no_root() -> None:
    assert procs.has_namespace_root(os.getpid())
    child = subprocess.Popen(["true"])
    child.wait()
    assert not procs.has_namespace_root(child.pid)
