"""The last lines over several files."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from seaway_agent.streams.log_files import LogFiles
from seaway_agent.streams.log_position import tail_position
from seaway_docker.log_options import LogPolicy
from seaway_docker.loglines import Reader

STAMP = b"2026-01-01T00:00:00.000000001+00:00 "


def line(text: bytes, tag: bytes = b"stdout F") -> bytes:
    """One record."""
    return STAMP + tag + b" " + text + b"\n"


def log_of(tmp_path: Path, *contents: bytes) -> LogFiles:
    """A log of these files, the last one being written."""
    for old in tmp_path.iterdir():
        old.unlink()
    files = LogFiles(tmp_path / "ctr.log", LogPolicy(1, 9))
    for content in contents[:-1]:
        files.path.write_bytes(content)
        files.rename_current()
    files.path.write_bytes(contents[-1])
    return files


def shown(files: LogFiles, lines: int) -> bytes:
    """What is read from there."""
    number, offset = tail_position(files, lines)
    reader, found = Reader(raw=True), b""
    for one in range(number, files.current + 1):
        with open(files.open(one), "rb") as opened:
            opened.seek(offset)
            found += reader.feed(opened.read())
        reader.break_off()
        offset = 0
    return found


@pytest.mark.parametrize(
    ("lines", "expected"), [(0, b""), (1, b"d\n"), (2, b"c\nd\n"), (3, b"b\nc\nd\n"), (9, b"a\nb\nc\nd\n")]
)
def test_older_files_give_what_the_newer_lack(tmp_path: Path, lines: int, expected: bytes) -> None:
    files = log_of(tmp_path, line(b"a") + line(b"b"), line(b"c"), line(b"d"))
    assert shown(files, lines) == expected
    files.compress(1)
    files.compress(2)
    assert shown(files, lines) == expected


def test_a_written_file_that_is_not_there_yet(tmp_path: Path) -> None:
    files = log_of(tmp_path, line(b"a") + line(b"b"), b"")
    files.path.unlink()
    assert shown_from(files, 1) == (1, len(line(b"a")))
    assert tail_position(LogFiles(tmp_path / "none.log", LogPolicy()), 3) == (1, 0)


def shown_from(files: LogFiles, lines: int) -> tuple[int, int]:
    """The place itself."""
    return tail_position(files, lines)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.lists(st.lists(st.binary(max_size=5), max_size=6), min_size=1, max_size=5), st.integers(0, 20))
def test_any_files_against_a_plain_reading(tmp_path: Path, contents: list[list[bytes]], lines: int) -> None:
    clean = [[text.replace(b"\n", b"") for text in content] for content in contents]
    files = log_of(tmp_path, *(b"".join(map(line, content)) for content in clean))
    whole = [text + b"\n" for content in clean for text in content]
    assert shown(files, lines) == b"".join(whole[len(whole) - min(lines, len(whole)) :])
