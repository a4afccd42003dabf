"""Events of the bus in Docker's words: type, action, actor and attributes. Pure."""

from collections.abc import Mapping
from typing import Any, Final

from seaway_docker.event_filters import EventFacts

CLUSTER: Final = "cluster"
EXEC_ACTIONS: Final = frozenset({"exec_create", "exec_start"})
"""Docker says with these what the exec runs."""
_BY_NAME: Final = frozenset({"pull", "push"})
_HEALTH: Final = "health_status"
_EXEC_COMMAND: Final = "execCommand"
"""The attribute in which a live event has it; stored events don't."""


def event_facts(
    noun: str, action: str, node: str, subject_id: str, body: Mapping[str, Any], exec_command: str | None = None
) -> EventFacts:
    """The event as Docker names it. `exec_command`: what an exec runs, if the event itself doesn't say it."""
    attributes = _attributes(noun, node, body)
    return EventFacts(
        type=_type(noun, body),
        action=_action(action, attributes, exec_command),
        actor_id=_actor_id(noun, action, subject_id, body),
        attributes=attributes,
    )


def _type(noun: str, body: Mapping[str, Any]) -> str:
    """Of an event of the cluster as a whole, the kind of things that it is about."""
    return str(body.get("kind") or noun) if noun == CLUSTER else noun


def _action(action: str, attributes: dict[str, str], exec_command: str | None) -> str:
    """Docker puts some attributes behind a colon of the action; they are taken out of the attributes."""
    if action == _HEALTH:
        return f"{_HEALTH}: {attributes.pop('health', '')}"
    if action in EXEC_ACTIONS:
        command = attributes.pop(_EXEC_COMMAND, exec_command)
        return action if command is None else f"{action}: {command}"
    return action


def _attributes(noun: str, node: str, body: Mapping[str, Any]) -> dict[str, str]:
    given = body.get("attributes")
    attributes = {str(key): str(value) for key, value in given.items()} if isinstance(given, dict) else {}
    if noun == "node":
        attributes.setdefault("name", node)
    if noun in ("node", "user") and body.get("reason"):
        attributes.setdefault("reason", str(body["reason"]))
    return attributes


def _actor_id(noun: str, action: str, subject_id: str, body: Mapping[str, Any]) -> str:
    """The id; of a pulled or pushed image the name that was used, of a volume its name."""
    if noun == CLUSTER:
        return ""
    if noun == "image":
        name = body.get("ref") if action in _BY_NAME else ""
        return str(name or body.get("image_id") or subject_id)
    if noun == "network":
        return str(body.get("network_id") or subject_id)
    if noun == "volume":
        return str(body.get("name") or subject_id)
    return subject_id
