"""What a change of the catalogue breaks for those who speak the released one. Pure; works on AsyncAPI documents.

Old and new speak in both directions while services are replaced one by one: what the new one says the old one must
understand, and the other way round. Defaults count, as a field that has its default is not sent.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

Json = dict[str, Any]
_PREFIX: Final = "#/components/schemas/"
_SAME: Final = ("type", "format", "pattern", "minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems")
_ABSENT: Final = object()


def breaks(old: Json, new: Json) -> list[str]:
    """What no longer fits, a sentence each; empty if every change is one that payloads may undergo."""
    return [*_channels(old, new), *_operations(old, new), *_messages(old, new)]


def _channels(old: Json, new: Json) -> Iterator[str]:
    for name, channel in old["channels"].items():
        now = new["channels"].get(name)
        if now is None:
            yield f"channel {name} is gone"
        elif now["address"] != channel["address"]:
            yield f"channel {name} moved from {channel['address']} to {now['address']}"


def _operations(old: Json, new: Json) -> Iterator[str]:
    for name, operation in old["operations"].items():
        now = new["operations"].get(name)
        if now is None:
            continue  # its channel is gone too
        for key in ("action", "x-queue-group"):
            if now.get(key) != operation.get(key):
                yield f"operation {name}: {key} was {operation.get(key)!r} and is {now.get(key)!r}"
        if ("reply" in now) != ("reply" in operation):
            yield f"operation {name}: a reply came or went"


def _messages(old: Json, new: Json) -> Iterator[str]:
    compared: set[tuple[str, str]] = set()
    for name, message in old["components"]["messages"].items():
        now = new["components"]["messages"].get(name)
        if now is None:
            continue
        for header in set(message.get("headers", {}).get("properties", {})) - set(
            now.get("headers", {}).get("properties", {})
        ):
            yield f"message {name}: the header {header} is gone"
        yield from _Comparison(old, new, compared).schema(message["payload"], now["payload"], name)


class _Comparison:
    """Walks two schemas side by side; each pair of named ones once."""

    def __init__(self, old: Json, new: Json, compared: set[tuple[str, str]]) -> None:
        self._old = old["components"]["schemas"]
        self._new = new["components"]["schemas"]
        self._compared = compared

    def schema(self, old: Json, new: Json, where: str) -> Iterator[str]:
        """What doesn't fit at one place."""
        if "$ref" in old and "$ref" in new:
            pair = old["$ref"], new["$ref"]
            if pair in self._compared:
                return
            self._compared.add(pair)
        old, new = resolved(old, self._old), resolved(new, self._new)
        for key in _SAME:
            if old.get(key) != new.get(key):
                yield f"{where}: {key} was {old.get(key)!r} and is {new.get(key)!r}"
        yield from self._words(old, new, where)
        yield from self._alternatives(old, new, where)
        for key in ("items", "additionalProperties"):
            if isinstance(old.get(key), dict) and isinstance(new.get(key), dict):
                yield from self.schema(old[key], new[key], f"{where}[]")
            elif old.get(key) != new.get(key):
                yield f"{where}: {key} was {old.get(key)!r} and is {new.get(key)!r}"
        yield from self._fields(old, new, where)

    def _words(self, old: Json, new: Json, where: str) -> Iterator[str]:
        if ("enum" in old) != ("enum" in new) or old.get("const") != new.get("const"):
            yield f"{where}: is another choice of words"
        for word in set(old.get("enum", ())) - set(new.get("enum", ())):
            yield f"{where}: the word {word!r} is gone"

    def _alternatives(self, old: Json, new: Json, where: str) -> Iterator[str]:
        before, now = old.get("anyOf", []), new.get("anyOf", [])
        if len(before) != len(now):
            yield f"{where}: had {len(before)} alternatives and has {len(now)}"
            return
        for one, other in zip(before, now, strict=True):
            yield from self.schema(one, other, where)

    def _fields(self, old: Json, new: Json, where: str) -> Iterator[str]:
        before, now = old.get("properties", {}), new.get("properties", {})
        for name in set(new.get("required", ())) - set(old.get("required", ())):
            yield f"{where}.{name} is required now: the released release may not send it"
        for name in set(old.get("required", ())) - set(new.get("required", ())):
            yield f"{where}.{name} is not required any more: the released release can't read without it"
        for name, field in before.items():
            if name not in now:
                yield f"{where}.{name} is gone"
                continue
            if field.get("default", _ABSENT) != now[name].get("default", _ABSENT):
                yield f"{where}.{name}: another default, which is not sent"
            yield from self.schema(field, now[name], f"{where}.{name}")


def resolved(schema: Json, schemas: Mapping[str, Json]) -> Json:
    """What a reference leads to; anything else as it is."""
    return schemas[schema["$ref"].removeprefix(_PREFIX)] if "$ref" in schema else schema
