"""The `filters` query parameter of list, prune and events (moby api/types/filters, by behaviour)."""

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

import orjson

from seaway_docker.errors import InvalidParameter
from seaway_docker.patterns import searcher
from seaway_docker.timestamps import parse_timestamp

CONTAINER_LIST_KEYS = frozenset(
    [
        "ancestor",
        "before",
        "exited",
        "expose",
        "health",
        "id",
        "is-task",
        "isolation",
        "label",
        "name",
        "network",
        "publish",
        "since",
        "status",
        "volume",
    ]
)
IMAGE_LIST_KEYS = frozenset(["before", "dangling", "label", "reference", "since", "until"])
NETWORK_LIST_KEYS = frozenset(["dangling", "driver", "id", "label", "name", "scope", "type"])
VOLUME_LIST_KEYS = frozenset(["dangling", "driver", "label", "name"])
CONTAINER_PRUNE_KEYS = frozenset(("label", "label!", "until"))
NETWORK_PRUNE_KEYS = frozenset(("label", "label!", "until"))
VOLUME_PRUNE_KEYS = frozenset(("all", "label", "label!"))
IMAGE_PRUNE_KEYS = frozenset(("dangling", "label", "label!", "until"))
EVENT_KEYS: None = None
"""Docker takes any key for events; one that it does not know has no effect."""

_META = re.compile(r"[\\.^$|?*+()\[\]{}]")


@dataclass(frozen=True, slots=True)
class Filters:
    """Keys with the values to accept. Values of one key are alternatives (for labels: all must hold), keys add up."""

    values: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __contains__(self, key: object) -> bool:
        return key in self.values

    def get(self, key: str) -> tuple[str, ...]:
        return self.values.get(key, ())

    def exact(self, key: str, text: str) -> bool:
        """True without the key."""
        values = self.get(key)
        return not values or text in values

    def prefix(self, key: str, text: str) -> bool:
        """True without the key, or where a value is the beginning of the text."""
        values = self.get(key)
        return not values or any(text.startswith(value) for value in values)

    def pattern(self, key: str, text: str) -> bool:
        """True without the key, or where a value is equal to the text or a regular expression found in it."""
        values = self.get(key)
        return not values or text in values or any(_found(value, text) for value in values)

    def labels(self, labels: Mapping[str, str], key: str = "label") -> bool:
        """True without the key, or where each `k` or `k=v` holds."""
        return all(_has_label(labels, value) for value in self.get(key))

    def boolean(self, key: str, default: bool) -> bool:
        """Whether true/1 or false/0 is among the values. Raises InvalidParameter where neither or both are."""
        values = self.get(key)
        if not values:
            return default
        wanted, unwanted = ("true" in values or "1" in values), ("false" in values or "0" in values)
        if wanted != unwanted:
            return wanted
        raise InvalidParameter(f"invalid filter '{key}=[{' '.join(values)}]'")


def parse_filters(text: str, allowed: Collection[str] | None) -> Filters:
    """Read `{"type":{"container":true}}` or `{"type":["container"]}`; empty text and null are no filters.

    Raises InvalidParameter with Docker's text, also for a key that is not among `allowed` (None allows all).
    """
    if not text:
        return Filters()
    try:
        data = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise InvalidParameter("invalid filter") from error
    values = _read_map(data)
    for key in values:
        if allowed is not None and key not in allowed:
            raise InvalidParameter(f"invalid filter '{key}'")
    return Filters(values)


def until_ns(filters: Filters, now_ns: int) -> int | None:
    """The `until` of a prune or list, in nanoseconds since the epoch. Raises InvalidParameter."""
    values = filters.get("until")
    if len(values) > 1:
        raise InvalidParameter("more than one until filter specified")
    return parse_timestamp(values[0], now_ns) if values else None


def prunable(filters: Filters, labels: Mapping[str, str], created_ns: int, until: int | None) -> bool:
    """Whether an object passes label, label! and until (from `until_ns`) of a prune request."""
    if until is not None and created_ns > until:
        return False
    if filters.get("label!") and filters.labels(labels, "label!"):
        return False
    return filters.labels(labels)


def _read_map(data: object) -> dict[str, tuple[str, ...]]:
    if data is None:
        return {}
    if not isinstance(data, dict):
        raise InvalidParameter("invalid filter")
    if all(_is_flag_map(value) for value in data.values()):
        return {key: tuple(value or ()) for key, value in data.items()}
    if all(_is_text_list(value) for value in data.values()):
        return {key: tuple(dict.fromkeys(value or ())) for key, value in data.items()}
    raise InvalidParameter("invalid filter")


def _is_flag_map(value: object) -> bool:
    """Go's decoder takes null for a map, and the flags themselves have no meaning."""
    return value is None or (isinstance(value, dict) and all(isinstance(flag, bool) for flag in value.values()))


def _is_text_list(value: object) -> bool:
    return value is None or (isinstance(value, list) and all(isinstance(item, str) for item in value))


def _has_label(labels: Mapping[str, str], wanted: str) -> bool:
    key, equals, value = wanted.partition("=")
    return key in labels and (not equals or labels[key] == value)


def _found(pattern: str, text: str) -> bool:
    """Whether the pattern occurs in the text. One that does not compile matches nothing, as in Docker."""
    if _META.search(pattern) is None:
        return pattern in text
    found_in = _searcher(pattern)
    return found_in is not None and found_in(text)


@lru_cache(maxsize=64)
def _searcher(pattern: str) -> Callable[[str], bool] | None:
    try:
        return searcher(pattern)
    except ValueError:
        return None
