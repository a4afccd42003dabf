"""What each service may say and hear on the bus, derived from the catalogue. Pure.

A service that is taken over can do no more than its own work: publish the events of the things that it
owns, answer its own calls, ask those services that it needs.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from seaway_contracts import catalogue
from seaway_contracts.channels import CallChannel, EventChannel

CLI: Final = "cli"
USERS: Final = (*catalogue.SERVICES, CLI)

_CALLS: Final[dict[str, frozenset[str]]] = {
    "api": frozenset({"metadata", "scheduler", "image", "agent"}),
    "image": frozenset({"metadata"}),
    "metadata": frozenset({"agent"}),
    "scheduler": frozenset({"metadata", "agent"}),
    "agent": frozenset({"image", "metadata"}),
    CLI: frozenset({"metadata", "image"}),
}
_EVENT_OWNER: Final = {"container": "agent", "network": "agent", "image": "image", "node": "metadata"}
_HEARS_EVENTS: Final = frozenset({"api", "metadata", "scheduler", CLI})
_HEARS_BEATS: Final = frozenset({"api", "metadata", "scheduler", CLI})
_STREAMS: Final = frozenset({"api", "image", "agent"})
_KEEPS_STATE: Final = frozenset({"metadata"})


@dataclass(frozen=True)
class Permissions:
    """Subjects (with wildcards) that a user may publish and subscribe to."""

    publish: tuple[str, ...]
    subscribe: tuple[str, ...]


def nats_permissions(service: str) -> Permissions:
    """The permissions of one service's user, or of the command line's (`cli`); raises KeyError for another."""
    publish = {
        *_subjects(channel for channel in catalogue.CALLS if channel.service in _CALLS[service]),
        *_subjects(channel for channel in catalogue.EVENTS.values() if _EVENT_OWNER[channel.noun] == service),
        *_jetstream(service),
    }
    subscribe = {"_INBOX.>", *_subjects(channel for channel in catalogue.CALLS if channel.service == service)}
    if service == CLI:
        publish.add("$SRV.>")
        subscribe.add(catalogue.LOG_LINES.template.wildcard())
    else:
        publish.add("_INBOX.>")
        subscribe.add("$SRV.>")
    if service == "agent":
        publish.add(catalogue.BEAT.template.wildcard())
        publish.add(catalogue.LOG_LINES.template.wildcard())
        subscribe.add(catalogue.IMAGE_DELETE.template.wildcard())
    if service in _HEARS_EVENTS:
        subscribe.add(catalogue.ALL_EVENTS)
    if service in _HEARS_BEATS:
        subscribe.add(catalogue.BEAT.template.wildcard())
    if service in _STREAMS:
        publish.add(catalogue.STREAM_TEMPLATE.wildcard())
        subscribe.add(catalogue.STREAM_TEMPLATE.wildcard())
    return Permissions(tuple(sorted(publish)), tuple(sorted(subscribe)))


def _subjects(channels: Iterable[CallChannel[Any, Any] | EventChannel[Any]]) -> list[str]:
    return [channel.template.wildcard() for channel in channels]


def _jetstream(service: str) -> set[str]:
    """JetStream's own subjects: all of them for who keeps state in it, the events stream's for the others."""
    if service in _KEEPS_STATE:
        return {"$JS.API.>", "$JS.ACK.>", "$JS.FC.>", "$KV.>"}
    name = catalogue.EVENT_STREAM.name
    reading = {
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
    return reading if service == CLI else reading | _preparing()


def _preparing() -> set[str]:
    """Making a stream or bucket that is missing. One that is there stays as it is: that would take an update."""
    names = [catalogue.EVENT_STREAM.name, *(f"KV_{bucket.name}" for bucket in catalogue.BUCKETS)]
    return {f"$JS.API.STREAM.{verb}.{name}" for verb in ("CREATE", "INFO") for name in names}
