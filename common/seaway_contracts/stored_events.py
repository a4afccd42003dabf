"""Events that agents and services hand to metadata, which judges and stores them."""

import re
from typing import Final

from pydantic import Field, JsonValue

from seaway_contracts.base import Payload

EVENT_ID: Final = re.compile(r"[0-9a-f]{24}")
"""The form of an agent's event id: random, as the stream drops an event whose id it knows."""
MOST_EVENTS: Final = 64
"""The most events in one request."""
MOST_BYTES: Final = 64 << 10
"""The largest event that is stored: body and envelope, in bytes."""


class EventToStore(Payload):
    """An event: its envelope without the node, which the subject or the request names, and the body's public part.

    `key`: its container, or what else it is about; events of one key keep their order.
    """

    id: str
    key: str
    noun: str
    action: str
    subject_id: str
    time_ns: int
    seq: int = 0
    cause: str = ""
    actor: str = ""
    body: dict[str, JsonValue] = Field(default_factory=dict)


class StoreEvents(Payload):
    """Events of one node, oldest first."""

    events: tuple[EventToStore, ...] = ()


class PublishEvents(Payload):
    """A service's own events, oldest first; the service runs on that node."""

    node: str
    events: tuple[EventToStore, ...] = ()


class StoredEvents(Payload):
    """All events are stored except `refused`: event id → reason. Don't send those again."""

    refused: dict[str, str] = Field(default_factory=dict)
