"""Events as Docker's clients see them (Docker API 1.48, GET /events). Pure."""

from dataclasses import dataclass
from typing import Any, Final, Protocol

import orjson

from seaway_contracts.lifecycle import EXEC_COMMAND, Envelope
from seaway_docker.event_filters import EventFacts

_CLUSTER: Final = "cluster"
_HEALTH: Final = "health_status"
EXEC_ACTIONS: Final = frozenset({"exec_create", "exec_start"})
"""Docker says with these what the exec runs."""
_INTERNAL: Final = frozenset({("container", "status")})


@dataclass(frozen=True, slots=True)
class DockerEvent:
    """An event in Docker's words. `line` is its JSON; `stored` tells a replayed one from a live one."""

    id: str
    facts: EventFacts
    time_ns: int
    line: bytes
    stored: bool = False


class Commands(Protocol):
    """What execs run, by exec id."""

    def get(self, identifier: str) -> str | None:
        """None where that isn't known."""


def docker_event(
    envelope: Envelope, data: bytes, *, stored: bool = False, commands: Commands | None = None
) -> DockerEvent | None:
    """The event for clients; None for one that is Seaway's own affair, or whose body can't be read.

    `commands` knows what an exec runs where the event itself doesn't say it, as it comes from the stream.
    """
    if (envelope.noun, envelope.action) in _INTERNAL:
        return None
    try:
        body = orjson.loads(data)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(body, dict):
        body = {}
    attributes = _attributes(envelope, body)
    if envelope.action in EXEC_ACTIONS and commands is not None:
        command = commands.get(attributes.get("execID", ""))
        if command is not None:
            attributes.setdefault(EXEC_COMMAND, command)
    actor = _actor(envelope, body)
    facts = EventFacts(_type(envelope, body), _action(envelope, attributes), actor, attributes)
    line = orjson.dumps(_fields(facts, envelope.time_ns), option=orjson.OPT_APPEND_NEWLINE)
    return DockerEvent(envelope.id, facts, envelope.time_ns, line, stored)


def _type(envelope: Envelope, body: dict[str, Any]) -> str:
    """Docker's type: of what is told of the cluster as a whole, the kind of things that it is about."""
    return str(body.get("kind")) if envelope.noun == _CLUSTER else envelope.noun


def _action(envelope: Envelope, attributes: dict[str, str]) -> str:
    """Docker's word, with what it says behind a colon taken out of the attributes."""
    if envelope.action == _HEALTH:
        return f"{_HEALTH}: {attributes.pop('health', '')}"
    if envelope.action in EXEC_ACTIONS and EXEC_COMMAND in attributes:
        return f"{envelope.action}: {attributes.pop(EXEC_COMMAND)}"
    return envelope.action


def shown_by_default(event: DockerEvent) -> bool:
    """Whether a client sees this that asked for no type: nodes, users and the cluster are no part of Docker's own."""
    return event.facts.type not in ("node", "user", _CLUSTER)


def _attributes(envelope: Envelope, body: dict[str, Any]) -> dict[str, str]:
    given = body.get("attributes")
    attributes = {str(key): str(value) for key, value in given.items()} if isinstance(given, dict) else {}
    if envelope.noun == "node":
        attributes.setdefault("name", envelope.node)
    if envelope.noun in ("node", "user") and body.get("reason"):
        attributes.setdefault("reason", str(body["reason"]))
    return attributes


def _actor(envelope: Envelope, body: dict[str, Any]) -> str:
    """Docker's actor: the id, for an image the name that was used where there is one, for a volume its name."""
    if envelope.noun == _CLUSTER:
        return ""
    if envelope.noun == "image":
        return str(body.get("ref") or body.get("image_id") or envelope.subject_id)
    if envelope.noun == "network":
        return str(body.get("network_id") or envelope.subject_id)
    if envelope.noun == "volume":
        return str(body.get("name") or envelope.subject_id)
    return envelope.subject_id


def _fields(facts: EventFacts, time_ns: int) -> dict[str, Any]:
    """Both the old fields and the new ones, in the order of Docker's own encoder."""
    old: dict[str, Any] = {}
    if facts.type in ("container", "image"):
        old = {"status": facts.action} | ({"id": facts.actor_id} if facts.actor_id else {})
    if facts.type == "container" and facts.attributes.get("image"):
        old["from"] = facts.attributes["image"]
    return old | {
        "Type": facts.type,
        "Action": facts.action,
        "Actor": {"ID": facts.actor_id, "Attributes": facts.attributes},
        "scope": facts.scope,
        "time": time_ns // 1_000_000_000,
        "timeNano": time_ns,
    }
