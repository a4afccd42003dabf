import pytest

from seaway_cli.process import describe_end


@pytest.mark.parametrize(
    ("code", "words"), [(0, "exit code 0"), (3, "exit code 3"), (-9, "killed by SIGKILL"), (-99, "killed by signal 99")]
)
def test_ends_in_words(code: int, words: str) -> None:
    assert describe_end(code) == words
