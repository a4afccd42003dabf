"""All tests that need root: two lanes side by side, each on a little machine of its own.

A lane has namespaces for mounts, processes and IPC, so that what a test counts on "the machine" is its own lane's.
The network is the host's for one lane alone, which reaches the package index by it. Where namespaces can't be had, or
there is one core only, the lanes run one after another. Options go to pytest.
"""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Final, NoReturn

# What runs together in one pytest; both lanes take about the same time. tests/integration/cli needs the package index.
LANES: Final = {
    "engines": (
        ("tests/conformance", "tests/integration", "--ignore=tests/integration/cli"),
        ("tests/e2e", "tests/differential"),
    ),
    "parts": (("tests/integration/cli",), ("tests/chaos",)),
}
_ON_THE_HOSTS_NETWORK: Final = "parts"
_HERE: Final = Path(__file__).resolve().parent.parent
_NAMESPACES: Final = ("--mount", "--propagation", "unchanged", "--pid", "--fork", "--mount-proc", "--ipc")
_MACHINE: Final = ("setpriv", "--pdeathsig", "KILL", "unshare", "--kill-child", *_NAMESPACES)
# Mounts are parted from the host's, and spread among themselves as they did there. The shell stays: it reaps orphans.
_FURNISHED: Final = """
spread=$(findmnt --noheadings --output PROPAGATION /)
mount --make-rprivate / && case $spread in shared) mount --make-rshared / ;; esac && ip link set lo up || exit 70
"$@"
exit $?
"""
_FAILED, _INTERRUPTED = 1, 2  # pytest's exit codes
_ORDERLY_S: Final = 60.0


class Lane:
    """One lane at work; its output goes to `out`."""

    def __init__(self, command: Sequence[str], out: IO[bytes] | None) -> None:
        self._process = subprocess.Popen(
            command, cwd=_HERE, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True
        )

    def wait(self, timeout: float | None = None) -> int:
        """Its exit code."""
        return self._process.wait(timeout)

    def interrupt(self) -> None:
        """As Ctrl-C would."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGINT)

    def __enter__(self) -> "Lane":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        """Nothing goes on: with the first process of its namespaces all others end."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()


def run_lane(name: str, options: Sequence[str]) -> int:
    """One lane's tests; the exit code."""
    cache = ("-o", f"cache_dir=.pytest_cache/{name}")
    codes = [_twice_at_most((*words, *cache, *options)) for words in LANES[name]]
    return next(filter(None, codes), 0)


def _twice_at_most(options: Sequence[str]) -> int:
    """What fails here has to fail a second time. One that passes then is told of: it is flaky, a bug to be found."""
    code = _pytest(*options)
    if code == _FAILED:
        print("Some tests failed. Once more those; what passes now is flaky, and a bug:", flush=True)
        code = _pytest("--last-failed", "--last-failed-no-failures", "none", *options)
    if code == _INTERRUPTED:
        raise KeyboardInterrupt
    return code


def _pytest(*words: str) -> int:
    before = signal.signal(signal.SIGINT, lambda *_: None)  # pytest hears it too, and ends in order
    try:
        return subprocess.run([sys.executable, "-m", "pytest", "-q", *words], cwd=_HERE).returncode
    finally:
        signal.signal(signal.SIGINT, before)


def on_a_machine_of_its_own(*command: str, network: bool = True) -> list[str]:
    """What runs a command in new namespaces; they end with it, and with who started it."""
    return [*_MACHINE, *(["--net"] if network else []), "sh", "-c", _FURNISHED, "sh", *command]


def why_not_beside() -> str:
    """What speaks against two lanes at once, if anything."""
    if len(os.sched_getaffinity(0)) < 2:
        return "there is one core only"
    tried = subprocess.run(on_a_machine_of_its_own("true"), capture_output=True, text=True)
    said = tried.stderr.strip().replace("\n", "; ")
    return f"there are no namespaces to be had ({said})" if tried.returncode else ""


def side_by_side(commands: Sequence[Sequence[str]]) -> int:
    """The first one's output is seen at once, the others' after it; the exit code."""
    with tempfile.TemporaryFile() as kept, Lane(commands[1], kept) as second, Lane(commands[0], None) as first:
        try:
            codes = [first.wait(), second.wait()]
        except KeyboardInterrupt:
            for lane in (first, second):
                lane.interrupt()
            with contextlib.suppress(subprocess.TimeoutExpired):
                first.wait(_ORDERLY_S)
                second.wait(_ORDERLY_S)
            raise
        finally:
            kept.seek(0)
            sys.stdout.buffer.write(kept.read())
            sys.stdout.flush()
    return next(filter(None, codes), 0)


def main(words: Sequence[str]) -> int:
    """`--lane NAME` runs one lane here; else all do."""
    if words[:1] == ["--lane"]:
        return run_lane(words[1], words[2:])
    if reason := why_not_beside():
        print(f"Tests run one after another, as {reason}.", flush=True)
        codes = [run_lane(name, words) for name in LANES]
        return next(filter(None, codes), 0)
    return side_by_side([_command(name, words) for name in LANES])


def _command(name: str, options: Sequence[str]) -> list[str]:
    words = (sys.executable, str(Path(__file__)), "--lane", name, *options)
    return on_a_machine_of_its_own(*words, network=name != _ON_THE_HOSTS_NETWORK)


def to_the_end(work: Callable[[], int]) -> NoReturn:
    """Exit with what it gives; SIGTERM and Ctrl-C are the same."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        sys.exit(work())
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    to_the_end(lambda: main(sys.argv[1:]))
