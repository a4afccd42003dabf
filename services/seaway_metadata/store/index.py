"""All records of a kind in memory: by key, by claim, by prefix, newest first by page. Pure."""

from bisect import bisect_left, insort
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, Generic

from seaway_contracts.errors import bad_request
from seaway_contracts.records import PAGE_COMMA, PAGE_TAIL
from seaway_metadata.store.kind import Claim, Kind, R

_PAGE_FRAME: Final = 256
_PAGES: Final = 64
_Place = tuple[int, str]


Shows = Callable[[R], bool]
"""Whether a record is listed. The same function each time, as pages are kept for it."""


@dataclass(slots=True)
class Held(Generic[R]):
    """A record, its spec's JSON, and its own JSON once somebody has asked for it."""

    record: R
    spec_json: bytes
    json: bytes | None = None


class Index(Generic[R]):
    """The records of a kind that metadata serves."""

    def __init__(self, kind: Kind[R]) -> None:
        self.kind = kind
        self._held: dict[str, Held[R]] = {}
        self._claims: dict[Claim, list[str]] = {}
        self._keys: list[str] = []
        self._order: list[_Place] = []
        self._pages: dict[tuple[str, int, Shows[R] | None], bytes] = {}

    def __len__(self) -> int:
        return len(self._held)

    def __iter__(self) -> Iterator[R]:
        return (held.record for held in self._held.values())

    def __getitem__(self, key: str) -> R:
        return self._held[key].record

    def get(self, key: str) -> R | None:
        """The record of a whole key."""
        held = self._held.get(key)
        return held.record if held else None

    def json(self, key: str) -> bytes:
        """The record of a whole key as JSON; KeyError if there is none."""
        held = self._held[key]
        if held.json is None:
            held.json = self.kind.json(held.record, held.spec_json)
        return held.json

    def put(self, record: R, *, first: bool = False) -> None:
        """Add a record, or replace the one of its key. `first`: of those with its claims it is meant."""
        self._pages.clear()
        key = self.kind.key(record)
        old = self._held.get(key)
        if old is None:
            self._add(key, record, first=first)
        elif self.kind.spec(old.record) is self.kind.spec(record):
            self._held[key] = Held(record, old.spec_json)
        else:
            self.remove(key)
            self._add(key, record, first=False)

    def _add(self, key: str, record: R, *, first: bool) -> None:
        self._held[key] = Held(record, self.kind.spec_json(record))
        insort(self._keys, key)
        insort(self._order, self._place(record))
        for claim in self.kind.claims(record):
            bearers = self._claims.setdefault(claim, [])
            bearers.insert(0 if first else len(bearers), key)

    def remove(self, key: str) -> R | None:
        """Take a record out; it, or None if it wasn't there."""
        self._pages.clear()
        held = self._held.pop(key, None)
        if held is None:
            return None
        del self._keys[bisect_left(self._keys, key)]
        del self._order[bisect_left(self._order, self._place(held.record))]
        for claim in self.kind.claims(held.record):
            self._unclaim(claim, key)
        return held.record

    def _unclaim(self, claim: Claim, key: str) -> None:
        """Where two had a claim, as the end of the first was not heard of yet, the second has it now."""
        bearers = self._claims[claim]
        bearers.remove(key)
        if not bearers:
            del self._claims[claim]

    def find(self, ref: str) -> R:
        """The record that a user means: whole key, then claim, then unique prefix of a key, as in Docker.

        Raises SeawayError: NOT_FOUND, or BAD_REQUEST where a prefix fits several.
        """
        claim = self.kind.claim_of(ref)
        bearers = self._claims.get(claim) if claim is not None else None
        key = ref if ref in self._held else bearers[0] if bearers else self._by_prefix(ref)
        return self._held[key].record

    def bearers(self, claim: Claim) -> tuple[str, ...]:
        """The keys of the records that have this claim here."""
        return tuple(self._claims.get(claim, ()))

    def _by_prefix(self, ref: str) -> str:
        place = bisect_left(self._keys, ref) if ref else len(self._keys)
        fits = [key for key in self._keys[place : place + 2] if key.startswith(ref)]
        if not fits:
            raise self.kind.missing(ref)
        if len(fits) > 1:
            raise bad_request(f"Multiple IDs found with provided prefix: {ref}")
        return fits[0]

    def page(self, after: str, room: int, shows: Shows[R] | None = None) -> bytes:
        """A page of the listing, newest first, as JSON of at most `room` bytes.

        `after` is the `next` of the page before. A single record that is larger than `room` stands alone. Pages are
        kept until something changes.
        """
        asked = after, room, shows
        page = self._pages.get(asked)
        if page is None:
            page = self._make_page(after, room, shows)
            if len(self._pages) < _PAGES:
                self._pages[asked] = page
        return page

    def _make_page(self, after: str, room: int, shows: Shows[R] | None) -> bytes:
        parts: list[bytes] = []
        last: _Place | None = None
        size = _PAGE_FRAME
        for place in self._places(after):
            if shows is not None and not shows(self._held[place[1]].record):
                continue
            line = self.json(place[1])
            size += len(line) + len(PAGE_COMMA)
            if parts and size > room:
                return self._page(parts, last)
            parts.append(line)
            last = place
        return self._page(parts, None)

    def _page(self, parts: list[bytes], last: _Place | None) -> bytes:
        following = b"%d-%b" % (last[0], last[1].encode()) if last else b""
        return self.kind.page_head + PAGE_COMMA.join(parts) + PAGE_TAIL + b'%b"}' % following

    def _places(self, after: str) -> Iterator[_Place]:
        end = len(self._order)
        if after:
            end = bisect_left(self._order, _parse_place(after))
        return (self._order[number] for number in range(end - 1, -1, -1))

    def _place(self, record: R) -> _Place:
        return self.kind.place(record), self.kind.key(record)


def _parse_place(text: str) -> _Place:
    place, _, key = text.partition("-")
    if not place.isdigit():
        raise bad_request(f"{text!r} is no place in the listing; pass the `next` of a page")
    return int(place), key
