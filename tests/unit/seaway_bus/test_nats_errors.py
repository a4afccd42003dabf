"""nats-py's and JetStream's errors become the port's."""

import json

import nats.errors
import pytest

from seaway_bus.nats_errors import ConfigurationDiffers, NoMessage, NotDeleted, answer_of, translated
from seaway_bus.transport import (
    Message,
    NoSpace,
    NotConnected,
    RequestTimeout,
    TooLarge,
    TransportError,
    WrongRevision,
)


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (10071, WrongRevision),
        (10164, WrongRevision),
        (10047, NoSpace),
        (10077, NoSpace),
        (10054, TooLarge),
        (10058, ConfigurationDiffers),
        (10037, NoMessage),
        (10057, NotDeleted),
        (1, TransportError),
        (None, TransportError),
    ],
)
def test_answers_with_errors(code: int | None, kind: type[Exception]) -> None:
    error = {"code": 400, "description": "the reason"} | ({"err_code": code} if code else {})
    with pytest.raises(kind, match="the reason") as caught:
        answer_of(Message("s", json.dumps({"error": error}).encode()))
    assert type(caught.value) is kind


def test_an_answer() -> None:
    assert answer_of(Message("s", b'{"seq": 3}')) == {"seq": 3}


@pytest.mark.parametrize(
    ("raised", "kind"),
    [
        (nats.errors.TimeoutError(), RequestTimeout),
        (TimeoutError(), RequestTimeout),
        (nats.errors.MaxPayloadError(), TooLarge),
        (nats.errors.ConnectionClosedError(), NotConnected),
        (ConnectionRefusedError("refused"), NotConnected),
    ],
)
def test_exceptions_of_the_client(raised: Exception, kind: type[Exception]) -> None:
    with pytest.raises(kind), translated():
        raise raised


def test_the_ports_own_pass() -> None:
    with pytest.raises(NoSpace), translated():
        raise NoSpace("full")
