"""Filters of `GET /events`, as in moby's daemon/events/filter.go."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from seaway_docker.errors import InvalidParameter
from seaway_docker.filters import Filters
from seaway_docker.references import parse_reference

_PREFIX_ACTIONS = frozenset(("health_status", "exec_create", "exec_start"))
_ACTOR_KINDS = ("daemon", "container", "plugin", "volume", "network", "node", "service", "secret", "config")


@dataclass(frozen=True, slots=True)
class EventFacts:
    """An event in Docker's words: type `container`, action `exec_create: ls`, the actor's id and attributes."""

    type: str
    action: str
    actor_id: str
    attributes: Mapping[str, str] = field(default_factory=dict)
    scope: str = "local"


def event_matches(filters: Filters, event: EventFacts) -> bool:
    """Whether the event passes all filters; unknown keys have no effect."""
    return (
        _action_matches(filters, event.action)
        and filters.exact("type", event.type)
        and filters.exact("scope", event.scope)
        and all(_actor_matches(filters, kind, event) for kind in _ACTOR_KINDS if kind in filters)
        and _image_matches(filters, event)
        and filters.labels(event.attributes)
    )


def _action_matches(filters: Filters, action: str) -> bool:
    """Match by prefix if a filter names an action that carries details after a colon (moby 25798)."""
    if _PREFIX_ACTIONS.isdisjoint(filters.get("event")):
        return filters.exact("event", action)
    return filters.prefix("event", action)


def _actor_matches(filters: Filters, kind: str, event: EventFacts) -> bool:
    """Whether an actor of this kind matches: `container=x` shows no volume or network with the name x."""
    return event.type == kind and (
        filters.prefix(kind, event.actor_id) or filters.prefix(kind, event.attributes.get("name", ""))
    )


def _image_matches(filters: Filters, event: EventFacts) -> bool:
    values = filters.get("image")
    if not values:
        return True
    name = event.attributes.get("name" if event.type == "image" else "image", "")
    return not {event.actor_id, name, _without_tag(event.actor_id), _without_tag(name)}.isdisjoint(values)


def _without_tag(image: str) -> str:
    try:
        return parse_reference(image).familiar_name
    except InvalidParameter:
        return image
