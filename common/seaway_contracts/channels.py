"""Channels: a subject's template, payloads, owner and users, declared once.

Address, wildcard and parser come from the template; permissions on the bus come from `owner`, `callers` and `hearers`.
Each channel has methods that take its payload, so that the type checker finds a wrong one (a frozen generic dataclass
would be inferred covariant).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Final, Generic, TypeVar

from pydantic import JsonValue, ValidationError

from seaway_contracts.base import Payload
from seaway_contracts.errors import SeawayError, bad_request
from seaway_contracts.ids import check_token

ROOT: Final = "seaway.v1"
NODE: Final = f"{ROOT}.node.{{node}}"
DO: Final = f"{NODE}.do"
"""Subjects of commands to one node, and of byte streams to it."""
ASK: Final = f"{NODE}.ask"
"""Subjects of a node's requests to services. They contain the node, as NATS does not name senders."""
TELL: Final = f"{NODE}.tell"
"""Subjects of everything else that a node publishes."""
ALL_NODES: Final = "all"
"""In place of a node, in subjects to which all nodes subscribe."""
M = TypeVar("M", bound=Payload)
Q = TypeVar("Q", bound=Payload)
R = TypeVar("R", bound=Payload)


class Role(StrEnum):
    """A kind of bus user: each service, a node's agent, the command line, a machine that joins by a token."""

    API = "api"
    IMAGE = "image"
    METADATA = "metadata"
    SCHEDULER = "scheduler"
    AGENT = "agent"
    CLI = "cli"
    JOIN = "join"


@dataclass(frozen=True)
class Template:
    """A subject with `{name}` for each token that varies."""

    text: str

    @cached_property
    def fields(self) -> tuple[str, ...]:
        """The names of the varying tokens, in order."""
        return tuple(re.findall(r"{(\w+)}", self.text))

    def subject(self, **tokens: str) -> str:
        """The subject for these tokens; raises BadToken for one that may not stand there."""
        return self.text.format_map({name: check_token(tokens[name]) for name in self.fields})

    def wildcard(self, **tokens: str) -> str:
        """The subject to subscribe to: a token that isn't given is a wildcard."""
        return self.text.format_map(
            {name: check_token(tokens[name]) if name in tokens else "*" for name in self.fields}
        )

    def parse(self, subject: str) -> dict[str, str]:
        """The varying tokens of `subject`; raises ValueError if it is not of this template."""
        ours, theirs = self.text.split("."), subject.split(".")
        if len(ours) != len(theirs):
            raise ValueError(f"{subject!r} is not of the form {self.text!r}")
        found = {}
        for mine, other in zip(ours, theirs, strict=True):
            if mine.startswith("{"):
                found[mine[1:-1]] = check_token(other)
            elif mine != other:
                raise ValueError(f"{subject!r} is not of the form {self.text!r}")
        return found


def _encode(body: Payload) -> bytes:
    return body.model_dump_json(exclude_defaults=True).encode()


def _decode(model: type[M], data: bytes, where: str) -> M:
    try:
        return model.model_validate_json(data)
    except ValidationError as error:
        raise _bad_body(error, where) from None


def _bad_body(error: ValidationError, where: str) -> SeawayError:
    first = error.errors()[0]
    place = ".".join(map(str, first["loc"])) or "body"
    return bad_request(f"{where}: {place}: {first['msg']}")


@dataclass(frozen=True)
class EventChannel(Generic[M]):
    """A durable event: `seaway.v1.event.<node>.<noun>.<action>.<id>`, kept in the events stream.

    Metadata alone writes there. An agent publishes the events that it owns to the services at once
    (`….node.<node>.tell.event.…`); metadata judges them and publishes them in the stream. `payload` is the body as the
    owner publishes it; `public` is the part of it in the stream, which is a valid `payload` with defaults for the rest.
    """

    noun: str
    action: str
    payload: type[M]
    public: type[Payload]
    about: str
    owner: Role
    lossy: bool = False
    """A half-full outbox may drop it: no state depends on it, or the next status repeats it."""

    @cached_property
    def template(self) -> Template:
        """The subject's template."""
        return Template(f"{ROOT}.event.{{node}}.{self.noun}.{self.action}.{{id}}")

    @cached_property
    def told_template(self) -> Template:
        """The template of the subject on which an agent publishes it. Only for events that agents own."""
        return Template(f"{TELL}.event.{self.noun}.{self.action}.{{id}}")

    def subject(self, node: str, identifier: str) -> str:
        """The subject in the stream, for one thing on one node."""
        return self.template.subject(node=node, id=identifier)

    def told_subject(self, node: str, identifier: str) -> str:
        """The subject on which the node's agent publishes it."""
        return self.told_template.subject(node=node, id=identifier)

    def encode(self, body: M) -> bytes:
        """The body as JSON."""
        return _encode(body)

    def decode(self, data: bytes) -> M:
        """The body from JSON; raises SeawayError(BAD_REQUEST) if it doesn't fit."""
        return _decode(self.payload, data, f"event {self.noun}.{self.action}")

    def published(self, body: Mapping[str, JsonValue]) -> bytes:
        """The public part of a body as JSON; raises SeawayError(BAD_REQUEST) if it doesn't fit."""
        try:
            return _encode(self.public.model_validate(body))
        except ValidationError as error:
            raise _bad_body(error, f"event {self.noun}.{self.action}") from None


class Repeat(StrEnum):
    """When the bus repeats a request by itself, with the same command id and dead-line."""

    NEVER = "never"
    UNHEARD = "unheard"
    """While no process serves the subject."""
    UNANSWERED = "unanswered"
    """Also when no answer comes: it does no harm if a second process gets the request as well."""


@dataclass(frozen=True)
class CallChannel(Generic[Q, R]):
    """A request with its reply, to any copy of the service that `owner`s it, or to one node's agent.

    `from_nodes`: agents send it, each on a subject with its node. `of_copy`: it goes to one copy of the service, on a
    subject with the node of that copy's machine.
    """

    owner: Role
    noun: str
    verb: str
    request: type[Q]
    reply: type[R]
    callers: frozenset[Role]
    timeout_s: float
    about: str
    repeat: Repeat = Repeat.NEVER
    from_nodes: bool = False
    of_copy: bool = False

    @property
    def service(self) -> str:
        """The name of the service that answers."""
        return self.owner.value

    @property
    def to_node(self) -> bool:
        """Whether it goes to one node's agent."""
        return self.owner is Role.AGENT

    @property
    def queue(self) -> str:
        """The queue group of the processes that answer; empty if each process gets all requests on its subject."""
        return "" if self.to_node else self.service

    @property
    def name(self) -> str:
        """The endpoint's name: `container.create`."""
        return f"{self.noun}.{self.verb}"

    @cached_property
    def template(self) -> Template:
        """The subject's template."""
        if self.to_node:
            return Template(f"{DO}.{self.noun}.{self.verb}")
        subject = f"{ASK if self.from_nodes else ROOT}.{self.service}.{self.noun}.{self.verb}"
        return Template(f"{subject}.{{node}}" if self.of_copy else subject)

    def subject(self, node: str | None = None) -> str:
        """The subject of the request; `node` is given if and only if it contains one, else ValueError."""
        needed = "node" in self.template.fields
        if (node is not None) != needed:
            raise ValueError(f"{self.service} {self.name}: node is {'needed' if needed else 'not taken'}")
        return self.template.subject(node=node) if node is not None else self.template.text

    def encode(self, body: Q) -> bytes:
        """The request as JSON."""
        return _encode(body)

    def decode(self, data: bytes) -> Q:
        """The request from JSON; raises SeawayError(BAD_REQUEST) if it doesn't fit."""
        return _decode(self.request, data, f"{self.service} {self.name}")

    def encode_reply(self, body: R) -> bytes:
        """The reply as JSON."""
        return _encode(body)

    def decode_reply(self, data: bytes) -> R:
        """The reply from JSON; raises SeawayError(BAD_REQUEST) if it doesn't fit."""
        return _decode(self.reply, data, f"reply of {self.service} {self.name}")


@dataclass(frozen=True)
class MessageChannel(Generic[M]):
    """A message to its current subscribers. It is neither answered nor stored."""

    name: str
    template: Template
    payload: type[M]
    about: str
    owner: Role
    hearers: frozenset[Role]

    def subject(self, **tokens: str) -> str:
        """The subject to publish on; raises BadToken."""
        return self.template.subject(**tokens)

    def encode(self, body: M) -> bytes:
        """The body as JSON."""
        return _encode(body)

    def decode(self, data: bytes) -> M:
        """The body from JSON; raises SeawayError(BAD_REQUEST) if it doesn't fit."""
        return _decode(self.payload, data, self.name)


@dataclass(frozen=True)
class StreamConfig:
    """A JetStream stream: its subjects, how long it keeps them (seconds), and how large it may grow (bytes)."""

    name: str
    subjects: tuple[str, ...]
    max_age_s: int
    max_bytes: int
    duplicate_window_s: int


@dataclass(frozen=True)
class BucketConfig:
    """A JetStream key-value bucket."""

    name: str
    about: str
    history: int = 1
