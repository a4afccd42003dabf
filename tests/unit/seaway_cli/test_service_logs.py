"""`seaway logs`: the last lines, new lines, and a log that is cut off meanwhile."""

import json
from pathlib import Path

import pytest

from seaway_cli import logfiles
from seaway_cli.errors import CliError
from seaway_cli.service_logs import LogReader, document, log_of, show


def append(path: Path, text: str) -> None:
    with path.open("a") as file:
        file.write(text)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "api.log"
    append(path, "one\ntwo\nthree\nhal")
    return path


@pytest.mark.parametrize(("lines", "text"), [(2, ["two", "three"]), (0, []), (-1, ["one", "two", "three"]), (9, 3)])
def test_the_last_lines(log: Path, lines: int, text: object) -> None:
    found = list(LogReader(log).last(lines))
    assert found == text or len(found) == text


def test_the_last_lines_reach_back_into_what_was_set_aside(log: Path) -> None:
    log.with_name("api.log.1").write_text("minus one\nzero\n")
    assert list(LogReader(log).last(4)) == ["zero", "one", "two", "three"]
    assert len(list(LogReader(log).last(-1))) == 5


def test_new_lines_come_once_and_whole(log: Path) -> None:
    reader = LogReader(log)
    list(reader.last(1))
    assert list(reader.new()) == []
    append(log, "f\nfour\nfi")
    assert list(reader.new()) == ["half", "four"]
    append(log, "ve\n")
    assert list(reader.new()) == ["five"]


def test_nothing_is_lost_when_the_log_is_cut_off(log: Path) -> None:
    reader = LogReader(log)
    list(reader.last(1))
    append(log, "f\nfour\n")
    logfiles.shorten(log, limit=1)
    append(log, "five\n")
    assert list(reader.new()) == ["half", "four", "five"]
    append(log, "six\n")
    assert list(reader.new()) == ["six"]


def test_which_logs_there_are(log: Path) -> None:
    assert log_of(log.parent, "api") == log
    with pytest.raises(CliError, match=r"no service apu has a log in .*; there are api"):
        log_of(log.parent, "apu")
    with pytest.raises(CliError, match=r"has no logs: .*journalctl -u seaway-api"):
        log_of(log.parent / "none", "api")


@pytest.mark.parametrize(
    ("line", "fields"),
    [
        (
            "2026-11-24T00:19:19.124Z WARN  agent: it: is late",
            {"time": "2026-11-24T00:19:19.124Z", "level": "warning", "service": "agent", "message": "it: is late"},
        ),
        ("  File x, line 3", {"service": "api", "message": "  File x, line 3"}),
        ('{"level": "info", "service": "agent"}', {"level": "info", "service": "agent"}),
        ("{odd", {"service": "api", "message": "{odd"}),
    ],
)
def test_lines_as_json(line: str, fields: dict[str, str]) -> None:
    assert document("api", line) == fields


def test_show(log: Path) -> None:
    written: list[str] = []
    show(log.parent, "api", 1, written.append, follow=False, as_json=True)
    assert [json.loads(line) for line in written] == [{"service": "api", "message": "three"}]
