"""Channels: a subject's template, payloads, reply and time-out, declared once.

Address, wildcard and parser all come from the one template. Each channel has methods that take
its payload, so that the type checker sees a wrong one (a frozen generic would be inferred covariant).
"""

import re
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import Final, Generic, TypeVar

from pydantic import ValidationError

from seaway_contracts.base import Payload
from seaway_contracts.errors import Code, bad_request
from seaway_contracts.ids import check_token

ROOT: Final = "seaway.v1"
M = TypeVar("M", bound=Payload)
Q = TypeVar("Q", bound=Payload)
R = TypeVar("R", bound=Payload)


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
        """The subscription that leaves open every token that isn't given."""
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


def _decode(model: type[M], data: bytes, where: str) -> M:
    try:
        return model.model_validate_json(data)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "body"
        raise bad_request(f"{where}: {place}: {first['msg']}") from None


@dataclass(frozen=True)
class EventChannel(Generic[M]):
    """A durable lifecycle event: `seaway.v1.event.<node>.<noun>.<action>.<id>`, kept in the events stream."""

    noun: str
    action: str
    payload: type[M]
    about: str
    lossy: bool = False
    """Whether it may be left out where an outbox fills up: nothing follows from it, or the next status tells it too."""

    @cached_property
    def template(self) -> Template:
        """The subject's template."""
        return Template(f"{ROOT}.event.{{node}}.{self.noun}.{self.action}.{{id}}")

    def subject(self, node: str, identifier: str) -> str:
        """Where this event of one thing on one node is published."""
        return self.template.subject(node=node, id=identifier)

    def encode(self, body: M) -> bytes:
        """The body as JSON."""
        return body.model_dump_json(exclude_defaults=True).encode()

    def decode(self, data: bytes) -> M:
        """The body from JSON; raises SeawayError(BAD_REQUEST) if it doesn't fit."""
        return _decode(self.payload, data, f"event {self.noun}.{self.action}")


class Repeat(StrEnum):
    """When a caller sends a request again by itself, with the same command id and dead-line."""

    NEVER = "never"
    UNHEARD = "unheard"
    """While nobody was there to hear it."""
    UNANSWERED = "unanswered"
    """Also when it was heard and no answer came: to be heard by the next process as well does no harm."""


@dataclass(frozen=True)
class CallChannel(Generic[Q, R]):
    """A request to a service (any one of its copies) or, where `per_node`, to one node's agent, with its reply."""

    service: str
    noun: str
    verb: str
    request: type[Q]
    reply: type[R]
    timeout_s: float
    per_node: bool
    about: str
    errors: tuple[Code, ...] = field(default=())
    repeat: Repeat = Repeat.NEVER

    @property
    def name(self) -> str:
        """The endpoint's name: `container.create`."""
        return f"{self.noun}.{self.verb}"

    @cached_property
    def template(self) -> Template:
        """The subject's template."""
        node = ".{node}" if self.per_node else ""
        return Template(f"{ROOT}.{self.service}{node}.{self.noun}.{self.verb}")

    def subject(self, node: str | None = None) -> str:
        """Where the request goes; `node` exactly where the channel is per node."""
        if (node is not None) != self.per_node:
            raise ValueError(f"{self.service} {self.name}: node is {'needed' if self.per_node else 'not taken'}")
        return self.template.subject(node=node) if node is not None else self.template.text

    def encode(self, body: Q) -> bytes:
        """The request as JSON."""
        return body.model_dump_json(exclude_defaults=True).encode()

    def decode(self, data: bytes) -> Q:
        """The request from JSON; raises SeawayError(BAD_REQUEST) if it doesn't fit."""
        return _decode(self.request, data, f"{self.service} {self.name}")

    def encode_reply(self, body: R) -> bytes:
        """The reply as JSON."""
        return body.model_dump_json(exclude_defaults=True).encode()

    def decode_reply(self, data: bytes) -> R:
        """The reply from JSON; raises SeawayError(BAD_REQUEST) if it doesn't fit."""
        return _decode(self.reply, data, f"reply of {self.service} {self.name}")


@dataclass(frozen=True)
class BeatChannel(Generic[M]):
    """A message for whoever listens just now; the next one replaces it."""

    word: str
    payload: type[M]
    about: str

    @cached_property
    def template(self) -> Template:
        """The subject's template."""
        return Template(f"{ROOT}.{self.word}.{{node}}")

    def subject(self, node: str) -> str:
        """Where one node publishes it."""
        return self.template.subject(node=node)

    def encode(self, body: M) -> bytes:
        """The body as JSON."""
        return body.model_dump_json(exclude_defaults=True).encode()

    def decode(self, data: bytes) -> M:
        """The body from JSON; raises SeawayError(BAD_REQUEST) if it doesn't fit."""
        return _decode(self.payload, data, self.word)


@dataclass(frozen=True)
class LinesChannel(Generic[M]):
    """What one container says, for whoever listens just now: `seaway.v1.<word>.<node>.<id>`."""

    word: str
    payload: type[M]
    about: str

    @cached_property
    def template(self) -> Template:
        """The subject's template."""
        return Template(f"{ROOT}.{self.word}.{{node}}.{{id}}")

    def subject(self, node: str, identifier: str) -> str:
        """Where what one container of one node says is published."""
        return self.template.subject(node=node, id=identifier)

    def encode(self, body: M) -> bytes:
        """The body as JSON."""
        return body.model_dump_json(exclude_defaults=True).encode()

    def decode(self, data: bytes) -> M:
        """The body from JSON; raises SeawayError(BAD_REQUEST) if it doesn't fit."""
        return _decode(self.payload, data, self.word)


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
