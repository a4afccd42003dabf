"""What each service may say and hear on the bus, derived from the catalogue. Pure.

A service that is taken over can do no more than its own work: publish the events of the things that it owns, answer
its own calls, ask those services that it needs. A node's agent has a user of its own, `agent.<node>`, and speaks for
that node alone. Each user's answers come to an inbox of its own, where nobody else can listen.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from seaway_contracts import catalogue
from seaway_contracts.catalogue import FROM_SERVER, TO_SERVER
from seaway_contracts.channels import CallChannel, EventChannel
from seaway_contracts.ids import TOKEN, check_token

CLI: Final = "cli"
_AGENT: Final = "agent"
USERS: Final = (*(service for service in catalogue.SERVICES if service != _AGENT), CLI)
"""Those that every suite has once."""

_CALLS: Final[dict[str, frozenset[str]]] = {
    "api": frozenset({"metadata", "scheduler", "image", "agent"}),
    "image": frozenset(),
    "metadata": frozenset({"agent"}),
    "scheduler": frozenset({"metadata"}),
    CLI: frozenset({"metadata", "image"}),
}
_CALLS_OF_AGENTS: Final = (catalogue.BLOB_ENDPOINT, catalogue.LIST_IMAGES)
_ASKED_BY_AGENTS: Final = frozenset(channel.service for channel in _CALLS_OF_AGENTS)
_ANSWERS_TO_AGENTS: Final = "_R_.>"
"""What a NATS server puts in the place of an inbox that is in another account (`accounts.py`)."""
_EVENT_OWNER: Final = {
    "container": _AGENT,
    "network": _AGENT,
    "volume": _AGENT,
    "image": "image",
    "node": "metadata",
    "cluster": "metadata",
}
_HEARS_EVENTS: Final = frozenset({"api", "metadata", "scheduler", CLI})
_HEARS_BEATS: Final = frozenset({"api", "metadata", "scheduler", CLI})
_STREAMS: Final = frozenset({"api", "image"})
_STREAMS_OF_NODES: Final = frozenset({"api"})
_DISCOVERY: Final = "$SRV.>"
_KEEPS_STATE: Final = frozenset({"metadata"})


@dataclass(frozen=True)
class Permissions:
    """Subjects (with wildcards) that a user may publish and subscribe to."""

    publish: tuple[str, ...]
    subscribe: tuple[str, ...]


@dataclass(frozen=True)
class AgentSubjects:
    """What one node's agent says and hears, by where it goes."""

    asked: frozenset[str]
    """Said to who answers: services that an agent asks, and JetStream, which somebody may have keep log lines."""
    told: frozenset[str]
    """Said to the services, which don't answer it."""
    kept: frozenset[str]
    """Said to itself, or to another agent that bears its name."""
    heard: frozenset[str]


def agent_user(node: str) -> str:
    """The user of one node's agent; raises BadToken."""
    return f"{_AGENT}.{check_token(node)}"


def node_of(user: str) -> str:
    """The node whose agent's user it is; empty for any other user."""
    service, _, node = user.partition(".")
    return node if service == _AGENT and TOKEN.fullmatch(node) else ""


def nats_permissions(user: str) -> Permissions:
    """The permissions of one service's user, of an agent's or of the command line's (`cli`).

    Raises KeyError for another.
    """
    if node := node_of(user):
        subjects = agent_subjects(node)
        publish, subscribe = {*subjects.asked, *subjects.told, *subjects.kept}, {*subjects.heard}
    else:
        publish, subscribe = _of_service(user)
    subscribe.add(_inbox(user))
    if user == CLI:
        publish.add(_DISCOVERY)
        subscribe.add(catalogue.LOG_LINES.template.wildcard())
    elif not node:
        publish |= _inboxes_of_callers(user)
        subscribe.add(_DISCOVERY)
    return Permissions(tuple(sorted(publish)), tuple(sorted(subscribe)))


def agent_subjects(node: str) -> AgentSubjects:
    """Of its own node only, but for the images that are gone. Raises BadToken."""
    events = [channel for channel in catalogue.EVENTS.values() if _EVENT_OWNER[channel.noun] == _AGENT]
    calls = [channel for channel in catalogue.CALLS if channel.service == _AGENT]
    streams = catalogue.NODE_STREAM_TEMPLATE
    asked = {
        *_subjects(_CALLS_OF_AGENTS),
        *(channel.template.wildcard(node=node) for channel in events),
        f"$JS.API.DIRECT.GET.{catalogue.EVENT_STREAM.name}.{catalogue.events_of(node)}",
        catalogue.LOG_LINES.template.wildcard(node=node),
    }
    told = {
        *_inboxes_of_callers(_AGENT),
        catalogue.BEAT.template.wildcard(node=node),
        streams.wildcard(node=node, direction=FROM_SERVER),
    }
    heard = {
        *(channel.template.wildcard(node=node) for channel in calls),
        *(_DISCOVERY, catalogue.IMAGE_DELETE.template.wildcard()),
        streams.wildcard(node=node, direction=TO_SERVER),
    }
    kept = {catalogue.INVENTORY.subject(node), _inbox(agent_user(node))}
    return AgentSubjects(frozenset(asked), frozenset(told), frozenset(kept), frozenset(heard))


def _inbox(user: str) -> str:
    return f"_INBOX.{user}.>"


def _inboxes_of_callers(service: str) -> set[str]:
    """Whose questions a service answers, by the beginning of their inboxes."""
    inboxes = {_inbox(CLI), *(_inbox(user) for user, services in _CALLS.items() if service in services)}
    return {*inboxes, _ANSWERS_TO_AGENTS} if service in _ASKED_BY_AGENTS else inboxes


def _of_service(service: str) -> tuple[set[str], set[str]]:
    publish = {
        *_subjects(channel for channel in catalogue.CALLS if channel.service in _CALLS[service]),
        *_subjects(channel for channel in catalogue.EVENTS.values() if _EVENT_OWNER[channel.noun] == service),
        *_jetstream(service),
    }
    subscribe = set(_subjects(channel for channel in catalogue.CALLS if channel.service == service))
    streams = set()
    if service in _HEARS_EVENTS:
        subscribe.add(catalogue.ALL_EVENTS)
    if service in _HEARS_BEATS:
        subscribe.add(catalogue.BEAT.template.wildcard())
    if service in _STREAMS:
        streams.add(catalogue.STREAM_TEMPLATE.wildcard())
    if service in _STREAMS_OF_NODES:
        streams.add(catalogue.NODE_STREAM_TEMPLATE.wildcard())
    return publish | streams, subscribe | streams


def _subjects(channels: Iterable[CallChannel[Any, Any] | EventChannel[Any]]) -> list[str]:
    return [channel.template.wildcard() for channel in channels]


def _jetstream(service: str) -> set[str]:
    """JetStream's own subjects: all of them for who keeps state in it, the events stream's for the others."""
    if service in _KEEPS_STATE:
        return {"$JS.API.>", "$JS.ACK.>", "$JS.FC.>", "$KV.>"}
    name = catalogue.EVENT_STREAM.name
    return {
        "$JS.API.INFO",
        f"$JS.API.STREAM.INFO.{name}",
        f"$JS.API.STREAM.MSG.GET.{name}",
        f"$JS.API.DIRECT.GET.{name}",
        f"$JS.API.DIRECT.GET.{name}.>",
        f"$JS.API.CONSUMER.*.{name}",
        f"$JS.API.CONSUMER.*.{name}.>",
        f"$JS.API.CONSUMER.DURABLE.CREATE.{name}.>",
        f"$JS.ACK.{name}.>",
        "$JS.FC.>",
    }
