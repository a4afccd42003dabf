"""Which messages are events."""

import pytest

from seaway_bus.events import read_event
from seaway_bus.transport import Message
from seaway_contracts.catalogue import CONTAINER_STATUS
from seaway_testing.builders import container_event, status


def message(**changes: str) -> Message:
    envelope, body = container_event("status", status(seq=3))
    subject = CONTAINER_STATUS.subject(envelope.node, envelope.subject_id)
    return Message(subject, CONTAINER_STATUS.encode(body), envelope.headers() | changes, stream_seq=7)


def test_an_event() -> None:
    event = read_event(message())
    assert event is not None
    assert (event.envelope.seq, event.stream_seq, event.channel) == (3, 7, CONTAINER_STATUS)


def test_a_word_of_a_later_release_is_handed_on() -> None:
    event = read_event(message(**{"ce-type": "io.seaway.v1.container.teleport"}))
    assert event is not None
    with pytest.raises(KeyError):
        _ = event.channel


@pytest.mark.parametrize(
    "changes",
    [
        {"ce-node": "n2"},
        {"ce-subject": "another"},
        {"ce-subject": "a.b"},
        {"ce-type": "io.seaway.v1.container.die"},
        {"ce-type": "nonsense"},
        {"ce-sequence": "many"},
    ],
)
def test_what_lies_is_dropped(changes: dict[str, str]) -> None:
    assert read_event(message(**changes)) is None


def test_no_headers() -> None:
    assert read_event(Message("seaway.v1.event.n1.container.die.x", b"")) is None
