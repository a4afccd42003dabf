"""Events as an agent or a service hands them to metadata, which judges and stores them."""

import re
from typing import Final

from pydantic import Field, JsonValue

from seaway_contracts.base import Payload

EVENT_ID: Final = re.compile(r"[0-9a-f]{24}")
"""Of an agent's event: random, as the stream drops an event whose id it has seen."""
MOST_EVENTS: Final = 64
"""How many events one request may have."""
MOST_BYTES: Final = 64 << 10
"""How large an event may be that is stored: body and envelope, in bytes."""


class EventToStore(Payload):
    """One event: its envelope, without the node (the subject or the request names it), and the body's public part.

    `key`: the container that it belongs to, or what else it is about; events of one key keep their order.
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
    """Events that a service owns, which runs on that node, oldest first."""

    node: str
    events: tuple[EventToStore, ...] = ()


class StoredEvents(Payload):
    """All are stored but the `refused` ones: event id → reason. Don't send those again."""

    refused: dict[str, str] = Field(default_factory=dict)
