"""What a module of `kinds/` tells the store of its records. Pure.

`Kind` is all that memory and bucket need. `ReportedKind` adds what a node's agent says: its events and inventories.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeVar

from seaway_contracts.base import Payload
from seaway_contracts.channels import BucketConfig, EventChannel
from seaway_contracts.errors import SeawayError, conflict, not_found
from seaway_contracts.lifecycle import Envelope

R = TypeVar("R", bound=Payload)
E = TypeVar("E", bound=Payload)
I = TypeVar("I", bound=Payload)  # noqa: E741


class ClaimHolder(Payload):
    """The key of the record that holds a claim, and since when (Unix ns).

    `seq`: the number of what its node had reported of the record by then. What it gave up at that number or before is
    older than this claim.
    """

    id: str
    since_ns: int
    seq: int = 0


class Claim(NamedTuple):
    """A word of a claim space, which is named by its bucket."""

    space: str
    word: str


@dataclass(frozen=True)
class ClaimSpace:
    """Words of which each is one record's at a time, such as names."""

    bucket: BucketConfig
    model: type[ClaimHolder]
    taken: Callable[[str, str], SeawayError]
    """The refusal of a claim, with its holder."""
    allows: Callable[[str, str], bool]
    """Whether a node may have this claim given to the record of that key."""
    most_bytes: int = 255

    def claim(self, word: str) -> Claim:
        """The claim to this word."""
        return Claim(self.bucket.name, word)

    def key(self, word: str) -> str:
        """Its key in the bucket: a word may contain characters that a key may not."""
        return word.encode().hex()

    def word(self, key: str) -> str:
        """The word of a key. Raises ValueError for what is none."""
        return bytes.fromhex(key).decode()

    def fits(self, word: str) -> bool:
        """Whether its key is one that a bucket takes."""
        return 0 < len(word.encode()) <= self.most_bytes


class Kind(ABC, Generic[R]):
    """A kind of record. The methods that have a body here are for most kinds right as they are."""

    noun: str
    bucket: BucketConfig
    model: type[R]
    claim_spaces: tuple[ClaimSpace, ...] = ()
    page_head: bytes = b'{"records":[\n'
    """How a page of the listing begins. Each record stands on a line of its own (ADR 0023)."""

    unstored_is_gone: bool = True
    """Whether a record that metadata has written, and that isn't stored any more, was removed; else it may be lost."""

    claims_first: bool = False
    """Whether a new record is stored only when it has its claims. That takes longer, and leaves no record without."""

    @abstractmethod
    def key(self, record: R) -> str:
        """Its key in the bucket and in memory."""

    def is_key(self, ref: str) -> bool:
        """Whether what a user gave is a whole key."""
        return True

    def claim_of(self, ref: str) -> Claim | None:
        """The claim that a user may mean by this; None if records of this kind are found by their keys alone."""
        return self.claim_spaces[0].claim(ref) if self.claim_spaces else None

    def claims(self, record: R) -> tuple[Claim, ...]:
        """What it claims."""
        return ()

    def place(self, record: R) -> int:
        """Its place in the listing, where the highest come first."""
        return 0

    def missing(self, ref: str) -> SeawayError:
        """The refusal where there is no such record."""
        return not_found(f"no such {self.noun}: {ref}")

    def in_use(self, key: str) -> SeawayError:
        """The refusal where another record has the key."""
        return conflict(f"the id {key} is already in use")

    def same_request(self, known: R, record: R) -> bool:
        """Whether the record that is known was registered by the same request as this one."""
        return known == record

    def seq(self, record: R) -> int:
        """The number of what its node last reported of it; 0 while that is nothing."""
        return 0

    # --- its halves

    def spec(self, record: R) -> object:
        """What is the same object for as long as claims, place and `spec_json` are the same."""
        return record

    def spec_json(self, record: R) -> bytes:
        """The part of its JSON that is written once for as long as `spec` is the same."""
        return b""

    def json(self, record: R, spec_json: bytes) -> bytes:
        """The record as JSON."""
        return record.model_dump_json(exclude_defaults=True).encode()

    @abstractmethod
    def newer(self, one: R, other: R) -> bool:
        """Whether a record tells more than another of the same key."""

    def merged(self, ours: R, other: R) -> R:
        """What two copies know of it together. One of the two where a record has one writer at a time."""
        return ours if self.newer(ours, other) else other

    def given_up(self, record: R) -> bool:
        """Whether it is there only so that nobody writes it anew."""
        return False


class Applied(NamedTuple, Generic[R]):
    """A record after an event."""

    record: R
    complete: bool = True
    """False where the event gives it a claim that it may not have."""
    lacks: int = 0
    """The number of a change of which the event has the public part alone."""


class ReportedKind(Kind[R], Generic[R, E, I]):
    """A kind of record of which a part is the word of the node that holds it."""

    event: type[E]
    """The body of its events."""
    end: EventChannel[Any]
    """The event after which nothing of it is left."""
    heard: tuple[EventChannel[Any], ...] = ()
    """Events that services tell of it, beside `end`."""

    @abstractmethod
    def node(self, record: R) -> str:
        """The node that holds it: it alone may report on it."""

    @abstractmethod
    def seq(self, record: R) -> int:
        """The number of what was last reported; 0 while it is registered and nothing is made of it yet."""

    def newer(self, one: R, other: R) -> bool:
        return self.seq(one) > self.seq(other)

    @abstractmethod
    def apply(self, record: R, envelope: Envelope, body: E, *, whole: bool, taken: Collection[Claim]) -> Applied[R]:
        """The record after an event of its holder; itself where nothing changes.

        `whole`: the body is as its agent told it, and not its public part alone. `taken`: claims of others.
        """

    def lacks(self, record: R, seq: int) -> bool:
        """Whether a change of that number, of which only the public part had come, is still missing."""
        return False

    def event_claims(self, key: str, body: E) -> tuple[Claim, ...]:
        """What the record is to claim after this event; nothing where the event does not say it."""
        return ()

    def last_claims(self, body: E) -> tuple[Claim, ...]:
        """What it claimed, by its last event."""
        return ()

    @abstractmethod
    def item_key(self, item: I) -> str:
        """Which record an item of an inventory is about."""

    def item_claims(self, item: I) -> tuple[Claim, ...]:
        """What the record claims by that inventory."""
        return ()

    @abstractmethod
    def from_inventory(self, record: R | None, node: str, item: I, taken: Collection[Claim]) -> R | None:
        """The record after its node has said what it holds; None for a new one that may not have its claims.

        Another node's record is left as it is.
        """
