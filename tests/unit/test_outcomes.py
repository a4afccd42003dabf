"""What several pytest processes came to together, and what a run of the tests ends with."""

import json

import pytest
from tests.outcomes import Report, read, tally


def written(*outcomes: tuple[str, str], exit_code: int | None = 0) -> Report:
    lines = [json.dumps({"test": test, "outcome": outcome}) + "\n" for test, outcome in outcomes]
    if exit_code is not None:
        lines.append(json.dumps({"exit": exit_code}) + "\n")
    return read(lines)


def test_a_tests_worst_phase_is_its_outcome() -> None:
    report = written(("a", "passed"), ("a", "failed"), ("b", "skipped"), ("c", "passed"), exit_code=1)
    assert report == Report({"a": "failed", "b": "skipped", "c": "passed"}, 1)
    assert (report.failed, report.trouble) == (["a"], "")


@pytest.mark.parametrize(
    ("report", "trouble"),
    [
        (written(("a", "passed")), ""),
        (written(exit_code=5), ""),
        (Report(), "was killed, or did not start"),
        (written(("a", "passed"), exit_code=None), "was killed, or did not start"),
        (written(("a", "passed"), exit_code=1), "broke off with exit code 1"),
        (written(("a", "failed"), exit_code=3), "broke off with exit code 3"),
    ],
)
def test_a_process_that_did_not_end_well(report: Report, trouble: str) -> None:
    assert report.trouble == trouble


def test_a_line_that_is_cut_off() -> None:
    assert read(['{"test": "a", "outcome": "passed"}\n', '{"exit": 1']) == Report({"a": "passed"}, None)


def test_what_passes_alone_is_flaky_and_all_else_has_failed() -> None:
    """Also what is skipped when it runs alone, and what a second run has no word of."""
    first = written(*((test, "failed") for test in "abcd"), ("e", "passed"), ("f", "skipped"), exit_code=1)
    again = written(("a", "passed"), ("b", "failed"), ("c", "skipped"), exit_code=1)
    found = tally({"x": first}, {"x": again})
    assert (found.passed, found.skipped, found.failed, found.flaky) == (2, 1, ["b", "c", "d"], ["a"])
    assert not found.is_good


def test_the_closing_lines() -> None:
    first = {"x": written(("a", "failed"), ("b", "failed"), exit_code=1), "y": written(("c", "passed"))}
    found = tally(first, {"x": written(("a", "passed"), ("b", "failed"), exit_code=1)})
    assert list(found.lines()) == [
        *("", "Failed, also when run once more alone:", "  b"),
        *("", "Flaky (failed, then passed alone), each a bug:", "  a"),
        *("", "2 passed, 1 failed"),
    ]
    good = tally({"x": written(("a", "passed"), ("b", "skipped"))}, {})
    assert good.is_good and list(good.lines()) == ["", "1 passed, 0 failed, 1 skipped"]


def test_a_process_that_broke_off_is_a_failure() -> None:
    found = tally({"x": written(("a", "passed")), "y": written(("b", "passed"), exit_code=None)}, {})
    assert not found.is_good
    assert list(found.lines())[-2:] == ["", "2 passed, 1 failed"]
    assert found.failed == ["the pytest of y was killed, or did not start"]


def test_no_test_at_all_is_not_good() -> None:
    assert not tally({"x": written(exit_code=5)}, {}).is_good
