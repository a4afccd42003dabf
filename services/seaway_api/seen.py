"""Containers as this process has seen them before: of a thousand, only those that have changed are read anew.

Metadata gives a record that hasn't changed in the same bytes: those are what it is known by.
"""

from functools import cached_property
from typing import Any, Final

import orjson

from seaway_api.translate.inspect import inspect_json
from seaway_api.translate.listing import container_facts, list_line, state_text
from seaway_contracts.containers import ContainerRecord
from seaway_docker.container_filters import ContainerFacts

_MOST: Final = 20_000


class Seen:
    """One container, with what lists make of it."""

    def __init__(self, record: ContainerRecord) -> None:
        self.record = record

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


class SeenContainers:
    """The last ones seen, each as it was seen last."""

    def __init__(self, most: int = _MOST) -> None:
        self._most = most
        self._known: dict[bytes, Seen] = {}
        self._bytes: dict[str, bytes] = {}

    def of(self, data: bytes) -> Seen:
        """The container of a record's JSON. Raises pydantic.ValidationError for what is none."""
        return self._known.get(data) or self._read(data)

    def _read(self, data: bytes) -> Seen:
        seen = self._known[data] = Seen(ContainerRecord.model_validate_json(data))
        before = self._bytes.pop(seen.record.id, None)
        if before is not None:
            del self._known[before]
        self._bytes[seen.record.id] = data
        if len(self._bytes) > self._most:
            oldest = next(iter(self._bytes))
            del self._known[self._bytes.pop(oldest)]
        return seen
