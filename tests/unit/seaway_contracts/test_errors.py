"""Errors on their way over the bus."""

import pytest

from seaway_contracts.errors import Code, ErrorBody, SeawayError, not_modified


@pytest.mark.parametrize("code", list(Code))
def test_every_code_has_a_status_and_comes_back(code: Code) -> None:
    error = SeawayError(code, "the thing is in the way")
    again = SeawayError.from_body(ErrorBody.model_validate_json(error.body().model_dump_json()))
    assert (again.code, again.message, again.status) == (code, "the thing is in the way", error.status)
    assert 300 <= error.status < 600
    assert error.retryable == (code in (Code.UNAVAILABLE, Code.TIMEOUT))


def test_not_modified_has_no_words() -> None:
    assert (not_modified().status, not_modified().message) == (304, "")
