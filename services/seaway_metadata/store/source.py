"""What is to be written: records in memory, and the claims that ended or changed records leave. Pure."""

from collections import OrderedDict
from typing import Final, Generic, NamedTuple

from seaway_metadata.store.index import Index
from seaway_metadata.store.kind import Claim, Kind, R

_REMEMBERED: Final = 1 << 13


class LeftClaim(NamedTuple):
    """A claim that a record had until it changed, and the number of that change (`Kind.seq`)."""

    claim: Claim
    seq: int


class _Ended(NamedTuple):
    """What a record claimed, and which node held it; empty where that isn't known."""

    claims: tuple[Claim, ...]
    node: str


class Source(Generic[R]):
    """The records of a kind as this copy knows them, and what it remembers of those that have ended."""

    def __init__(self, kind: Kind[R]) -> None:
        self.index = Index(kind)
        self._ended: OrderedDict[str, _Ended] = OrderedDict()
        self._left: dict[str, set[LeftClaim]] = {}

    def ended(self, key: str, claims: tuple[Claim, ...] = (), node: str = "") -> None:
        """A record that isn't here was removed for good: whoever had heard of it before is answered so."""
        self._ended[key] = _Ended(claims, node)
        if len(self._ended) > _REMEMBERED:
            self._ended.popitem(last=False)

    def destroyed(self, key: str) -> bool:
        """Whether that record is known to be gone for good."""
        return key in self._ended

    def claims_of_destroyed(self, key: str) -> tuple[Claim, ...]:
        """What a destroyed record claimed; empty where it isn't known."""
        ended = self._ended.get(key)
        return ended.claims if ended is not None else ()

    def left_claims(self, key: str) -> tuple[LeftClaim, ...]:
        """The claims that a record has given up, and that may still stand in the bucket."""
        return tuple(self._left.get(key, ()))

    def released(self, key: str, left: LeftClaim) -> None:
        """That claim is free."""
        claims = self._left.get(key, set())
        claims.discard(left)
        if not claims:
            self._left.pop(key, None)
