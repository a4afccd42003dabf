"""All tests: what `./dev test` runs. Paths below tests/ restrict it to those; options go to pytest.

Two lanes of pytest processes run side by side, each on a little machine of its own: it has namespaces for mounts,
processes and IPC, so that what a test counts on "the machine" is its own lane's. One lane keeps the host's network, by
which it reaches the package index. Where namespaces can't be had, or there is one core only, the lanes run one after
another. A test that fails is run once more when all lanes have ended; the last line says what came of it all.
"""

import json
import random
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NoReturn

from tests import outcomes
from tests.machines import on_a_machine_of_its_own, side_by_side, why_not_beside

# Of tests/e2e, but in the lane that has more time.
_LABS: Final = ("tests/e2e/test_across_nodes.py", "tests/e2e/test_lab_load.py")
# What runs together in one pytest.
GROUPS: Final = {
    "units": ("tests/unit", "tests/contract", "tests/upgrade"),
    "parts": ("tests/conformance", "tests/integration", "--ignore=tests/integration/cli"),
    "suites": ("tests/e2e", "tests/differential", *(f"--ignore={path}" for path in _LABS)),
    "labs": _LABS,
    "command": ("tests/integration/cli",),
    "chaos": ("tests/chaos",),
}
# The groups of a lane run one after another. The first two lanes begin; the third follows whichever ends first.
LANES: Final = {"units": ("units", "parts"), "engines": ("suites",), "failures": ("command", "labs", "chaos")}
_ON_THE_HOSTS_NETWORK: Final = "failures"
_INTERRUPTED: Final = 2  # pytest's exit code


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


# --- in a lane


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
