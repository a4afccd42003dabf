"""The events stream: where it is kept, and how events get into it."""

from typing import Final

from seaway_contracts.catalogue.declare import IMAGE, METADATA, ask, call
from seaway_contracts.channels import ROOT, TELL, BucketConfig, StreamConfig
from seaway_contracts.ids import check_token
from seaway_contracts.lifecycle import PublishEvents, StoredEvents, StoreEvents

ALL_EVENTS: Final = f"{ROOT}.event.>"
ALL_TOLD: Final = TELL.format(node="*") + ".event.>"
"""The wildcard of events that agents publish to the services, before metadata judges and stores them."""
EVENT_STREAM: Final = StreamConfig(
    name="SEAWAY_EVENTS",
    subjects=(ALL_EVENTS,),
    max_age_s=30 * 86_400,
    max_bytes=8 << 30,
    duplicate_window_s=3600,
)
STORE_EVENTS: Final = ask(
    METADATA,
    "event.store",
    StoreEvents,
    StoredEvents,
    "Refuse events of other nodes' containers, and store the rest in order.",
    timeout_s=10,
)
PUBLISH_EVENTS: Final = call(
    METADATA,
    "event.publish",
    PublishEvents,
    StoredEvents,
    "Store these events of the calling service, in order.",
    callers=(IMAGE,),
    timeout_s=10,
)

SHARES_BUCKET: Final = BucketConfig("seaway_shares", "Each node's share of the events stream, by node.")


def events_of(node: str) -> str:
    """The wildcard of one node's events; raises BadToken."""
    return f"{ROOT}.event.{check_token(node)}.>"
