"""Two lanes of tests side by side: each sees a machine of its own, and nothing of either outlives them."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tests import lanes

pytestmark = pytest.mark.root
_REPO = Path(lanes.__file__).parent.parent
_ORPHAN = "(sh -c 'sleep 0.01 & echo $!') >{0}; until ! [ -d /proc/$(cat {0}) ]; do sleep 0.01; done"


@pytest.fixture(autouse=True)
def namespaces() -> None:
    if reason := lanes.why_not_beside():
        pytest.skip(reason)


def said(script: str, *words: str) -> list[str]:
    command = lanes.on_a_machine_of_its_own("sh", "-c", script, "sh", *words)
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=20).stdout.splitlines()


def test_processes_links_and_mounts_of_its_own(tmp_path: Path) -> None:
    pids, links, mounts = said(
        "mount -t tmpfs t $1 && echo /proc/[0-9]* && ip -o link && grep -c $1 /proc/mounts", str(tmp_path)
    )
    assert pids.split()[0] == "/proc/1" and len(pids.split()) == 2
    assert "LOOPBACK,UP" in links
    assert mounts == "1" and str(tmp_path) not in Path("/proc/self/mountinfo").read_text()


def test_orphans_are_reaped(tmp_path: Path) -> None:
    assert said(_ORPHAN.format(tmp_path / "pid")) == []


@pytest.mark.parametrize(("first", "second", "code"), [(0, 0, 0), (3, 0, 3), (0, 4, 4)])
def test_output_and_exit_code(first: int, second: int, code: int) -> None:
    words = [("sh", "-c", f"sleep 0.1; echo one; exit {first}"), ("sh", "-c", f"echo two; exit {second}")]
    done = subprocess.run(_side_by_side(*words), capture_output=True, text=True, cwd=_REPO, timeout=20)
    assert (done.stdout, done.returncode) == ("one\ntwo\n", code)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_nothing_goes_on_after_the_end(tmp_path: Path, number: signal.Signals) -> None:
    """In order where there is time for it: the lanes' programs hear of a Ctrl-C, whoever it was sent to."""
    script = "trap 'echo heard; exit 2' INT; setsid sleep 60 & echo x >{}; while :; do sleep 0.02; done"
    words = [lanes.on_a_machine_of_its_own("sh", "-c", script.format(tmp_path / name)) for name in ("one", "two")]
    process = subprocess.Popen(_side_by_side(*words), stdout=subprocess.PIPE, cwd=_REPO)
    until(lambda: all((tmp_path / name).exists() for name in ("one", "two")))
    machines = children(process.pid)
    inits = [pid for machine in machines for pid in children(machine)]
    assert len(inits) == 2
    process.send_signal(number)
    assert process.stdout is not None
    heard = process.stdout.read().decode()
    assert (process.wait(20), heard) == ((-9, "") if number == signal.SIGKILL else (130, "heard\nheard\n"))
    until(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in (*machines, *inits)))


def children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def until(condition: Callable[[], bool]) -> None:
    limit = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < limit
        time.sleep(0.01)


def _side_by_side(*commands: object) -> list[str]:
    program = f"from tests import lanes; lanes.to_the_end(lambda: lanes.side_by_side({commands!r}))"
    return [sys.executable, "-c", program]
