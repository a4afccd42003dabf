"""Events as Docker's clients see them (Docker API 1.51, GET /events). Pure."""

from dataclasses import dataclass
from typing import Any, Final, Protocol

import orjson

from seaway_contracts.lifecycle import Envelope
from seaway_contracts.masking import masked
from seaway_docker.event_filters import EventFacts
from seaway_docker.event_words import CLUSTER, EXEC_ACTIONS, event_facts

_NOT_DOCKERS: Final = frozenset({"node", "token", "user", "build", CLUSTER})
_INTERNAL: Final = frozenset({("container", "status")})


@dataclass(frozen=True, slots=True)
class DockerEvent:
    """An event in Docker's words. `line` is its JSON; `seq` its sequence number in the stream, 0 for a live one."""

    id: str
    facts: EventFacts
    time_ns: int
    line: bytes
    seq: int = 0


class Commands(Protocol):
    """What execs run, by exec id."""

    def get(self, identifier: str) -> str | None:
        """None where that isn't known."""


def is_shown(envelope: Envelope) -> bool:
    """Whether clients see such an event."""
    return (envelope.noun, envelope.action) not in _INTERNAL


def docker_event(
    envelope: Envelope, data: bytes, *, seq: int = 0, commands: Commands | None = None
) -> DockerEvent | None:
    """The event for clients; None for one that is Seaway's own affair, or whose body can't be read.

    `commands` knows what an exec runs where the event itself doesn't say it, as it comes from the stream.
    """
    if not is_shown(envelope):
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
        _masked(envelope, body),
        _exec_command(envelope, body, commands),
    )
    line = orjson.dumps(_fields(facts, envelope.time_ns, seq), option=orjson.OPT_APPEND_NEWLINE)
    return DockerEvent(envelope.id, facts, envelope.time_ns, line, seq)


def _masked(envelope: Envelope, body: dict[str, Any]) -> dict[str, Any]:
    """The body as the stream has it: what comes live is not masked yet."""
    attributes = body.get("attributes")
    if envelope.noun != "container" or not isinstance(attributes, dict):
        return body
    return body | {"attributes": masked(attributes)}


def _exec_command(envelope: Envelope, body: dict[str, Any], commands: Commands | None) -> str | None:
    if commands is None or envelope.action not in EXEC_ACTIONS:
        return None
    attributes = body.get("attributes")
    return commands.get(str(attributes.get("execID", ""))) if isinstance(attributes, dict) else None


def shown_by_default(event: DockerEvent) -> bool:
    """Whether a client sees this that asked for no type: not what Docker's own stream lacks, such as nodes."""
    return event.facts.type not in _NOT_DOCKERS


def _fields(facts: EventFacts, time_ns: int, seq: int) -> dict[str, Any]:
    """Both the old fields and the new ones, in the order of Docker's own encoder; then `seq`, which Docker lacks."""
    old: dict[str, Any] = {}
    if facts.type in ("container", "image"):
        old = {"status": facts.action} | ({"id": facts.actor_id} if facts.actor_id else {})
    if facts.type == "container" and facts.attributes.get("image"):
        old["from"] = facts.attributes["image"]
    fields = old | {
        "Type": facts.type,
        "Action": facts.action,
        "Actor": {"ID": facts.actor_id, "Attributes": facts.attributes},
        "scope": facts.scope,
        "time": time_ns // 1_000_000_000,
        "timeNano": time_ns,
    }
    return fields | {"seq": seq} if seq else fields
