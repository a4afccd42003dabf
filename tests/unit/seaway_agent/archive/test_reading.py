"""What is said of a path that can't be read."""

import pytest

from seaway_agent.archive.reading import refusal
from seaway_contracts.errors import Code, Reason


@pytest.mark.parametrize(
    ("error", "code", "reason", "words"),
    [
        (
            FileNotFoundError(2, "x"),
            Code.NOT_FOUND,
            Reason.NO_SUCH_FILE,
            "Could not find the file /p in container abc",
        ),
        (NotADirectoryError(20, "x"), Code.INTERNAL, None, "lstat /p: not a directory"),
    ],
)
def test_a_path_that_is_not_there_has_a_reason(error: OSError, code: Code, reason: Reason | None, words: str) -> None:
    said = refusal(error, "lstat", "/p", "abc")
    assert (said.code, said.reason, said.message) == (code, reason, words)
