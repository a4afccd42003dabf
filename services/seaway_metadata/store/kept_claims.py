"""A claim by which a record is known is that record's, also in the moment before lost buckets are written again."""

from collections.abc import Callable, Collection
from typing import Any, Generic

from seaway_metadata.store.freshness import Freshness
from seaway_metadata.store.kind import Claim, R
from seaway_metadata.store.reconcile import Reconciler
from seaway_metadata.store.records import Records
from seaway_metadata.store.view import View


class KeptClaims(Generic[R]):
    """Asked before a claim is given."""

    def __init__(
        self,
        view: View[R, Any, Any],
        records: Records[R],
        freshness: Freshness[R],
        reconciler: Reconciler[R, Any],
        nodes_up: Callable[[], Collection[str]],
    ) -> None:
        self._view = view
        self._records = records
        self._freshness = freshness
        self._reconciler = reconciler
        self._nodes_up = nodes_up
        self.empty_handed = False
        """Whether the bucket held nothing at the start, and no node has told yet: it is new, or was lost."""

    async def keep(self, claim: Claim, but: str) -> None:
        """See to it that the claim is its bearer's, unless that is the record `but`. Raises TransportError.

        Another copy may have freed it rightly, and what that has heard is still on its way here.
        """
        if self.empty_handed:
            await self._reconciler.told(self._nodes_up)
            self.empty_handed = not self._nodes_up()
        if self._bearer(claim, but) is None or await self._records.claims.is_held(claim):
            return
        await self._freshness.until(lambda: self._bearer(claim, but) is None)
        if bearer := self._bearer(claim, but):
            record = self._view.index.get(bearer)
            await self._records.claims.hold(claim, bearer, self._view.kind.seq(record) if record is not None else 0)

    def _bearer(self, claim: Claim, but: str) -> str | None:
        return next((one for one in self._view.index.bearers(claim) if one != but), None)
