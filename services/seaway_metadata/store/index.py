"""All records in memory: by id, by name, by prefix, newest first by page. Pure."""

from bisect import bisect_left, insort
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from seaway_contracts.commands import PAGE_COMMA, PAGE_HEAD, PAGE_TAIL
from seaway_contracts.containers import ContainerRecord, State
from seaway_contracts.errors import bad_request, not_found
from seaway_docker.errors import no_such_container
from seaway_metadata.store.stored import record_json, spec_json

_RUNNING: Final = frozenset({State.RUNNING, State.PAUSED, State.RESTARTING})
_PAGE_FRAME: Final = 256
_PAGES: Final = 8
_Place = tuple[int, str]


@dataclass(slots=True)
class Held:
    """A record, its spec's JSON, and its own JSON once somebody has asked for it."""

    record: ContainerRecord
    spec_json: bytes
    _json: bytes | None = None

    @property
    def json(self) -> bytes:
        """The record as JSON."""
        if self._json is None:
            self._json = record_json(self.record, self.spec_json)
        return self._json


class Index:
    """The records that metadata serves."""

    def __init__(self) -> None:
        self._held: dict[str, Held] = {}
        self._names: dict[str, list[str]] = {}
        self._ids: list[str] = []
        self._order: list[_Place] = []
        self._pages: dict[tuple[str, int, bool], bytes] = {}

    def __len__(self) -> int:
        return len(self._held)

    def __iter__(self) -> Iterator[ContainerRecord]:
        return (held.record for held in self._held.values())

    def get(self, identifier: str) -> ContainerRecord | None:
        """The record of a whole id."""
        held = self._held.get(identifier)
        return held.record if held else None

    def json(self, identifier: str) -> bytes:
        """The record of a whole id as JSON; KeyError if there is none."""
        return self._held[identifier].json

    def put(self, record: ContainerRecord, *, first: bool = False) -> None:
        """Add a record, or replace the one of its id. `first`: of those with its name it is the one that is meant."""
        self._pages.clear()
        old = self._held.get(record.id)
        if old is None:
            self._held[record.id] = Held(record, spec_json(record.spec))
            insort(self._ids, record.id)
            insort(self._order, _place(record))
            bearers = self._names.setdefault(record.spec.name, [])
            bearers.insert(0 if first else len(bearers), record.id)
        elif old.record.spec is record.spec:
            self._held[record.id] = Held(record, old.spec_json)
        else:
            self.remove(record.id)
            self.put(record)

    def remove(self, identifier: str) -> ContainerRecord | None:
        """Take a record out; it, or None if it wasn't there."""
        self._pages.clear()
        held = self._held.pop(identifier, None)
        if held is None:
            return None
        del self._ids[bisect_left(self._ids, identifier)]
        del self._order[bisect_left(self._order, _place(held.record))]
        self._unname(held.record.spec.name, identifier)
        return held.record

    def _unname(self, name: str, identifier: str) -> None:
        """Where two had a name, as the end of the first was not heard of yet, the second has it now."""
        bearers = self._names[name]
        bearers.remove(identifier)
        if not bearers:
            del self._names[name]

    def find(self, ref: str) -> ContainerRecord:
        """The container that a user means: whole id, then name, then unique prefix of an id, as in Docker.

        Raises SeawayError: NOT_FOUND, or BAD_REQUEST where a prefix fits several.
        """
        bearers = self._names.get(ref.removeprefix("/"))
        identifier = ref if ref in self._held else bearers[0] if bearers else self._by_prefix(ref)
        return self._held[identifier].record

    def bearers(self, name: str) -> tuple[str, ...]:
        """The ids of the containers that are called so."""
        return tuple(self._names.get(name, ()))

    def _by_prefix(self, ref: str) -> str:
        place = bisect_left(self._ids, ref) if ref else len(self._ids)
        fits = [identifier for identifier in self._ids[place : place + 2] if identifier.startswith(ref)]
        if not fits:
            raise not_found(no_such_container(ref))
        if len(fits) > 1:
            raise bad_request(f"Multiple IDs found with provided prefix: {ref}")
        return fits[0]

    def of_node(self, node: str) -> set[str]:
        """The ids of the containers on a node."""
        return {record.id for record in self if record.node == node}

    def page(self, after: str, room: int, *, all_states: bool = True) -> bytes:
        """A page of the listing, newest first, as the JSON of a ContainerList of at most `room` bytes.

        `after` is the `next` of the page before. A single record that is larger than `room` stands alone. Pages are
        kept until something changes.
        """
        asked = after, room, all_states
        page = self._pages.get(asked)
        if page is None:
            page = self._make_page(after, room, all_states=all_states)
            if len(self._pages) < _PAGES:
                self._pages[asked] = page
        return page

    def _make_page(self, after: str, room: int, *, all_states: bool) -> bytes:
        parts: list[bytes] = []
        last: _Place | None = None
        size = _PAGE_FRAME
        for place in self._places(after):
            held = self._held[place[1]]
            if not all_states and held.record.status.state not in _RUNNING:
                continue
            size += len(held.json) + len(PAGE_COMMA)
            if parts and size > room:
                return _page(parts, last)
            parts.append(held.json)
            last = place
        return _page(parts, None)

    def _places(self, after: str) -> Iterator[_Place]:
        end = len(self._order)
        if after:
            end = bisect_left(self._order, _parse_place(after))
        return (self._order[number] for number in range(end - 1, -1, -1))


def _place(record: ContainerRecord) -> _Place:
    return record.spec.created_ns, record.id


def _parse_place(text: str) -> _Place:
    created, _, identifier = text.partition("-")
    if not created.isdigit():
        raise bad_request(f"{text!r} is no place in the listing; pass the `next` of a page")
    return int(created), identifier


def _page(parts: list[bytes], last: _Place | None) -> bytes:
    following = b"%d-%b" % (last[0], last[1].encode()) if last else b""
    return PAGE_HEAD + PAGE_COMMA.join(parts) + PAGE_TAIL + b'%b"}' % following
