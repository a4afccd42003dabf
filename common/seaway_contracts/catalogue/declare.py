"""Functions that declare channels, for the modules of nouns; and the lists of all channels."""

from typing import Any, Final

from seaway_contracts.base import Payload
from seaway_contracts.channels import CallChannel, EventChannel, M, MessageChannel, Q, R, Repeat, Role, Template

EVENTS: Final[dict[tuple[str, str], EventChannel[Any]]] = {}
CALLS: Final[list[CallChannel[Any, Any]]] = []
MESSAGES: Final[list[MessageChannel[Any]]] = []

API: Final = Role.API
CLI: Final = Role.CLI
JOIN: Final = Role.JOIN
METADATA: Final = Role.METADATA
SCHEDULER: Final = Role.SCHEDULER
IMAGE: Final = Role.IMAGE
AGENT: Final = Role.AGENT
COMMAND_S: Final = 120.0
"""The time-out of commands, in seconds, unless a declaration gives another."""


def event(
    noun: str,
    action: str,
    payload: type[M],
    about: str,
    *,
    owner: Role = AGENT,
    lossy: bool = False,
    public: type[Payload] | None = None,
) -> EventChannel[M]:
    """A durable event. `public`: the published part of its body, if that is not all of it."""
    channel = EventChannel(noun, action, payload, public or payload, about, owner, lossy)
    EVENTS[noun, action] = channel
    return channel


def call(
    owner: Role,
    verb: str,
    request: type[Q],
    reply: type[R],
    about: str,
    *,
    callers: tuple[Role, ...] = (API,),
    timeout_s: float = 5.0,
    repeat: Repeat = Repeat.UNHEARD,
    from_nodes: bool = False,
    of_copy: bool = False,
) -> CallChannel[Q, R]:
    """A request that the service `owner`, or an agent, answers. `verb` is `<noun>.<verb>`."""
    noun, _, word = verb.partition(".")
    channel = CallChannel(
        owner,
        noun,
        word,
        request,
        reply,
        frozenset(callers),
        timeout_s,
        about,
        repeat=repeat,
        from_nodes=from_nodes,
        of_copy=of_copy,
    )
    CALLS.append(channel)
    return channel


def query(
    owner: Role, verb: str, request: type[Q], reply: type[R], about: str, *, callers: tuple[Role, ...] = (API,)
) -> CallChannel[Q, R]:
    """A request that may be answered twice."""
    return call(owner, verb, request, reply, about, callers=callers, repeat=Repeat.UNANSWERED)


def ask(
    owner: Role,
    verb: str,
    request: type[Q],
    reply: type[R],
    about: str,
    *,
    timeout_s: float = 5.0,
    repeat: Repeat = Repeat.UNANSWERED,
) -> CallChannel[Q, R]:
    """A request of agents to a service; its subject names the node that asks. It may be answered twice."""
    return call(
        owner,
        verb,
        request,
        reply,
        about,
        callers=(AGENT,),
        timeout_s=timeout_s,
        repeat=repeat,
        from_nodes=True,
    )


def look(verb: str, request: type[Q], reply: type[R], about: str, *, timeout_s: float = 5.0) -> CallChannel[Q, R]:
    """A request to an agent that changes nothing and causes no event, so the next agent may answer it as well."""
    return call(AGENT, verb, request, reply, about, timeout_s=timeout_s, repeat=Repeat.UNANSWERED)


def message(
    name: str, subject: str, payload: type[M], about: str, *, owner: Role, hearers: tuple[Role, ...]
) -> MessageChannel[M]:
    """A message that is not stored."""
    channel = MessageChannel(name, Template(subject), payload, about, owner, frozenset(hearers))
    MESSAGES.append(channel)
    return channel
