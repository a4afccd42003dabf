"""Errors on their way over the bus."""

import errno

import pytest

from seaway_contracts.errors import Code, ErrorBody, Reason, SeawayError, conflict, not_modified, reason_of


@pytest.mark.parametrize("code", list(Code))
def test_every_code_has_a_status_and_comes_back(code: Code) -> None:
    error = SeawayError(code, "the thing is in the way")
    again = SeawayError.from_body(ErrorBody.model_validate_json(error.body().model_dump_json()))
    assert (again.code, again.message, again.status) == (code, "the thing is in the way", error.status)
    assert 300 <= error.status < 600
    assert error.retryable == (code in (Code.UNAVAILABLE, Code.TIMEOUT))


def test_not_modified_has_no_words() -> None:
    assert (not_modified().status, not_modified().message) == (304, "")


@pytest.mark.parametrize("reason", [None, *Reason])
def test_a_reason_comes_back(reason: Reason | None) -> None:
    sent = conflict("the thing is in the way", reason).body().model_dump_json(exclude_defaults=True)
    assert SeawayError.from_body(ErrorBody.model_validate_json(sent)).reason is reason


@pytest.mark.parametrize("more", ["", ', "reason": ""', ', "reason": "a word of a later release"'])
def test_no_reason_and_an_unknown_one_mean_the_same(more: str) -> None:
    error = SeawayError.from_body(ErrorBody.model_validate_json(f'{{"code": "conflict", "message": "no"{more}}}'))
    assert (error.code, error.message, error.reason) == (Code.CONFLICT, "no", None)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (OSError(errno.ENOENT, "x"), Reason.NO_SUCH_FILE),
        (OSError(errno.EACCES, "x"), Reason.NO_ACCESS),
        (OSError(errno.EISDIR, "x"), Reason.NO_ACCESS),
        (OSError(errno.EPERM, "x"), None),
        (OSError("no such file or directory"), None),
        (ValueError("x"), None),
    ],
)
def test_reasons_of_the_operating_system(error: Exception, reason: Reason | None) -> None:
    assert reason_of(error) is reason
