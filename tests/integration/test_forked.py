"""A service's process that is forked instead of started anew: output, environment, exit code, signals."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.integration import test_forked
from tests.integration.forked import Forked

from seaway_agent.kernel import procs


def main(argv: tuple[str, ...]) -> int:
    """What is run."""
    print(*argv, os.environ["WORD"], os.environ.get("HOME"), flush=True)
    print("wrong", file=sys.stderr, flush=True)
    if argv[:1] == ("stay",):
        time.sleep(60)
    return 3


def test_what_it_prints_and_its_code(tmp_path: Path) -> None:
    out, err = tmp_path / "out", tmp_path / "err"
    process = Forked(test_forked.__name__, ["a", "b"], out, {"WORD": "c"}, err)
    assert process.wait(20) == 3 == process.poll()
    assert (out.read_text(), err.read_text()) == ("a b c None\n", "wrong\n")


def test_one_log_for_all(tmp_path: Path) -> None:
    for word in ("one", "two"):
        assert Forked(test_forked.__name__, [word], tmp_path / "log", {"WORD": "x"}).wait(20) == 3
    assert (tmp_path / "log").read_text() == "one x None\nwrong\ntwo x None\nwrong\n"


def test_signals(tmp_path: Path) -> None:
    process = Forked(test_forked.__name__, ["stay"], tmp_path / "log", {"WORD": "x"})
    assert process.poll() is None
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.01)
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == -signal.SIGTERM
    process.kill()  # of one that has ended


def test_none_holds_up_the_end_of_who_left_it(tmp_path: Path) -> None:
    words = f"[{test_forked.__name__!r}, ['stay'], pathlib.Path({str(tmp_path / 'log')!r}), {{'WORD': 'x'}}]"
    script = f"""
import os, pathlib, signal
from tests.integration.forked import Forked
if __name__ == "__main__":
    pid = Forked(*{words}).pid
    os.kill(pid, signal.SIGSTOP)
    print(pid)
"""
    (program := tmp_path / "program.py").write_text(script)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(
        [sys.executable, str(program)], env=environment, capture_output=True, text=True, timeout=60, check=True
    )
    assert procs.find(int(done.stdout)) is None, done.stderr
