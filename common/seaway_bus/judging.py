"""Checks that a node reports only on containers that it holds.

A node's account fixes its name in all that it says, not of which container it speaks. Whoever hears nodes asks here
first: events, log lines and inventories of a container that another node holds are dropped and counted. What can't be
judged yet is held back until an event in the stream, which metadata has judged, shows who holds the container.
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
    """OWN: the sender holds the container. FOREIGN: another node does. UNKNOWN: not known in this process."""

    OWN = "own"
    FOREIGN = "foreign"
    UNKNOWN = "unknown"


class Holders(Protocol):
    """Who holds which container, as far as one process knows."""

    def verdict(self, node: str, container: str) -> Verdict:
        """Whether that node holds that container."""

    def note(self, container: str, node: str) -> None:
        """An event that metadata has judged shows that this node holds the container."""


def verdict(holder: str | None, node: str) -> Verdict:
    """The verdict where `holder`, if known, holds the container."""
    if holder is None:
        return Verdict.UNKNOWN
    return Verdict.OWN if holder == node else Verdict.FOREIGN


def drop_foreign(node: str, container: str, what: str) -> None:
    """Count and log what a node said of another's container."""
    FOREIGN.labels(node, what).inc()
    log.warning("node %s speaks of container %s, which another node holds: %s dropped", node, short_id(container), what)


def container_of(envelope: Envelope, data: bytes) -> str:
    """The container that an event speaks of; empty where it speaks of none."""
    if envelope.noun == "container":
        return envelope.subject_id
    try:
        found = orjson.loads(data)["attributes"]["container"]
    except (ValueError, KeyError, TypeError):
        return ""
    return found if isinstance(found, str) and is_container_id(found) else ""


class HeldBack:
    """Messages of containers whose holder isn't known yet. Too many are dropped: they come by the stream as well."""

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
        """What was held back of this container, in order; it is held no longer."""
        found = self._held.pop(container, [])
        self._count -= len(found)
        self._bytes -= sum(len(message.data) for message in found)
        return found
