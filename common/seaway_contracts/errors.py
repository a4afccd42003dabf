"""Errors that cross the bus. An error knows its code, its HTTP status and whether a retry can help."""

from enum import StrEnum
from typing import Final

from seaway_contracts.base import Payload


class Code(StrEnum):
    """What went wrong, in terms that a caller can act on."""

    BAD_REQUEST = "bad_request"
    UNAUTHORIZED = "unauthorized"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not_found"
    NOT_MODIFIED = "not_modified"
    CONFLICT = "conflict"
    TOO_LARGE = "too_large"
    UNPLACEABLE = "unplaceable"
    STALE = "stale"
    INTERNAL = "internal"
    NO_SPACE = "no_space"
    UNAVAILABLE = "unavailable"
    TIMEOUT = "timeout"


_STATUS: Final = {
    Code.BAD_REQUEST: 400,
    Code.UNAUTHORIZED: 401,
    Code.FORBIDDEN: 403,
    Code.NOT_FOUND: 404,
    Code.NOT_MODIFIED: 304,
    Code.CONFLICT: 409,
    Code.TOO_LARGE: 413,
    Code.UNPLACEABLE: 500,
    Code.STALE: 409,
    Code.INTERNAL: 500,
    Code.NO_SPACE: 500,
    Code.UNAVAILABLE: 503,
    Code.TIMEOUT: 504,
}
_RETRYABLE: Final = frozenset({Code.UNAVAILABLE, Code.TIMEOUT})


class ErrorBody(Payload):
    """An error on the wire."""

    code: Code
    message: str


class SeawayError(Exception):
    """A failure with a sentence for the user: it names the thing and says what to do."""

    def __init__(self, code: Code, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message

    @property
    def status(self) -> int:
        """The HTTP status that the Docker API gives for this."""
        return _STATUS[self.code]

    @property
    def retryable(self) -> bool:
        """Whether the same call may succeed later without any change."""
        return self.code in _RETRYABLE

    def body(self) -> ErrorBody:
        """This error as a payload."""
        return ErrorBody(code=self.code, message=self.message)

    @classmethod
    def from_body(cls, body: ErrorBody) -> "SeawayError":
        """The error that `body` describes."""
        return cls(body.code, body.message)


def bad_request(message: str) -> SeawayError:
    """The caller must change the request."""
    return SeawayError(Code.BAD_REQUEST, message)


def not_found(message: str) -> SeawayError:
    """The named thing does not exist."""
    return SeawayError(Code.NOT_FOUND, message)


def conflict(message: str) -> SeawayError:
    """The thing's state, or another thing, stands in the way."""
    return SeawayError(Code.CONFLICT, message)


def not_modified() -> SeawayError:
    """The thing already is as asked."""
    return SeawayError(Code.NOT_MODIFIED, "")


def written_later(what: object, found: int, known: int) -> SeawayError:
    """A file was written by a later release: half understood, it would be written back without the rest."""
    return internal(
        f"{what} was written by a later release (schema {found}, this one knows {known}): start that release again, "
        "or restore what was kept before its start"
    )


def unavailable(message: str) -> SeawayError:
    """A part of the suite can't be reached just now; the same call may succeed later."""
    return SeawayError(Code.UNAVAILABLE, message)


def internal(message: str) -> SeawayError:
    """Something failed that the caller can't mend by another request."""
    return SeawayError(Code.INTERNAL, message)
