import os
from pathlib import Path

from seaway_cli.logfiles import shorten, shorten_all


def test_large_log_is_set_aside_while_it_is_written(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    shorten(log, limit=3)
    writer = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(writer, b"abc")
    shorten(log, limit=3)
    assert log.read_text() == "abc"
    os.write(writer, b"d")
    shorten(log, limit=3)
    os.write(writer, b"e")
    os.close(writer)
    assert log.read_text() == "e"
    assert (tmp_path / "a.log.1").read_text() == "abcd"


def test_text_goes_where_it_can_not_be_set_aside(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    log.write_text("abcd")
    log.with_name("a.log.1").symlink_to("/dev/full")
    shorten(log, limit=3)
    assert log.read_text() == ""
    assert [path.name for path in tmp_path.iterdir()] == ["a.log"]


def test_all_logs_of_a_directory(tmp_path: Path) -> None:
    shorten_all(tmp_path / "absent", limit=3)
    for name in ("a.log", "b.log", "c.txt"):
        (tmp_path / name).write_text("abcd")
    shorten_all(tmp_path, limit=3)
    assert {path.name for path in tmp_path.iterdir() if path.stat().st_size} == {"a.log.1", "b.log.1", "c.txt"}
