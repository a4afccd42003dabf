"""Checks that a node reports only on containers that it holds.

A node's account fixes the node's name in all its subjects, but not the containers in its messages. Receivers check
those here: they drop and count events, log lines and inventories of a container that another node holds. What can't be
judged yet is held back until a stored event, which metadata has judged, shows who holds the container.
"""

import logging
from collections import OrderedDict
from enum import Enum
from typing import Final, Protocol

import orjson
from prometheus_client import Counter

from seaway_bus.transport import Message
from seaway_contracts.ids import is_container_id, short_id
from seaway_contracts.lifecycle import Envelope

log = logging.getLogger(__name__)
FOREIGN: Final = Counter(
    "seaway_bus_foreign_total", "What a node said of a container that another node holds; dropped.", ("node", "what")
)
_MOST: Final = 8192
_MOST_BYTES: Final = 16 << 20


class Verdict(Enum):
    """OWN: the sender holds the container. FOREIGN: another node does. UNKNOWN: this process doesn't know."""

    OWN = "own"
    FOREIGN = "foreign"
    UNKNOWN = "unknown"


class Holders(Protocol):
    """The holders of containers, as far as this process knows them."""

    def verdict(self, node: str, container: str) -> Verdict:
        """Whether that node holds that container."""

    def note(self, container: str, node: str) -> None:
        """Note that this node holds the container: an event that metadata has judged shows it."""


def verdict(holder: str | None, node: str) -> Verdict:
    """The verdict where `holder`, if known, holds the container."""
    if holder is None:
        return Verdict.UNKNOWN
    return Verdict.OWN if holder == node else Verdict.FOREIGN


def drop_foreign(node: str, container: str, what: str) -> None:
    """Count and log what a node reports on another node's container."""
    FOREIGN.labels(node, what).inc()
    log.warning("node %s speaks of container %s, which another node holds: %s dropped", node, short_id(container), what)


def container_of(envelope: Envelope, data: bytes) -> str:
    """The id of the container that an event is about; empty if it is about none."""
    if envelope.noun == "container":
        return envelope.subject_id
    try:
        found = orjson.loads(data)["attributes"]["container"]
    except (ValueError, KeyError, TypeError):
        return ""
    return found if isinstance(found, str) and is_container_id(found) else ""


class HeldBack:
    """Messages of containers without a known holder. Drops the oldest beyond a bound: they also come by the stream."""

    def __init__(self, most: int = _MOST, most_bytes: int = _MOST_BYTES) -> None:
        self._most = most
        self._most_bytes = most_bytes
        self._count = 0
        self._bytes = 0
        self._held: OrderedDict[str, list[Message]] = OrderedDict()

    def hold(self, container: str, message: Message) -> None:
        """Keep a message until `release`."""
        self._held.setdefault(container, []).append(message)
        self._count += 1
        self._bytes += len(message.data)
        while self._count > self._most or self._bytes > self._most_bytes:
            self.release(next(iter(self._held)))

    def release(self, container: str) -> list[Message]:
        """Remove and return what was held back of this container, in order."""
        found = self._held.pop(container, [])
        self._count -= len(found)
        self._bytes -= sum(len(message.data) for message in found)
        return found
