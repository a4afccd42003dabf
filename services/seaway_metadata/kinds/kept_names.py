"""A name that a container is known by is that container's, also in the moment before lost buckets are written again."""

from collections.abc import Callable, Collection

from seaway_metadata.store.freshness import Freshness
from seaway_metadata.store.reconcile import Reconciler
from seaway_metadata.store.records import Records
from seaway_metadata.store.view import View


class KeptNames:
    """Asked before a name is given."""

    def __init__(
        self,
        view: View,
        records: Records,
        freshness: Freshness,
        reconciler: Reconciler,
        nodes_up: Callable[[], Collection[str]],
    ) -> None:
        self._view = view
        self._records = records
        self._freshness = freshness
        self._reconciler = reconciler
        self._nodes_up = nodes_up
        self.empty_handed = False
        """Whether the buckets held nothing at the start, and no node has told yet: they are new, or were lost."""

    async def keep(self, name: str, but: str) -> None:
        """See to it that the name is its bearer's, unless that is the container `but`. Raises TransportError.

        Another copy may have freed it rightly, and what that has heard is still on its way here.
        """
        if self.empty_handed:
            await self._reconciler.told(self._nodes_up)
            self.empty_handed = not self._nodes_up()
        if self._bearer(name, but) is None or await self._records.is_held(name):
            return
        await self._freshness.until(lambda: self._bearer(name, but) is None)
        if bearer := self._bearer(name, but):
            await self._records.hold(name, bearer)

    def _bearer(self, name: str, but: str) -> str | None:
        return next((one for one in self._view.index.bearers(name) if one != but), None)
