"""Translates nats-py's exceptions into the port's. No other module does."""

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any, Final

import nats.errors
import orjson

from seaway_bus.transport import (
    Message,
    NoSpace,
    NotConnected,
    RequestTimeout,
    TooLarge,
    TransportError,
    WrongRevision,
)


class ConfigurationDiffers(TransportError):
    """A stream of that name exists with another configuration."""


class NoSuchStream(TransportError):
    """No stream has that name."""


class NotDeleted(TransportError):
    """A message was not deleted, mostly because it is gone already."""


class NoMessage(NotDeleted):
    """There is no such message."""


_KINDS: Final[dict[tuple[int, ...], type[Exception]]] = {
    (10023, 10047, 10077): NoSpace,  # insufficient resources, storage, maximum bytes
    (10071, 10164): WrongRevision,  # wrong last sequence
    (10054,): TooLarge,  # message exceeds maximum
    (10059,): NoSuchStream,
    (10058,): ConfigurationDiffers,  # name in use
    (10037,): NoMessage,
    (10043, 10057): NotDeleted,  # sequence not found, deletion failed
}


_NO_PEERS: Final = 10005  # in a cluster: too little room, or too few servers


@contextlib.contextmanager
def translated() -> Iterator[None]:
    """Raise the port's exception for each of nats-py's."""
    try:
        yield
    except (nats.errors.TimeoutError, TimeoutError) as error:
        raise RequestTimeout("no answer in time") from error
    except nats.errors.MaxPayloadError as error:
        raise TooLarge("the message is larger than the server takes") from error
    except (nats.errors.Error, OSError) as error:
        raise NotConnected(f"no connection to the NATS server: {error or type(error).__name__}") from error


def answer_of(reply: Message) -> dict[str, Any]:
    """The content of a JetStream answer; raises the port's exception for the error that it reports."""
    answer: dict[str, Any] = orjson.loads(reply.data)
    if "error" in answer:
        raise _api_error(answer["error"])
    return answer


def _api_error(error: Mapping[str, Any]) -> Exception:
    code, text = int(error.get("err_code", 0)), str(error.get("description", "unknown error"))
    kind = next((kind for codes, kind in _KINDS.items() if code in codes), TransportError)
    if code == _NO_PEERS and "insufficient storage" in text:
        kind = NoSpace
    return kind(text)
