"""Containers as this process has seen them before: of a thousand, only those that have changed are read anew.

A record is what it was while the numbers of its status and spec are (`ContainerStatus.seq` and `spec_seq`).
"""

from collections import OrderedDict
from functools import cached_property
from typing import Any, Final

from seaway_api.translate.inspect import inspect_json
from seaway_api.translate.listing import container_facts, list_line
from seaway_contracts.containers import ContainerRecord
from seaway_docker.container_filters import ContainerFacts

_MOST: Final = 20_000
_Numbers = tuple[int, int, str, str]


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

    @cached_property
    def inspected(self) -> dict[str, Any]:
        """What `docker inspect` shows, but for its size and the last probes of its health. Not to be changed."""
        return inspect_json(self.record)


class SeenContainers:
    """The last ones seen, by id."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, tuple[_Numbers, Seen]] = OrderedDict()

    def of(self, raw: dict[str, Any]) -> Seen:
        """The container of a record's JSON. Raises pydantic.ValidationError for what is none."""
        spec = raw["spec"]
        identifier = spec["id"]
        numbers = (raw.get("status", {}).get("seq", 0), raw.get("spec_seq", 0), raw["node"], spec["name"])
        known = self._known.get(identifier)
        if known is not None and known[0] == numbers:
            self._known.move_to_end(identifier)
            return known[1]
        seen = Seen(ContainerRecord.model_validate(raw))
        self._known[identifier] = numbers, seen
        if len(self._known) > _MOST:
            self._known.popitem(last=False)
        return seen
