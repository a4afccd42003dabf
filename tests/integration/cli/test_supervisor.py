"""The supervisor with real forks: readiness, restarts, orderly and forced stops, no remains."""

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from seaway_cli.supervisor import ServiceSpec, Supervisor
from seaway_kit.notify import READY_FD


def serve(name: str, *, stubborn: bool = False) -> int:
    """A service that gets ready, and ends in order at SIGTERM."""
    stopped: list[int] = []
    signal.signal(signal.SIGTERM, signal.SIG_IGN if stubborn else lambda *_: stopped.append(1))
    print(f"{name} runs", flush=True)
    fd = int(os.environ[READY_FD])
    line = {"service": name, "pid": os.getpid(), "metrics": f"http://127.0.0.1:1/{name}"}
    os.write(fd, json.dumps(line).encode() + b"\n")
    os.close(fd)
    while not stopped:
        signal.pause()
    print(f"{name} ends", flush=True)
    return 0


def spec(name: str, *, stubborn: bool = False) -> ServiceSpec:
    return ServiceSpec(name, lambda: serve(name, stubborn=stubborn))


def until(supervisor: Supervisor, condition: Callable[[], bool], limit_s: float = 10.0) -> None:
    deadline = time.monotonic() + limit_s
    overdue: list[bool] = []
    supervisor.reactor.later(limit_s, lambda: overdue.append(True))
    while not condition():
        assert not overdue and time.monotonic() < deadline, supervisor.rows()
        supervisor.reactor.step()


def states(supervisor: Supervisor) -> list[str]:
    return [row["state"] for row in supervisor.rows()]


def is_gone(pid: int) -> bool:
    return not Path(f"/proc/{pid}").exists()


def descriptors() -> set[str]:
    return set(os.listdir("/proc/self/fd"))


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[Supervisor]:
    before = descriptors()
    made = Supervisor(tmp_path, stop_s=5.0, start_s=10.0)
    yield made
    made.close()
    assert descriptors() == before


def test_services_become_ready_and_stop_in_reverse_order(supervisor: Supervisor, tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        supervisor.add(spec(name))
    until(supervisor, lambda: states(supervisor) == ["ready"] * 3)
    rows = supervisor.rows()
    assert [row["service"] for row in rows] == ["a", "b", "c"]
    assert [row["metrics"] for row in rows] == [f"http://127.0.0.1:1/{name}" for name in "abc"]
    assert all(row["restarts"] == 0 for row in rows)

    ended: list[str] = []
    supervisor.stop()
    while any(row["pid"] for row in supervisor.rows()):
        supervisor.reactor.step()
        ended += [row["service"] for row in supervisor.rows() if not row["pid"] and row["service"] not in ended]
    assert ended == ["c", "b", "a"]
    assert all(is_gone(row["pid"]) for row in rows)
    assert (tmp_path / "a.log").read_text() == "a runs\na ends\n"


def test_run_returns_after_sigterm_to_the_supervisor(supervisor: Supervisor) -> None:
    ready: list[bool] = []
    supervisor._on_ready = lambda: (ready.append(True), os.kill(os.getpid(), signal.SIGTERM))[0]
    supervisor.add(spec("a"))
    assert supervisor.run() == 0
    assert ready == [True]
    assert states(supervisor) == ["stopped"]


def test_killed_service_starts_again_at_once(supervisor: Supervisor) -> None:
    supervisor.add(spec("a"))
    until(supervisor, lambda: states(supervisor) == ["ready"])
    first = supervisor.rows()[0]["pid"]
    started = time.monotonic()
    os.kill(first, signal.SIGKILL)
    until(supervisor, lambda: supervisor.rows()[0]["restarts"] == 1 and states(supervisor) == ["ready"])
    assert time.monotonic() - started < 1.0
    second = supervisor.rows()[0]["pid"]
    assert second != first
    assert is_gone(first)


def test_second_crash_waits(supervisor: Supervisor) -> None:
    supervisor.add(spec("a"))
    supervisor._complete = True
    for restarts in (1, 2):
        until(supervisor, lambda: states(supervisor) == ["ready"])
        os.kill(supervisor.rows()[0]["pid"], signal.SIGKILL)
        until(supervisor, lambda count=restarts: supervisor.rows()[0]["restarts"] == count)
    assert states(supervisor) == ["restarting"]
    until(supervisor, lambda: states(supervisor) == ["ready"])


def test_stubborn_service_is_killed(tmp_path: Path) -> None:
    supervisor = Supervisor(tmp_path, stop_s=0.1)
    supervisor.add(spec("a", stubborn=True))
    until(supervisor, lambda: states(supervisor) == ["ready"])
    supervisor.stop()
    assert supervisor.run() == 0
    supervisor.close()
    assert states(supervisor) == ["stopped"]


def test_service_that_never_starts_gives_up(supervisor: Supervisor) -> None:
    supervisor.add(spec("good"))
    supervisor.add(ServiceSpec("bad", lambda: sys.exit(1)))
    assert supervisor.run() == 1
    assert supervisor.failure is not None
    assert supervisor.failure.services == ("bad",)
    assert "bad does not start (exit code 1)" in supervisor.failure.reason
    assert states(supervisor) == ["stopped", "stopped"]


def test_wrong_settings_give_up_at_once(supervisor: Supervisor) -> None:
    supervisor.add(ServiceSpec("bad", lambda: 2))
    assert supervisor.run() == 1
    assert supervisor.rows()[0]["restarts"] == 0


def test_late_service_gives_up(tmp_path: Path) -> None:
    supervisor = Supervisor(tmp_path, start_s=0.2)

    def never_ready() -> int:
        signal.pause()
        return 0

    supervisor.add(ServiceSpec("late", never_ready))
    assert supervisor.run() == 1
    supervisor.close()
    assert supervisor.failure is not None
    assert supervisor.failure.reason == "late not ready after 0.2 s"


def test_probed_service_is_ready_when_the_probe_says_so(supervisor: Supervisor, tmp_path: Path) -> None:
    flag = tmp_path / "flag"

    def run() -> int:
        flag.touch()
        signal.pause()
        return 0

    supervisor.add(ServiceSpec("probed", run, flag.exists))
    until(supervisor, lambda: states(supervisor) == ["ready"])
    supervisor.stop()
    assert supervisor.run() == 0


def test_children_have_no_descriptors_but_their_own_and_the_shared(tmp_path: Path) -> None:
    shared = os.open(tmp_path / "lock", os.O_CREAT | os.O_RDWR)
    supervisor = Supervisor(tmp_path, share=[shared])
    seen = tmp_path / "seen"

    def run() -> int:
        seen.write_text(" ".join(sorted(os.listdir("/proc/self/fd"))))
        return serve("a")

    supervisor.add(ServiceSpec("a", run))
    until(supervisor, lambda: states(supervisor) == ["ready"])
    kept = len(seen.read_text().split())
    supervisor.stop()
    supervisor.run()
    supervisor.close()
    os.close(shared)
    assert kept == 3 + 1 + 1 + 1  # standard streams, readiness, the shared lock; and the listing itself


def test_children_end_with_a_killed_supervisor(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    if (middle := os.fork()) == 0:
        supervisor = Supervisor(tmp_path)
        supervisor.add(spec("a"))
        supervisor.add(spec("b"))
        until(supervisor, lambda: states(supervisor) == ["ready"] * 2)
        pids.with_suffix(".part").write_text(" ".join(str(row["pid"]) for row in supervisor.rows()))
        pids.with_suffix(".part").rename(pids)
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(middle, 0)
    children = [int(text) for text in pids.read_text().split()]
    deadline = time.monotonic() + 5
    while not all(ended(pid) for pid in children):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert (tmp_path / "a.log").read_text().endswith("a ends\n")


def ended(pid: int) -> bool:
    """Gone, or a zombie that whoever adopted it has not reaped."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_second_signal_kills(tmp_path: Path, number: signal.Signals) -> None:
    """The first stops in order, for which a service may take its time; whoever won't wait says it again."""
    supervisor = Supervisor(tmp_path, stop_s=60.0)
    for name in ("a", "b"):
        supervisor.add(spec(name, stubborn=True))
    until(supervisor, lambda: states(supervisor) == ["ready"] * 2)
    pids = [row["pid"] for row in supervisor.rows()]
    os.kill(os.getpid(), number)
    until(supervisor, lambda: states(supervisor) == ["ready", "stopping"])
    assert not any(map(is_gone, pids))
    os.kill(os.getpid(), number)
    started = time.monotonic()
    assert supervisor.run() == 0
    assert time.monotonic() - started < 10
    supervisor.close()
    assert states(supervisor) == ["stopped"] * 2
    assert all(map(is_gone, pids))
