from pathlib import Path

import pytest

from seaway_cli.process import describe_end, rotate


def test_large_log_is_set_aside(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    rotate(log, limit=3)
    log.write_text("abc")
    rotate(log, limit=3)
    assert log.exists()
    log.write_text("abcd")
    rotate(log, limit=3)
    assert [path.name for path in tmp_path.iterdir()] == ["a.log.1"]


@pytest.mark.parametrize(
    ("code", "words"), [(0, "exit code 0"), (3, "exit code 3"), (-9, "killed by SIGKILL"), (-99, "killed by signal 99")]
)
def test_ends_in_words(code: int, words: str) -> None:
    assert describe_end(code) == words
