"""Networks: ids, events."""

import hashlib

from pydantic import Field

from seaway_contracts.base import Payload


def network_id(name: str) -> str:
    """The id of a network that every node has, the same on each node and after each start."""
    return hashlib.sha256(f"seaway network {name}".encode()).hexdigest()


class NetworkEvent(Payload):
    """A network event's body: Docker's actor attributes (`container`, `name`, `type`)."""

    network_id: str
    attributes: dict[str, str] = Field(default_factory=dict)
