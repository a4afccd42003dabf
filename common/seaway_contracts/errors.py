"""Errors that cross the bus. An error knows its code, its HTTP status and whether a retry can help.

Code that must tell errors of one code apart looks at their `reason`; the sentence is for users alone.
"""

import errno
from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from pydantic import Field

from seaway_contracts.base import Payload


class Code(StrEnum):
    """The kinds of errors that a caller can act on."""

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


class Reason(StrEnum):
    """What exactly went wrong, where some code acts on it."""

    NOT_RUNNING = "not_running"
    """The container has no process."""
    PAUSED = "paused"
    """The container is paused."""
    NO_SUCH_FILE = "no_such_file"
    """A file that was asked for or is needed doesn't exist."""
    NO_ACCESS = "no_access"
    """A file may not be opened, or can't be executed."""
    ADDRESS_TAKEN = "address_taken"
    """Another container has the address; `facts` names the `claim`."""
    OTHER_NODE = "other_node"
    """The container can only be made on the `node` that `facts` names, because of the `thing` that is there."""
    NO_ROOM = "no_room"
    """The `node` that `facts` names can't reserve what the container wants: it `lacks` memory, CPU or devices,
    or `availability`: it gets no new containers."""


_REASONS: Final = {reason.value: reason for reason in Reason}
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
    """An error on the wire.

    `reason`: a word of `Reason`, or empty. Readers ignore a word that they don't know, so later releases may add some.
    `facts`: what code that acts on the reason needs to know.
    """

    code: Code
    message: str
    reason: str = ""
    facts: dict[str, str] = Field(default_factory=dict)


class SeawayError(Exception):
    """An error with a sentence for the user, which names the thing and says what to do."""

    def __init__(
        self, code: Code, message: str, reason: Reason | None = None, facts: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.reason = reason
        self.facts = dict(facts or {})

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
        return ErrorBody(code=self.code, message=self.message, reason=self.reason or "", facts=self.facts)

    @classmethod
    def from_body(cls, body: ErrorBody) -> "SeawayError":
        """The error that `body` describes."""
        return cls(body.code, body.message, _REASONS.get(body.reason), body.facts)


def reason_of(error: BaseException) -> Reason | None:
    """The reason for an error of the operating system; None if no code acts on it."""
    if isinstance(error, FileNotFoundError):
        return Reason.NO_SUCH_FILE
    if isinstance(error, OSError) and error.errno in (errno.EACCES, errno.EISDIR):
        return Reason.NO_ACCESS
    return None


def bad_request(message: str, reason: Reason | None = None) -> SeawayError:
    """The caller must change the request."""
    return SeawayError(Code.BAD_REQUEST, message, reason)


def not_found(message: str, reason: Reason | None = None) -> SeawayError:
    """The named thing does not exist."""
    return SeawayError(Code.NOT_FOUND, message, reason)


def conflict(message: str, reason: Reason | None = None) -> SeawayError:
    """The thing's state, or another thing, stands in the way."""
    return SeawayError(Code.CONFLICT, message, reason)


def not_modified() -> SeawayError:
    """The thing is already in the wanted state."""
    return SeawayError(Code.NOT_MODIFIED, "")


def written_later(what: object, found: int, known: int) -> SeawayError:
    """A later release wrote the file. This one would lose what it doesn't understand when it writes the file back."""
    return internal(
        f"{what} was written by a later release (schema {found}, this one knows {known}): start that release again, "
        "or restore what was kept before its start"
    )


def unavailable(message: str) -> SeawayError:
    """A part of the suite can't be reached just now; the same call may succeed later."""
    return SeawayError(Code.UNAVAILABLE, message)


def internal(message: str, reason: Reason | None = None) -> SeawayError:
    """An error that the caller can't fix with another request."""
    return SeawayError(Code.INTERNAL, message, reason)
