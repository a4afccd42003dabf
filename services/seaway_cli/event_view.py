"""An event as `seaway events` shows it: as JSON, as a line, as a line of the audit log. Pure."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson

from seaway_contracts.lifecycle import Envelope
from seaway_docker.event_filters import EventFacts, event_matches
from seaway_docker.event_words import event_facts
from seaway_docker.filters import Filters
from seaway_docker.timestamps import rfc3339nano_fixed

STATE: Final = "state"
"""The action of lines that say how things are, not what has happened."""
FILTER_KEYS: Final = (
    *("container", "daemon", "event", "image", "label", "network", "node", "plugin", "scope", "type", "volume"),
    *("config", "secret", "service"),
)
_PLACEHOLDER: Final = re.compile(
    r"""{{\s*(?:(?P<json>json\s+)?\.(?P<path>[\w.]*)|index\s+\.(?P<map>[\w.]+)\s+"(?P<key>[^"]*)")\s*}}"""
)
_NO_VALUE: Final = "<no value>"
_LOCAL: Final = {"uid": "unix socket", "cn": "TLS", "api": "command line"}
_SECOND: Final = 1_000_000_000


@dataclass(frozen=True)
class Shown:
    """An event in Docker's words, with its envelope. `seq`: its number in the stream."""

    envelope: Envelope
    facts: EventFacts
    seq: int
    status: Mapping[str, Any] | None = None

    @classmethod
    def of(cls, envelope: Envelope, data: bytes, seq: int) -> "Shown":
        """The event with this body, which may be any bytes."""
        try:
            body = orjson.loads(data)
        except orjson.JSONDecodeError:
            body = {}
        if not isinstance(body, dict):
            body = {}
        facts = event_facts(envelope.noun, envelope.action, envelope.node, envelope.subject_id, body)
        status = body.get("status")
        return cls(envelope, facts, seq, status if isinstance(status, dict) else None)

    @property
    def document(self) -> dict[str, Any]:
        """Docker's fields, and behind them those that Seaway has in addition."""
        facts, envelope = self.facts, self.envelope
        found: dict[str, Any] = {
            "Type": facts.type,
            "Action": facts.action,
            "Actor": {"ID": facts.actor_id, "Attributes": dict(facts.attributes)},
            "scope": facts.scope,
            "time": envelope.time_ns // _SECOND,
            "timeNano": envelope.time_ns,
            "seq": self.seq,
            "id": envelope.id,
            "node": envelope.node,
            "cause": envelope.cause,
            "by": envelope.actor,
            "from": place_of(envelope.actor),
        }
        return found | ({} if self.status is None else {"status": dict(self.status)})

    @property
    def line(self) -> str:
        """As `docker events` shows it, with the node behind the time."""
        facts = self.facts
        attributes = ", ".join(f"{key}={text}" for key, text in sorted(facts.attributes.items()))
        words = (self.time, self.envelope.node, facts.type, facts.action, facts.actor_id)
        return _printable(" ".join(filter(None, words)) + (f" ({attributes})" if attributes else ""))

    @property
    def audit_line(self) -> str:
        """When, who, from where, what, to which thing, on which node, by which command."""
        facts, envelope = self.facts, self.envelope
        name = facts.attributes.get("name") or facts.actor_id or "-"
        what = f"{facts.type} {facts.action}"
        cells = (self.time, f"{envelope.actor:<12}", f"{place_of(envelope.actor):<12}", f"{what:<20}", name)
        return _printable("  ".join((*cells, f"on {envelope.node}", f"cause={envelope.cause or '-'}")))

    @property
    def time(self) -> str:
        """UTC, with nanoseconds."""
        return rfc3339nano_fixed(self.envelope.time_ns)


def place_of(actor: str) -> str:
    """From where an actor has asked: an address, or the way in that has none. Empty for no actor."""
    kind, _, rest = actor.partition(":")
    _, at, place = rest.rpartition("@")
    if at:
        return place
    return rest if kind == "ip" else _LOCAL.get(kind, "inside" if actor else "")


def parse_filter_words(words: Iterable[str]) -> Filters:
    """Filters from `KEY=VALUE`, as `docker events --filter` takes them. Raises ValueError with a sentence."""
    found: dict[str, list[str]] = {}
    for word in words:
        key, equals, value = word.partition("=")
        key = key.strip().lower()
        if not equals or not value:
            raise ValueError(f"--filter {word!r}: write KEY=VALUE, such as type=container or event=die")
        if key not in FILTER_KEYS:
            raise ValueError(f"--filter {word!r}: no such key; use one of {', '.join(sorted(FILTER_KEYS))}")
        found.setdefault(key, []).append(value.strip())
    return Filters({key: tuple(values) for key, values in found.items()})


@dataclass(frozen=True)
class Choice:
    """Which events are shown. `nodes`: of these alone, if there are any; `audit`: those that somebody asked for."""

    filters: Filters
    nodes: frozenset[str] = frozenset()
    audit: bool = False
    since_ns: int = 0
    until_ns: int | None = None

    def takes(self, event: Shown) -> bool:
        """Whether this event is shown."""
        envelope = event.envelope
        return (
            (not self.nodes or envelope.node in self.nodes)
            and (not self.audit or bool(envelope.actor))
            and envelope.time_ns >= self.since_ns
            and (self.until_ns is None or envelope.time_ns <= self.until_ns)
            and event_matches(self.filters, event.facts)
        )


def formatter(form: str, *, audit: bool = False) -> Callable[[Shown], str]:
    """What makes a line of an event: `json`, a template, or empty for the usual line. Raises ValueError."""
    if form == "json":
        return lambda event: orjson.dumps(event.document).decode()
    if not form:
        return (lambda event: event.audit_line) if audit else (lambda event: event.line)
    rest = _PLACEHOLDER.sub("", form)
    if "{{" in rest or "}}" in rest:
        raise ValueError(
            f"--format {form!r}: use json, or a template with {{{{.Type}}}}, {{{{.Actor.Attributes.name}}}}, "
            '{{index .Actor.Attributes "com.example.key"}} or {{json .}}'
        )
    text = form.replace("\\t", "\t").replace("\\n", "\n")
    return lambda event: filled(text, event.document)


def filled(template: str, document: Mapping[str, Any]) -> str:
    """The template with the document's fields in their places; a field's name may be in any case."""

    def value(match: re.Match[str]) -> str:
        if match["map"]:
            found = _value(document, match["map"])
            return _text(found.get(match["key"]) if isinstance(found, Mapping) else None)
        found = _value(document, match["path"])
        return orjson.dumps(found).decode() if match["json"] else _text(found)

    return _PLACEHOLDER.sub(value, template)


def _value(document: Mapping[str, Any], path: str) -> Any:
    found: Any = document
    for name in filter(None, path.split(".")):
        if not isinstance(found, Mapping):
            return None
        by_name = {str(key).lower(): value for key, value in found.items()}
        found = found.get(name, by_name.get(name.lower()))
    return found


def _text(value: Any) -> str:
    if value is None:
        return _NO_VALUE
    return _printable(value) if isinstance(value, str) else orjson.dumps(value).decode()


def _printable(text: str) -> str:
    """Without what would control a terminal: labels come from users."""
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text)
