"""Two lanes of tests side by side: each sees a machine of its own, and nothing of either outlives them."""

import ast
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
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


def test_output_of_all_lanes_as_it_comes_and_exit_codes(tmp_path: Path) -> None:
    """The first lane doesn't end before the second one's line was read; the third begins when the second has ended."""
    read, third = tmp_path / "read", tmp_path / "third"
    wait = "until [ -e {} ]; do sleep 0.01; done"
    one = ("sh", "-c", f"echo begun; {wait.format(read)}; {wait.format(third)}; printf cut; exit 3")
    two, three = ("sh", "-c", "echo said"), ("sh", "-c", f"touch {third}; exit 4")
    process = subprocess.Popen(_side_by_side(one, two, three), stdout=subprocess.PIPE, text=True, cwd=_REPO)
    assert process.stdout is not None
    assert {process.stdout.readline() for _ in range(2)} == {"0        | begun\n", "1        | said\n"}
    read.touch()
    said, codes = process.stdout.read().splitlines()
    assert (said, ast.literal_eval(codes)) == ("0        | cut", {"0": 3, "1": 0, "2": 4})
    assert process.wait(20) == 0


_FAILS_ONCE = """
import os, pathlib, pytest
@pytest.mark.parametrize("what", ["a b", "c::d"])
def test_flaky(what):
    done = pathlib.Path(f"ran-{what}")
    if not done.exists():
        done.touch()
        pytest.fail("not yet")
def test_good(): pass
def test_skipped(): pytest.skip("here")
"""


@pytest.fixture
def small_tree(tmp_path: Path) -> Path:
    """Two directories of tests, one a group, with what fails only once; the command to run them goes with it."""
    for name in ("one", "two"):
        (tmp_path / "tests" / name).mkdir(parents=True)
    (tmp_path / "pyproject.toml").write_text("[tool.pytest.ini_options]\naddopts = '--import-mode=importlib'\n")
    (tmp_path / "tests/one/test_one.py").write_text(_FAILS_ONCE)
    (tmp_path / "tests/two/test_two.py").write_text("def test_two(): pass\n")
    return tmp_path


def all_tests(tree: Path) -> tuple[int, list[str]]:
    """Exit code and lines of a whole run."""
    program = (
        "from tests import lanes\n"
        "lanes.GROUPS = {'one': ('tests/one',), 'two': ('tests/two',)}\n"
        "lanes.LANES = {'units': ('one',), 'failures': ('two',)}\n"
        "lanes.to_the_end(lambda: lanes.main([]))"
    )
    env = os.environ | {"PYTHONPATH": str(_REPO), "PYTHONDONTWRITEBYTECODE": "1"}
    words = [sys.executable, "-c", program]
    done = subprocess.run(words, stdout=subprocess.PIPE, text=True, cwd=tree, env=env, timeout=100)
    return done.returncode, done.stdout.splitlines()


def test_what_fails_once_is_flaky(small_tree: Path) -> None:
    code, lines = all_tests(small_tree)
    assert (code, lines[-1]) == (0, "4 passed, 0 failed, 1 skipped")
    flaky = lines[lines.index("Flaky (failed, then passed alone), each a bug:") + 1 : -2]
    assert sorted(flaky) == [f"  tests/one/test_one.py::test_flaky[{what}]" for what in ("a b", "c::d")]
    assert any(" 2 passed in " in line for line in lines), "only what failed is run once more"


def test_what_fails_twice_has_failed(small_tree: Path) -> None:
    (small_tree / "tests/two/test_two.py").write_text("def test_two(): assert False\n")
    code, lines = all_tests(small_tree)
    assert (code, lines[-1]) == (1, "3 passed, 1 failed, 1 skipped")
    assert lines[lines.index("Failed, also when run once more alone:") + 1] == "  tests/two/test_two.py::test_two"


@pytest.mark.parametrize("end", ["os._exit(0)", "os.kill(os.getpid(), 9)", "import nonsense"])
def test_a_pytest_that_breaks_off_has_failed(small_tree: Path, end: str) -> None:
    program = f"import os\n{end}\n" if end.startswith("import") else f"import os\ndef test_two(): {end}\n"
    (small_tree / "tests/two/test_two.py").write_text(program)
    code, lines = all_tests(small_tree)
    assert (code, lines[-1]) == (1, "3 passed, 1 failed, 1 skipped")


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
    said = [] if number == signal.SIGKILL else ["0        | heard", "1        | heard"]
    assert (process.wait(20), sorted(heard.splitlines())) == (-9 if number == signal.SIGKILL else 130, said)
    until(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in (*machines, *inits)))


def children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def until(condition: Callable[[], bool]) -> None:
    limit = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < limit
        time.sleep(0.01)


def _side_by_side(*commands: Sequence[str]) -> list[str]:
    named = {str(number): list(command) for number, command in enumerate(commands)}
    run = f"print(lanes.side_by_side({named!r}), flush=True) or 0"
    return [sys.executable, "-c", f"from tests import lanes; lanes.to_the_end(lambda: {run})"]
