"""Events as Docker's clients see them (Docker API 1.48, GET /events). Pure."""

from dataclasses import dataclass
from typing import Any, Final, Protocol

import orjson

from seaway_contracts.lifecycle import Envelope
from seaway_docker.event_filters import EventFacts
from seaway_docker.event_words import CLUSTER, EXEC_ACTIONS, event_facts

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
    facts = event_facts(
        envelope.noun,
        envelope.action,
        envelope.node,
        envelope.subject_id,
        body,
        _exec_command(envelope, body, commands),
    )
    line = orjson.dumps(_fields(facts, envelope.time_ns), option=orjson.OPT_APPEND_NEWLINE)
    return DockerEvent(envelope.id, facts, envelope.time_ns, line, stored)


def _exec_command(envelope: Envelope, body: dict[str, Any], commands: Commands | None) -> str | None:
    if commands is None or envelope.action not in EXEC_ACTIONS:
        return None
    attributes = body.get("attributes")
    return commands.get(str(attributes.get("execID", ""))) if isinstance(attributes, dict) else None


def shown_by_default(event: DockerEvent) -> bool:
    """Whether a client sees this that asked for no type: nodes and the cluster are no part of Docker's own stream."""
    return event.facts.type not in ("node", CLUSTER)


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
