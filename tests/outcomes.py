"""What the tests of several pytest processes came to: each process writes it to a file, the runner adds the files up.

A pytest plugin (`-p tests.outcomes --outcomes FILE`), and pure functions that read what it has written.
"""

import json
import time
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest

FAILED, SKIPPED, PASSED = "failed", "skipped", "passed"
_WORST_FIRST: Final = (FAILED, SKIPPED, PASSED)
_ALL_WELL, _SOME_FAILED, _NONE_FOUND = 0, 1, 5  # pytest's exit codes
_PROGRESS_S: Final = 10.0
Status = tuple[str, str, str]


# --- what was written


@dataclass(frozen=True)
class Report:
    """One pytest process. `exit_code` is None if it did not live to write it."""

    outcomes: dict[str, str] = field(default_factory=dict)
    exit_code: int | None = None

    @property
    def failed(self) -> list[str]:
        """The tests that failed, as pytest takes them."""
        return [test for test, outcome in self.outcomes.items() if outcome == FAILED]

    @property
    def trouble(self) -> str:
        """Why the outcomes don't tell the whole story, if so."""
        if self.exit_code is None:
            return "was killed, or did not start"
        expected = (_SOME_FAILED,) if self.failed else (_ALL_WELL, _NONE_FOUND)
        return "" if self.exit_code in expected else f"broke off with exit code {self.exit_code}"


def read(lines: Iterable[str]) -> Report:
    """The report in these lines; a test's worst phase is its outcome. A last line that is cut off is left out."""
    outcomes: dict[str, str] = {}
    exit_code = None
    for line in lines:
        if not line.endswith("\n"):
            break
        said = json.loads(line)
        if "exit" in said:
            exit_code = said["exit"]
        else:
            test, outcome = said["test"], said["outcome"]
            outcomes[test] = min(outcome, outcomes.get(test, PASSED), key=_WORST_FIRST.index)
    return Report(outcomes, exit_code)


@dataclass(frozen=True)
class Tally:
    """All groups of tests together. A flaky test failed, and passed when it was run once more: it counts as passed."""

    passed: int
    skipped: int
    failed: list[str]
    flaky: list[str]

    @property
    def is_good(self) -> bool:
        return self.passed > 0 and not self.failed

    def lines(self) -> Iterator[str]:
        """What a run of the tests ends with."""
        if self.failed:
            yield from ("", "Failed, also when run once more alone:", *(f"  {test}" for test in self.failed))
        if self.flaky:
            yield from ("", "Flaky (failed, then passed alone), each a bug:", *(f"  {test}" for test in self.flaky))
        skipped = f", {self.skipped} skipped" if self.skipped else ""
        yield from ("", f"{self.passed} passed, {len(self.failed)} failed{skipped}")


def tally(reports: Mapping[str, Report], again: Mapping[str, Report]) -> Tally:
    """Add up the groups' reports. `again` has the second runs; only what passed there is forgiven.

    A group that broke off counts as one failed test more.
    """
    outcomes = [outcome for report in reports.values() for outcome in report.outcomes.values()]
    failed, flaky = [], []
    for group, report in reports.items():
        second = again[group].outcomes if group in again else {}
        for test in report.failed:
            (flaky if second.get(test) == PASSED else failed).append(test)
        if report.trouble:
            failed.append(f"the pytest of {group} {report.trouble}")
    return Tally(outcomes.count(PASSED) + len(flaky), outcomes.count(SKIPPED), failed, flaky)


# --- the plugin


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--outcomes", type=Path, help="write each test's outcome to this file, and show progress in lines")


def pytest_configure(config: pytest.Config) -> None:
    if path := config.getoption("--outcomes"):
        config.pluginmanager.register(_Recorder(path, config), "outcomes-recorder")


class _Recorder:
    """Writes each outcome at once, and shows progress in lines: the dots of two processes would mix."""

    def __init__(self, path: Path, config: pytest.Config) -> None:
        self._out = path.open("a", buffering=1)
        self._config = config
        self._total = self._begun = self._failed = 0
        self._shown = time.monotonic()

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self._total = len(session.items)

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self._begun += 1
        if time.monotonic() > self._shown + _PROGRESS_S:
            self._shown = time.monotonic()
            self._say(f"{self._begun} of {self._total}, {self._failed} failed; now {nodeid}")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" or not report.passed:
            self._write(test=report.nodeid, outcome=report.outcome)
        if report.failed:
            self._failed += 1
            self._say(f"FAILED {report.nodeid}")

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if not report.passed:
            self._write(test=report.nodeid, outcome=report.outcome)
        if report.failed:
            self._say(f"FAILED {report.nodeid}")

    @pytest.hookimpl(wrapper=True)
    def pytest_report_teststatus(self, report: pytest.TestReport) -> Generator[None, Status, Status]:
        category, _, word = yield
        return category, "", word if report.failed else ""

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, exitstatus: int) -> None:
        self._write(exit=int(exitstatus))

    def pytest_unconfigure(self) -> None:
        self._out.close()

    def _write(self, **said: Any) -> None:
        self._out.write(json.dumps(said) + "\n")

    def _say(self, line: str) -> None:
        reporter: Any = self._config.pluginmanager.get_plugin("terminalreporter")
        reporter.write_line(line)
        reporter.flush()


def words(path: Path, options: Sequence[str] = ()) -> list[str]:
    """The words of a pytest command that writes its outcomes to `path`."""
    return ["-q", "-p", "tests.outcomes", "--outcomes", str(path), "--continue-on-collection-errors", *options]
