"""Containers as this process has seen them before: of a thousand, only those that have changed are read anew.

Metadata gives a record that hasn't changed in the same bytes: those are what it is known by. And as all events come by
here, one that has been read a moment ago, and of which nothing newer was heard, is as it was.
"""

import time
from collections import OrderedDict
from collections.abc import Callable
from functools import cached_property
from typing import Any, Final

import orjson

from seaway_api.translate.inspect import inspect_json
from seaway_api.translate.listing import container_facts, list_line, state_text
from seaway_contracts.commands import GONE
from seaway_contracts.containers import ContainerRecord
from seaway_contracts.ids import is_container_id
from seaway_docker.container_filters import ContainerFacts

_MOST: Final = 20_000
_HEARD: Final = 8192
_FRESH_S: Final = 5.0
"""How long a record is good without a look. Metadata mends what events can't tell of; no event tells of that."""


class CachedContainer:
    """One container, with what lists make of it."""

    def __init__(self, record: ContainerRecord) -> None:
        self.record = record
        self.read_at = 0.0
        self.outdated = False

    def prepare(self) -> None:
        """Make what `docker inspect` shows, so that it is there when it is asked for."""
        _ = self.inspected_json

    @property
    def is_current(self) -> bool:
        """Whether nothing newer has been heard. One that no event has told of is only registered; none will tell."""
        return not self.outdated and self.record.status.seq > 0

    @cached_property
    def facts(self) -> ContainerFacts:
        """What filters compare."""
        return container_facts(self.record)

    @cached_property
    def line(self) -> dict[str, Any]:
        """Its line in a list, but for what the time of day changes."""
        return list_line(self.record)

    def line_json(self, now_ns: int) -> bytes:
        """Its line as it is now."""
        before, after = self._around
        return before + orjson.dumps(state_text(self.record.status, now_ns)) + after

    @cached_property
    def _around(self) -> tuple[bytes, bytes]:
        """The line's JSON before and after the one field that changes with time."""
        fields = list(self.line.items())
        place = list(self.line).index("Status")
        before, after = orjson.dumps(dict(fields[:place])), orjson.dumps(dict(fields[place + 1 :]))
        return before[:-1] + b',"Status":', b"," + after[1:]

    @cached_property
    def inspected(self) -> dict[str, Any]:
        """What `docker inspect` shows, but for its size and the last probes of its health. Not to be changed."""
        return inspect_json(self.record)

    @cached_property
    def inspected_json(self) -> bytes:
        """The same as JSON, with the line feed that Go's encoder writes."""
        return orjson.dumps(self.inspected, option=orjson.OPT_APPEND_NEWLINE)


class RecordCache:
    """The last ones seen, each as it was seen last."""

    def __init__(self, most: int = _MOST, now: Callable[[], float] = time.monotonic) -> None:
        self._most = most
        self._now = now
        self._known: dict[bytes, CachedContainer] = {}
        self._bytes: dict[str, bytes] = {}
        self._names: dict[str, str] = {}
        self._heard: OrderedDict[str, int] = OrderedDict()

    def of(self, data: bytes) -> CachedContainer:
        """The container of a record's JSON, as metadata has just given it.

        Raises pydantic.ValidationError for what is none.
        """
        seen = self._known.get(data) or self._read(data)
        seen.read_at = self._now()
        return seen

    def heard(self, identifier: str, seq: int) -> None:
        """The container is known to have got so far: records from before that are of the past, also those to come."""
        if seq <= self._heard.get(identifier, 0):
            return
        self._heard[identifier] = seq
        self._heard.move_to_end(identifier)
        if len(self._heard) > _HEARD:
            self._heard.popitem(last=False)
        seen = self._kept(identifier)
        if seen is not None and seen.record.status.seq < seq:
            seen.outdated = True

    def forget(self, identifier: str) -> None:
        """The container is gone."""
        self.heard(identifier, GONE)
        self._drop(identifier)

    def basis(self, ref: str) -> dict[str, int]:
        """What a read of this container, by its whole id or its name, must not be older than: what was heard of it, by
        events, by answers, or from another copy of metadata.
        """
        identifier = ref if is_container_id(ref) else self._names.get(ref, "")
        seq = self._heard.get(identifier, 0)
        return {identifier: seq} if seq else {}

    def current(self, ref: str) -> CachedContainer | None:
        """A container by its whole id or its name, if it is known as metadata has it: up to the last event."""
        seen = self._kept(ref if is_container_id(ref) else self._names.get(ref, ""))
        if seen is None or not seen.is_current or self._now() - seen.read_at >= _FRESH_S:
            return None
        return seen

    def _kept(self, identifier: str) -> CachedContainer | None:
        data = self._bytes.get(identifier)
        return None if data is None else self._known[data]

    def _read(self, data: bytes) -> CachedContainer:
        seen = self._known[data] = CachedContainer(ContainerRecord.model_validate_json(data))
        identifier = seen.record.id
        self.heard(identifier, seen.record.status.seq)
        seen.outdated = seen.record.status.seq < self._heard.get(identifier, 0)
        self._drop(identifier)
        self._bytes[identifier] = data
        self._names[seen.record.spec.name] = identifier
        if len(self._bytes) > self._most:
            self._drop(next(iter(self._bytes)))
        return seen

    def _drop(self, identifier: str) -> None:
        data = self._bytes.pop(identifier, None)
        if data is None:
            return
        name = self._known.pop(data).record.spec.name
        if self._names.get(name) == identifier:
            del self._names[name]
