"""Records as this process has read them before: of a thousand, only those that have changed are read anew.

Metadata gives a record that hasn't changed in the same bytes: those are what it is known by. And as all events come by
here, one that has been read a moment ago, and of which nothing newer was heard, is as it was.
"""

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Generic, Protocol, TypeVar

from seaway_contracts.lifecycle import Envelope
from seaway_contracts.records import GONE

_MOST: Final = 1 << 16
"""More than a cluster has: a list of more records than are kept would find none of them."""
_HEARD: Final = 8192
_FRESH_S: Final = 5.0
"""How long a record is good without a look. Metadata mends what events can't tell of; no event tells of that."""


class CachedRecord(Protocol):
    """A record with what is made of it. The cache sets `read_at` (in the cache's clock) and `outdated`."""

    read_at: float
    outdated: bool

    @property
    def id(self) -> str:
        """The subject of its events."""

    @property
    def name(self) -> str:
        """What users call it."""

    @property
    def seq(self) -> int:
        """The number of the last event that it includes; 0 before the first."""


R = TypeVar("R", bound=CachedRecord)


@dataclass(frozen=True)
class Kind(Generic[R]):
    """A kind of records: the noun of its events, the action after which a record is gone, and how one is read."""

    noun: str
    gone: str
    read: Callable[[bytes], R]
    is_id: Callable[[str], bool]
    """Tells a whole id from a name."""


class RecordCache(Generic[R]):
    """The records of one kind that were read last, each as it was read last."""

    def __init__(self, kind: Kind[R], most: int = _MOST, now: Callable[[], float] = time.monotonic) -> None:
        self._kind = kind
        self._most = most
        self._now = now
        self._known: dict[bytes, R] = {}
        self._bytes: dict[str, bytes] = {}
        self._names: dict[str, str] = {}
        self._heard: OrderedDict[str, int] = OrderedDict()

    def of(self, data: bytes) -> R:
        """What a record's JSON says, as metadata has just given it.

        Raises pydantic.ValidationError for what is none.
        """
        cached = self._known.get(data) or self._read(data)
        cached.read_at = self._now()
        return cached

    def receive(self, envelope: Envelope) -> None:
        """An event of the kind's noun happened."""
        self.heard(envelope.subject_id, envelope.seq)
        if envelope.action == self._kind.gone:
            self.forget(envelope.subject_id)

    def heard(self, identifier: str, seq: int) -> None:
        """A record of a lower number is outdated, also one that is read later."""
        if seq <= self._heard.get(identifier, 0):
            return
        self._heard[identifier] = seq
        self._heard.move_to_end(identifier)
        if len(self._heard) > _HEARD:
            self._heard.popitem(last=False)
        cached = self._kept(identifier)
        if cached is not None and cached.seq < seq:
            cached.outdated = True

    def forget(self, identifier: str) -> None:
        """There is no such record any more."""
        self.heard(identifier, GONE)
        self._drop(identifier)

    def basis(self, ref: str) -> dict[str, int]:
        """What a read of this record, by its whole id or its name, must not be older than: what was heard of it, by
        events, by answers, or from another copy of metadata.
        """
        identifier = ref if self._kind.is_id(ref) else self._names.get(ref, "")
        seq = self._heard.get(identifier, 0)
        return {identifier: seq} if seq else {}

    def current(self, ref: str) -> R | None:
        """A record by its whole id or its name, if it is known as metadata has it: up to the last event.

        One that no event has told of (its number is 0) never is: no event would outdate it.
        """
        cached = self._kept(ref if self._kind.is_id(ref) else self._names.get(ref, ""))
        if cached is None or cached.outdated or not cached.seq or self._now() - cached.read_at >= _FRESH_S:
            return None
        return cached

    def _kept(self, identifier: str) -> R | None:
        data = self._bytes.get(identifier)
        return None if data is None else self._known[data]

    def _read(self, data: bytes) -> R:
        cached = self._known[data] = self._kind.read(data)
        identifier = cached.id
        self.heard(identifier, cached.seq)
        cached.outdated = cached.seq < self._heard.get(identifier, 0)
        self._drop(identifier)
        self._bytes[identifier] = data
        self._names[cached.name] = identifier
        if len(self._bytes) > self._most:
            self._drop(next(iter(self._bytes)))
        return cached

    def _drop(self, identifier: str) -> None:
        data = self._bytes.pop(identifier, None)
        if data is None:
            return
        name = self._known.pop(data).name
        if self._names.get(name) == identifier:
            del self._names[name]
