"""Lifecycle events: their envelope (CloudEvents 1.0, NATS binary mode), bodies, and the order that they keep.

Order per container (MUST): `create` comes first and `destroy` last; between them a run is
`start`, anything, `die`; `die` never comes before its `start`; `oom` comes before `die`;
`stop` comes right before the `die` that it caused (as in Docker 26), `restart` right after the
new `start`; `seq` grows with each event: by one, except for events that a full outbox left out and the
jump after a node's reboot (docs/events.md has the whole table).

At the end: the requests by which agents and services hand events to metadata, which stores them.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Literal
from urllib.parse import quote, unquote

import orjson
from pydantic import Field, JsonValue, field_validator

from seaway_contracts.base import Payload
from seaway_contracts.containers import ContainerSpec, ContainerStatus, Endpoint, State
from seaway_contracts.masking import masked

MSG_ID: Final = "Nats-Msg-Id"
EXEC_COMMAND: Final = "execCommand"
"""The attribute of `exec_create` and `exec_start` with the command, for services only."""
_EPOCH: Final = datetime(1970, 1, 1)  # UTC
_PLAIN: Final = re.compile(r"[!#$&-~]*")
_SAFE: Final = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) not in '"%')
"""What CloudEvents leaves as it is in a header; the rest, such as the spaces of a certificate's name, is `%20`."""
_TYPE_PREFIX: Final = "io.seaway.v1."
EVENT_ID: Final = re.compile(r"[0-9a-f]{24}")
"""An agent's event ids are 24 random hex digits; the stream drops a second event with the same id."""
MOST_EVENTS: Final = 64
"""The most events in one request."""
MOST_BYTES: Final = 64 << 10
"""The largest event that is stored: body and envelope, in bytes."""


class ContainerEvent(Payload):
    """A container event as its agent publishes it to the services: the status after it, Docker's actor attributes.

    `spec` is set for `create` and for each event that changes it: `rename`, `update`, and a `status` after a connect or
    a disconnect.
    """

    status: ContainerStatus
    attributes: dict[str, str] = Field(default_factory=dict)
    spec: ContainerSpec | None = None


class PublicHealth(Payload):
    """A container's health, without the output of its probes."""

    status: Literal["starting", "healthy", "unhealthy"] = "starting"
    failing_streak: int = 0


class PublicStatus(Payload):
    """The part of a container's status that every subscriber may read (ContainerStatus documents the fields).

    It has no ports: a thousand of them would not fit into an event.
    """

    state: State = State.CREATED
    seq: int = 0
    run: int = 0
    pid: int = 0
    exit_code: int = 0
    oom_killed: bool = False
    started_ns: int = 0
    finished_ns: int = 0
    restart_count: int = 0
    manually_stopped: bool = False
    removes_volumes: bool = False
    paused_by_commit: bool = False
    endpoints: tuple[Endpoint, ...] = ()
    health: PublicHealth | None = None
    apparmor: str | None = None


class PublicContainerEvent(Payload):
    """A container event in the stream: the public part of the status after it, and Docker's actor attributes.

    Environment, arguments, mounts, log options and the commands of execs are only in the records, and so are the values
    of labels that are secret by their keys.
    """

    status: PublicStatus
    attributes: dict[str, str] = Field(default_factory=dict)

    @field_validator("attributes")
    @classmethod
    def _without_secrets(cls, value: dict[str, str]) -> dict[str, str]:
        return masked({key: text for key, text in value.items() if key != EXEC_COMMAND})


def public_body(noun: str, body: bytes) -> dict[str, Any]:
    """The public part of an event's body, from its JSON. Raises ValueError if that isn't a JSON object."""
    document = orjson.loads(body)
    if not isinstance(document, dict):
        raise ValueError("the body is no JSON object")
    if noun == "volume":
        shown = {key: value for key, value in document.items() if key != "options"}  # they may hold a password
        return shown | {"labels": masked(shown["labels"])} if shown.get("labels") else shown
    if noun != "container":
        return document
    status = document.get("status") or {}
    shown = {key: value for key, value in status.items() if key in PublicStatus.model_fields}
    if shown.get("health"):
        shown["health"] = {key: value for key, value in shown["health"].items() if key in PublicHealth.model_fields}
    attributes = document.get("attributes") or {}
    return {
        "status": shown,
        "attributes": masked({key: value for key, value in attributes.items() if key != EXEC_COMMAND}),
    }


class PruneEvent(Payload):
    """A prune event's body: what was not in use of one `kind` (container, image, network, volume, builder) is removed.

    Docker's actor attributes: `reclaimed`, bytes.
    """

    kind: str
    attributes: dict[str, str] = Field(default_factory=dict)


CLUSTER: Final = "cluster"
"""Stands for the node in the subjects of events that metadata itself publishes."""


def volume_subject(name: str) -> str:
    """The token of a volume in subjects, which may not contain names that users give."""
    return hashlib.sha256(name.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Envelope:
    """The attributes that every event has beside its body.

    `subject_id` is the id of the container, image, network, volume (`volume_subject`) or node; `seq` the place in that
    thing's own order (0: unordered); `cause` the id of the command that caused it; `actor` who asked; `time_ns` Unix
    nanoseconds.
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
            "ce-actor": self.actor if _PLAIN.fullmatch(self.actor) else quote(self.actor, safe=_SAFE),
        }

    @classmethod
    def from_headers(cls, headers: Mapping[str, str]) -> "Envelope":
        """The envelope of a received event; raises ValueError if it isn't an event of Seaway."""
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
            actor=unquote(headers.get("ce-actor", "")),
        )


def _rfc3339(ns: int) -> str:
    seconds, nanos = divmod(ns, 1_000_000_000)
    return f"{(_EPOCH + timedelta(seconds=seconds)).isoformat()}.{nanos:09}Z"


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
