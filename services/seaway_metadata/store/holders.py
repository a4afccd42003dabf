"""Who holds which record: what this copy of metadata judges nodes' words by."""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable, Coroutine
from typing import Any, Final, Generic

from seaway_bus.judging import Verdict, drop_foreign, verdict
from seaway_bus.transport import TransportError
from seaway_contracts.errors import SeawayError, bad_request, unavailable
from seaway_kit.tasks import Tasks
from seaway_metadata.store.kind import R
from seaway_metadata.store.records import Records
from seaway_metadata.store.stored import NewerSchema
from seaway_metadata.store.view import View

log = logging.getLogger(__name__)
_NOTED: Final = 1 << 13
_LOOKS: Final = 256
"""So many containers are looked up at a time. Others wait for their node's next inventory."""
_SETTLED_S: Final = 1.0


class RecordHolders(Generic[R]):
    """Holders as the records have them. One that isn't in memory, as another copy has registered it, is looked up."""

    def __init__(
        self, view: View[R, Any, Any], records: Records[R], tasks: Tasks, found: Callable[[str], None]
    ) -> None:
        """`found` is called with a container whose holder is known from then on."""
        self._view = view
        self._records = records
        self._tasks = tasks
        self._found = found
        self._noted: OrderedDict[str, str] = OrderedDict()
        self._looking: dict[str, asyncio.Task[None]] = {}
        self._loading: set[asyncio.Task[None]] = set()
        self.unclaimed: Callable[[str], None] = lambda node: None
        """Called with a node that speaks of a container of which there is no record."""

    def verdict(self, node: str, container: str) -> Verdict:
        """By what is in memory; what isn't is looked up meanwhile."""
        found = verdict(self._view.holder(container) or self._noted.get(container), node)
        if found is Verdict.UNKNOWN and container not in self._looking and len(self._looking) < _LOOKS:
            self._looking[container] = self._tasks.spawn(f"holder-{container[:12]}", self._look(node, container))
        return found

    def note(self, container: str, node: str) -> None:
        """An event in the stream shows that this node holds the container."""
        if self._view.holder(container) is None:
            self._noted[container] = node
            if len(self._noted) > _NOTED:
                self._noted.popitem(last=False)

    async def holder(self, container: str) -> str | None:
        """The node that holds a container; None where no record says so. Raises TransportError."""
        return self._view.holder(container) or self._noted.get(container) or await self._load(container)

    async def check(self, node: str, container: str, what: str, refusal: SeawayError) -> None:
        """Let a node say `what` it has to say of a container that it holds, or of which no record says who does.

        Raises `refusal`, and counts it, where another node holds the container; BAD_REQUEST where the record can't be
        read; UNAVAILABLE where a copy of a later release can read it; TransportError.
        """
        try:
            holder = await self.holder(container)
        except NewerSchema as error:
            raise unavailable(error.message) from error
        except ValueError:
            raise bad_request(f"the record of its {self._view.kind.noun} can't be read") from None
        if holder not in (node, None):
            drop_foreign(node, container, what)
            raise refusal

    def with_record(self, container: str, then: Callable[[], None]) -> None:
        """Call `then` as soon as the container's record is in memory, if there is one: another copy may have made it.

        At once, but for what comes by the stream before the node's own word could be judged.
        """
        known = self._view.record(container) is not None or self._view.destroyed(container)
        if known or len(self._loading) >= _LOOKS:
            then()
            return
        self.first(self._load_first(container, then))

    def first(self, work: Coroutine[Any, Any, None]) -> None:
        """Who reads waits for this work, too."""
        task = self._tasks.spawn("judging", work)
        self._loading.add(task)
        task.add_done_callback(self._loading.discard)

    async def settled(self) -> None:
        """Wait until what is being looked up now is known, and not for what a node speaks of meanwhile."""
        if looking := [task for task in (*self._looking.values(), *self._loading) if not task.done()]:
            await asyncio.wait(looking, timeout=_SETTLED_S)

    async def _load(self, container: str) -> str | None:
        """Take the record from the bucket; its node. Raises TransportError, ValueError."""
        stored = await self._records.stored(container)
        if stored is None:
            return None
        if not self._view.kind.given_up(stored.record):
            self._view.load(stored.record)
        return self._view.kind.node(stored.record)

    async def _load_first(self, container: str, then: Callable[[], None]) -> None:
        try:
            await self._load(container)
        except (TransportError, SeawayError, ValueError) as error:
            log.debug("the record of %s %s can't be read: %s", self._view.kind.noun, container[:12], error)
        then()

    async def _look(self, node: str, container: str) -> None:
        try:
            holder = await self.holder(container)
        except (TransportError, SeawayError, ValueError) as error:
            log.debug("the record of %s %s can't be read: %s", self._view.kind.noun, container[:12], error)
            self.unclaimed(node)
            return
        finally:
            self._looking.pop(container, None)
        if holder is None:
            self.unclaimed(node)
        else:
            self.note(container, holder)
            self._found(container)
