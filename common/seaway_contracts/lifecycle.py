"""Lifecycle events: their envelope (CloudEvents 1.0, NATS binary mode), bodies, and the order that they keep.

Order per container (MUST): `create` comes first and `destroy` last; between them a run is
`start`, anything, `die`; `die` never comes before its `start`; `oom` comes before `die`;
`stop` comes right before the `die` that it caused (as in Docker 26), `restart` right after the
new `start`; `seq` grows with each event, by one but for what was left out of a full outbox and the leap
after a node's reboot (docs/events.md has the whole table).
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from pydantic import Field

from seaway_contracts.base import Payload
from seaway_contracts.containers import ContainerSpec, ContainerStatus

MSG_ID: Final = "Nats-Msg-Id"
_EPOCH: Final = datetime(1970, 1, 1)  # UTC, like all that is counted from it
LAST_MSG_ID: Final = "Nats-Expected-Last-Msg-Id"
_TYPE_PREFIX: Final = "io.seaway.v1."


class ContainerEvent(Payload):
    """A container event's body: the status after it, and Docker's actor attributes. `spec` with `create` and with
    each event that changes it (`rename`, `update`)."""

    status: ContainerStatus
    attributes: dict[str, str] = Field(default_factory=dict)
    spec: ContainerSpec | None = None


class NetworkEvent(Payload):
    """A network event's body: Docker's actor attributes (`container`, `name`, `type`)."""

    network_id: str
    attributes: dict[str, str] = Field(default_factory=dict)


class VolumeEvent(Payload):
    """A volume event's body: its name, and Docker's actor attributes (`driver`; at a mount those of the mount, too)."""

    name: str
    attributes: dict[str, str] = Field(default_factory=dict)


class PruneEvent(Payload):
    """What of one `kind` (container, image, network, builder) was not in use is gone. Docker's actor attributes:
    `reclaimed`, bytes.
    """

    kind: str
    attributes: dict[str, str] = Field(default_factory=dict)


def volume_id(name: str) -> str:
    """What stands for a volume in subjects, where names that users give don't."""
    return hashlib.sha256(name.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Envelope:
    """What every event carries beside its body.

    `subject_id` is the container, image, network, volume (`volume_id`) or node; `seq` its place in that thing's own
    order (0: unordered); `cause` the id of the command that led to it; `actor` who asked; `time_ns` Unix nanoseconds.
    """

    id: str
    node: str
    noun: str
    action: str
    subject_id: str
    time_ns: int
    seq: int = 0
    cause: str = ""
    actor: str = ""

    def headers(self) -> dict[str, str]:
        """The NATS headers: CloudEvents attributes as `ce-…`, and the id by which the stream drops repeats."""
        return {
            MSG_ID: self.id,
            "ce-specversion": "1.0",
            "ce-id": self.id,
            "ce-source": f"/seaway/node/{self.node}",
            "ce-type": f"{_TYPE_PREFIX}{self.noun}.{self.action}",
            "ce-subject": self.subject_id,
            "ce-time": _rfc3339(self.time_ns),
            "ce-datacontenttype": "application/json",
            "ce-node": self.node,
            "ce-timens": str(self.time_ns),
            "ce-sequence": str(self.seq),
            "ce-cause": self.cause,
            "ce-actor": self.actor,
        }

    @classmethod
    def from_headers(cls, headers: Mapping[str, str]) -> "Envelope":
        """Read the envelope of a received event; raises ValueError where it is none of ours."""
        kind = headers.get("ce-type", "")
        noun, _, action = kind.removeprefix(_TYPE_PREFIX).partition(".")
        if not kind.startswith(_TYPE_PREFIX) or not noun or not action:
            raise ValueError(f"not a Seaway event: ce-type is {kind!r}")
        return cls(
            id=headers["ce-id"],
            node=headers.get("ce-node", ""),
            noun=noun,
            action=action,
            subject_id=headers.get("ce-subject", ""),
            time_ns=int(headers.get("ce-timens", "0")),
            seq=int(headers.get("ce-sequence", "0")),
            cause=headers.get("ce-cause", ""),
            actor=headers.get("ce-actor", ""),
        )


def _rfc3339(ns: int) -> str:
    seconds, nanos = divmod(ns, 1_000_000_000)
    return f"{(_EPOCH + timedelta(seconds=seconds)).isoformat()}.{nanos:09}Z"
