"""All tests: what `./dev test` runs. Paths below tests/ restrict it to those; options go to pytest.

Two lanes of pytest processes run side by side, each on a little machine of its own: it has namespaces for mounts,
processes and IPC, so that what a test counts on "the machine" is its own lane's. One lane keeps the host's network, by
which it reaches the package index. Where namespaces can't be had, or there is one core only, the lanes run one after
another. A test that fails is run once more when all lanes have ended; the last line says what came of it all.
"""

import contextlib
import json
import os
import random
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, NoReturn

from tests import outcomes

# What runs together in one pytest.
GROUPS: Final = {
    "units": ("tests/unit", "tests/contract", "tests/upgrade"),
    "parts": ("tests/conformance", "tests/integration", "--ignore=tests/integration/cli"),
    "suites": ("tests/e2e", "tests/differential"),
    "command": ("tests/integration/cli",),
    "chaos": ("tests/chaos",),
}
# The groups of a lane run one after another. The first two lanes begin; the third follows whichever ends first.
LANES: Final = {"units": ("units",), "engines": ("parts", "suites"), "failures": ("command", "chaos")}
_ON_THE_HOSTS_NETWORK: Final = "failures"
_NAMESPACES: Final = ("--mount", "--propagation", "unchanged", "--pid", "--fork", "--mount-proc", "--ipc")
_MACHINE: Final = ("setpriv", "--pdeathsig", "KILL", "unshare", "--kill-child", *_NAMESPACES)
# Mounts are parted from the host's, and spread among themselves as they did there. The shell stays: it reaps orphans.
_FURNISHED: Final = """
spread=$(findmnt --noheadings --output PROPAGATION /)
mount --make-rprivate / && case $spread in shared) mount --make-rshared / ;; esac && ip link set lo up || exit 70
"$@"
exit $?
"""
_INTERRUPTED: Final = 2  # pytest's exit code
_ORDERLY_S: Final = 60.0
Commands = Mapping[str, Sequence[str]]


# --- what to run (pure)


def restricted(group: Sequence[str], paths: Sequence[str]) -> list[str]:
    """A group's words for pytest: those of `paths` that are its own, in place of its directories; [] if none is."""
    own = [word for word in group if not word.startswith("--")]
    ignored = [word for word in group if word.startswith("--")]
    if not paths:
        return [*own, *ignored]
    chosen = [path for path in paths if any(_is_below(path, word) for word in own)]
    chosen = [path for path in chosen if not any(_is_below(path, word.partition("=")[2]) for word in ignored)]
    chosen += [word for word in own if any(_is_below(word, path) and word != path for path in paths)]
    return [*chosen, *ignored] if chosen else []


def _is_below(path: str, directory: str) -> bool:
    return Path(path.partition("::")[0]).is_relative_to(directory)


def split(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """The paths among the words of the command line, and the options for pytest."""
    paths = [word.rstrip("/") for word in words if word.startswith("tests/")]
    return paths, [word for word in words if not word.startswith("tests/")]


# --- a machine of its own


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


# --- processes


class Lane:
    """One lane at work. What it prints is printed here line by line, each with the lane's name before it."""

    def __init__(self, name: str, command: Sequence[str], selector: selectors.BaseSelector) -> None:
        self.name = name
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        assert self._process.stdout is not None
        self._out = self._process.stdout
        os.set_blocking(self._out.fileno(), False)
        self._pidfd = os.pidfd_open(self._process.pid)
        self._rest = b""
        self._selector = selector
        selector.register(self._out, selectors.EVENT_READ, self)
        selector.register(self._pidfd, selectors.EVENT_READ, self)

    def look(self) -> int | None:
        """Print what it has said meanwhile; its exit code once it has ended."""
        ended = self._process.poll()
        self._print()
        if ended is not None:
            self._selector.unregister(self._pidfd)
        return ended

    def interrupt(self) -> None:
        """As Ctrl-C would."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGINT)

    def _print(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while (read := os.read(self._out.fileno(), 1 << 16)) != b"":
                *lines, self._rest = (self._rest + read).split(b"\n")
                for line in lines:
                    self._show(line)
            if self._out in self._selector.get_map():
                self._selector.unregister(self._out)
            if self._rest:
                self._show(self._rest)
                self._rest = b""

    def _show(self, line: bytes) -> None:
        print(f"{self.name:<8} | {line.decode(errors='replace')}".rstrip(), flush=True)

    def __enter__(self) -> "Lane":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        """Nothing goes on: with the first process of its namespaces all others end."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        os.close(self._pidfd)
        self._out.close()


def side_by_side(commands: Commands, at_once: int = 2) -> dict[str, int]:
    """Run all, so many at once; the exit codes."""
    codes: dict[str, int] = {}
    waiting = list(commands.items())
    with contextlib.ExitStack() as stack:
        selector = stack.enter_context(selectors.DefaultSelector())
        running: list[Lane] = []
        try:
            while waiting or running:
                while waiting and len(running) < at_once:
                    running.append(stack.enter_context(Lane(*waiting.pop(0), selector)))
                codes |= _some_ended(selector, running)
        except KeyboardInterrupt:
            for lane in running:
                lane.interrupt()
            deadline = time.monotonic() + _ORDERLY_S
            while running and (left := deadline - time.monotonic()) > 0:
                _some_ended(selector, running, left)
            raise
    return codes


def _some_ended(selector: selectors.BaseSelector, running: list[Lane], timeout: float | None = None) -> dict[str, int]:
    """Wait for news of the lanes; those that have ended are taken from `running`."""
    codes = {}
    for lane in {key.data for key, _ in selector.select(timeout)}:
        if (code := lane.look()) is not None:
            running.remove(lane)
            codes[lane.name] = code
    return codes


def run_pytests(commands: Sequence[Sequence[str]]) -> int:
    """Run each in turn: what a lane does on its machine. Raises KeyboardInterrupt if one was interrupted."""
    codes = []
    for words in commands:
        before = signal.signal(signal.SIGINT, lambda *_: None)  # pytest hears it too, and ends in order
        try:
            codes.append(subprocess.run([sys.executable, "-m", "pytest", *words]).returncode)
        finally:
            signal.signal(signal.SIGINT, before)
        if codes[-1] == _INTERRUPTED:
            raise KeyboardInterrupt
    return next(filter(None, codes), 0)


# --- the whole run


@dataclass(frozen=True)
class Run:
    """One run of all tests; the pytest processes leave their reports in `directory`."""

    directory: Path
    options: Sequence[str]
    beside: bool

    def tests(self, paths: Sequence[str]) -> outcomes.Tally:
        """Run all groups, and once more what failed, alone."""
        words = {group: found for group, own in GROUPS.items() if (found := restricted(own, paths))}
        first = self._reports(words, "first", 2 if self.beside else 1)
        failed = {group: report.failed for group, report in first.items() if report.failed}
        if failed:
            print("\nOnce more what failed, alone:", flush=True)
        return outcomes.tally(first, self._reports(failed, "again", 1))

    def _reports(self, words: Mapping[str, Sequence[str]], name: str, at_once: int) -> dict[str, outcomes.Report]:
        """Run groups with these words; what came of each."""
        paths = {group: self.directory / f"{group}.{name}" for group in words}
        lanes = {lane: [group for group in groups if group in words] for lane, groups in LANES.items()}
        commands = {
            lane: self._command(lane, name, [self._words(group, paths[group], words[group]) for group in groups])
            for lane, groups in lanes.items()
            if groups
        }
        side_by_side(commands, at_once)
        return {group: _report(path) for group, path in paths.items()}

    def _words(self, group: str, path: Path, tests: Sequence[str]) -> list[str]:
        return outcomes.words(path, ["-o", f"cache_dir=.pytest_cache/{group}", *self.options, *tests])

    def _command(self, lane: str, name: str, pytests: Sequence[Sequence[str]]) -> list[str]:
        orders = self.directory / f"{lane}.{name}.json"
        orders.write_text(json.dumps(pytests))
        words = (sys.executable, "-m", "tests.lanes", "--run", str(orders))
        return on_a_machine_of_its_own(*words, network=lane != _ON_THE_HOSTS_NETWORK) if self.beside else list(words)


def _report(path: Path) -> outcomes.Report:
    try:
        return outcomes.read(path.read_text().splitlines(keepends=True))
    except FileNotFoundError:
        return outcomes.Report()


def with_seed(options: Sequence[str]) -> list[str]:
    """One order of the tests for all processes, unless the options say something of it."""
    if any("randomly" in option for option in options):
        return list(options)
    return [f"--randomly-seed={random.SystemRandom().randrange(1 << 32)}", *options]


def main(words: Sequence[str]) -> int:
    """`--run FILE` runs the pytest commands in it here; else all tests run."""
    if words[:1] == ["--run"]:
        return run_pytests(json.loads(Path(words[1]).read_text()))
    paths, given = split(words)
    options = with_seed(given)
    print(f"Tests run with {' '.join(options)}", flush=True)
    reason = why_not_beside()
    if reason:
        print(f"They run one after another, as {reason}.", flush=True)
    with tempfile.TemporaryDirectory(prefix="outcomes-") as directory:
        found = Run(Path(directory), options, not reason).tests(paths)
    print("\n".join(found.lines()), flush=True)
    return 0 if found.is_good else 1


def to_the_end(work: Callable[[], int]) -> NoReturn:
    """Exit with what it gives; SIGTERM and Ctrl-C are the same."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        sys.exit(work())
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    to_the_end(lambda: main(sys.argv[1:]))
