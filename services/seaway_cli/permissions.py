"""What each bus user may say and hear, derived from what the catalogue says of owners, callers and hearers. Pure.

A service that is taken over can do no more than its own work: answer its own calls, publish what it owns (events:
metadata alone), ask those services that it needs. Each user's answers come to an inbox of its own, where nobody else
can listen. A node's agent has a user and an account of its own (`accounts.py`): three lines say what passes between
that account and the services'.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from seaway_contracts import catalogue
from seaway_contracts.channels import ALL_NODES, ASK, DO, TELL, Role
from seaway_contracts.ids import check_node

API: Final = Role.API.value
CLI: Final = Role.CLI.value
JOIN: Final = Role.JOIN.value
USERS: Final = tuple(role.value for role in Role if role is not Role.AGENT)
"""Those that every suite has once."""
_AGENT: Final = f"{Role.AGENT.value}."
_OTHER_ACCOUNTS: Final = "_R_.>"
"""What a NATS server puts in the place of an inbox that is in another account."""
_HEARS_TOLD_EVENTS: Final = frozenset({Role.API, Role.METADATA})
_HEARS_EVENTS: Final = frozenset({Role.API, Role.METADATA, Role.SCHEDULER, Role.CLI})
_READS_EVENTS: Final = frozenset({Role.API, Role.SCHEDULER, Role.CLI})
_KEEPS_STATE: Final = frozenset({Role.METADATA})
_DISCOVERY: Final = "$SRV.>"
_PING: Final = "$SRV.PING"
"""By which the API finds the copies of services."""


@dataclass(frozen=True)
class Permissions:
    """Subjects (with wildcards) that a user may publish and subscribe to."""

    publish: tuple[str, ...]
    subscribe: tuple[str, ...]


@dataclass(frozen=True)
class NodeSubjects:
    """What passes between one node's account and the services'."""

    asks: str
    """Requests to services, which the server answers back into the node's account."""
    tells: str
    """All else that the node says."""
    hears: tuple[str, ...]


def agent_user(node: str) -> str:
    """The user of one node's agent; raises ValueError for a name that no node may have."""
    return f"{_AGENT}{check_node(node)}"


def node_of(user: str) -> str:
    """The node whose agent's user it is; empty for any other user."""
    if not user.startswith(_AGENT):
        return ""
    try:
        return check_node(user.removeprefix(_AGENT))
    except ValueError:
        return ""


def node_subjects(node: str) -> NodeSubjects:
    """Of one node; raises ValueError for a name that no node may have."""
    check_node(node)
    asks, tells, hears = (f"{part.format(node=node)}.>" for part in (ASK, TELL, DO))
    return NodeSubjects(asks, tells, (hears, f"{DO.format(node=ALL_NODES)}.>"))


def nats_permissions(user: str) -> Permissions:
    """The permissions of one service's user, of an agent's or of the command line's (`cli`).

    Raises KeyError for another.
    """
    if node := node_of(user):
        publish, subscribe = _of_agent(node)
    elif user in USERS:
        publish, subscribe = _of_service(Role(user))
    else:
        raise KeyError(user)
    return Permissions(tuple(sorted(publish)), tuple(sorted({*subscribe, _inbox(user)})))


def reader_permissions() -> Permissions:
    """The permissions of a user of the bus, in its own account: to read events, live and from its stream."""
    name = catalogue.EVENT_STREAM.name
    api = "$JS.API"
    publish = (
        f"$JS.ACK.{name}.>",
        f"{api}.CONSUMER.CREATE.{name}",
        f"{api}.CONSUMER.CREATE.{name}.>",
        f"{api}.CONSUMER.DELETE.{name}.*",
        f"{api}.CONSUMER.DURABLE.CREATE.{name}.*",
        f"{api}.CONSUMER.INFO.{name}.*",
        f"{api}.CONSUMER.LIST.{name}",
        f"{api}.CONSUMER.MSG.NEXT.{name}.*",
        f"{api}.CONSUMER.NAMES.{name}",
        f"{api}.DIRECT.GET.{name}",
        f"{api}.DIRECT.GET.{name}.>",
        f"{api}.INFO",
        f"{api}.STREAM.INFO.{name}",
        f"{api}.STREAM.LIST",
        f"{api}.STREAM.MSG.GET.{name}",
        f"{api}.STREAM.NAMES",
        f"$JS.FC.{name}.>",
    )
    return Permissions(publish, ("_INBOX.>", catalogue.ALL_EVENTS))


def _of_agent(node: str) -> tuple[set[str], set[str]]:
    """In its own account; commands to itself too, by which it learns whether another agent bears its name."""
    subjects = node_subjects(node)
    replies = _node_replies(agent_user(node))
    return {subjects.asks, subjects.tells, subjects.hears[0]}, {*subjects.hears, replies, _DISCOVERY}


def _of_service(role: Role) -> tuple[set[str], set[str]]:
    asked = [call for call in catalogue.CALLS if role in call.callers]
    served = [call for call in catalogue.CALLS if call.owner is role]
    publish = {
        *(call.template.wildcard() for call in asked),
        *(event.template.wildcard() for event in catalogue.EVENTS.values() if role is Role.METADATA),
        *(message.template.wildcard() for message in catalogue.MESSAGES if message.owner is role),
        *_inboxes_of_callers(role, {caller for call in served for caller in call.callers}),
        *_jetstream(role),
    }
    subscribe = {
        *(call.template.wildcard() for call in served),
        *(message.template.wildcard() for message in catalogue.MESSAGES if role in message.hearers),
    }
    if any(call.to_node for call in asked):
        subscribe.add(_node_replies(role.value))
    if role in _HEARS_EVENTS:
        subscribe.add(catalogue.ALL_EVENTS)
    if role in _HEARS_TOLD_EVENTS:
        subscribe.add(catalogue.ALL_TOLD)
    if role in catalogue.NODE_STREAMS:
        publish.add(catalogue.TO_NODE.wildcard())
        subscribe.add(catalogue.FROM_NODE.wildcard())
    if role in catalogue.SERVICE_STREAMS:
        publish.add(catalogue.STREAM_TEMPLATE.wildcard())
        subscribe.add(catalogue.STREAM_TEMPLATE.wildcard())
    if role is Role.API:
        publish.add(_PING)
    if role in _KEEPS_STATE:
        publish.add(f"{catalogue.USER_API.format(account='*')}.>")
        subscribe.add(f"{catalogue.USER_SOURCE.format(account='*')}.>")
    if role is not Role.JOIN:
        (publish if role is Role.CLI else subscribe).add(_DISCOVERY)
    return publish, subscribe


def _node_replies(user: str) -> str:
    """Where nodes' agents answer this user."""
    return f"{catalogue.REPLY_UNDER.format(node='*')}.{user}.>"


def _inbox(user: str) -> str:
    return f"_INBOX.{user}.>"


def _inboxes_of_callers(role: Role, callers: Iterable[Role]) -> set[str]:
    """Where a service answers. The command line asks every service how it is."""
    if role in (Role.CLI, Role.JOIN):
        return set()
    found = {_OTHER_ACCOUNTS if caller in (Role.AGENT, Role.JOIN) else _inbox(caller.value) for caller in callers}
    return {*found, _inbox(CLI)}


def _jetstream(role: Role) -> set[str]:
    """JetStream's own subjects: all of them for who keeps state in it, the events stream's for those who read it."""
    if role in _KEEPS_STATE:
        return {"$JS.API.>", "$JS.ACK.>", "$JS.FC.>", "$KV.>"}
    if role not in _READS_EVENTS:
        return set()
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
