"""One kind's records in this copy: in memory, in their bucket, and kept true by what nodes say of them."""

import contextlib
from collections.abc import Awaitable, Callable, Collection, Iterable
from typing import Any, Generic, Protocol

from seaway_bus.events import Event
from seaway_bus.transport import NoResponders, Transport, TransportError
from seaway_contracts.channels import EventChannel
from seaway_kit.tasks import Tasks
from seaway_metadata.store.ended_lately import ended_lately
from seaway_metadata.store.freshness import Freshness
from seaway_metadata.store.holders import RecordHolders
from seaway_metadata.store.inventories import Inventories, R_contra
from seaway_metadata.store.kept_claims import KeptClaims
from seaway_metadata.store.kind import Claim, E, I, R, ReportedKind
from seaway_metadata.store.reconcile import Reconciler
from seaway_metadata.store.records import Buckets, Records
from seaway_metadata.store.source import Source
from seaway_metadata.store.view import View
from seaway_metadata.store.write_behind import WriteBehind


class Table(Generic[R]):
    """A kind whose records this process makes of what it hears, by `put` and `remove`; they are written behind."""

    def __init__(self, records: Records[R], source: Source[R], behind: WriteBehind[R]) -> None:
        self.kind = records.kind
        self.records = records
        self.index = source.index
        self.behind = behind

    async def load(self) -> None:
        """Take what is stored."""
        async for stored in self.records.all():
            self.index.put(stored.record)
            self.behind.known(self.kind.key(stored.record), stored.revision)

    async def compare(self) -> None:
        """Write again what is missing in the bucket. Raises TransportError, NewerSchema."""
        present = {self.kind.key(stored.record) async for stored in self.records.all()}
        self.behind.compare(present, await self.records.claims.held())


class Feed(Protocol):
    """Where a table's events come from."""

    async def current(self) -> bool:
        """Wait until all events that had come are applied; False where the stream can't be read just now."""

    def horizon(self) -> int:
        """All events up to this sequence number have been received."""

    def release(self, key: str) -> None:
        """It is known by now who holds this record."""

    def doubt(self) -> None:
        """The buckets may lack something: compare them."""


class Registry(Protocol[R_contra]):
    """What a kind does about records of which their nodes have not told, or that were given up."""

    def stored(self, record: R_contra) -> None:
        """Such a record stands in the bucket."""

    def done(self, key: str) -> None:
        """Its node has told of it, or it is gone."""

    def given_up(self, record: R_contra) -> None:
        """A record that this copy knows is given up in the bucket."""


class NoRegistry:
    """For a kind that leaves such records alone."""

    def stored(self, record: object) -> None:
        """Nothing."""

    def done(self, key: str) -> None:
        """Nothing."""

    def given_up(self, record: object) -> None:
        """Nothing."""


async def _may_claim(node: str, claim: Claim) -> bool:
    return True


class ReportedTable(Table[R], Generic[R, E, I]):
    """Events are applied in plain callbacks, so a request that came after an event sees its effect."""

    def __init__(
        self,
        kind: ReportedKind[R, E, I],
        buckets: Buckets,
        inventories: Inventories[R, I],
        tasks: Tasks,
        feed: Feed,
        nodes_up: Callable[[], Collection[str]],
    ) -> None:
        self.view = View(kind, self._changed)
        self._reported = kind
        self._feed = feed
        records = Records(kind, buckets, self.view.destroyed)
        behind = WriteBehind(records, self.view, feed.horizon, feed.doubt, self._given_up, self._merged)
        super().__init__(records, self.view, behind)
        self.holders = RecordHolders(self.view, records, tasks, feed.release)
        self.reconciler = Reconciler(self.view, inventories, tasks, feed.current, self._claim)
        self.holders.unclaimed = self.reconciler.doubt
        self.freshness = Freshness(self.view, records, self.reconciler, nodes_up, feed.current, self.holders.settled)
        self.kept = KeptClaims(self.view, records, self.freshness, self.reconciler, nodes_up)
        self.registry: Registry[R] = NoRegistry()
        self.may_claim: Callable[[str, Claim], Awaitable[bool]] = _may_claim
        """Whether a node's records may have a claim, whoever holds it. It raises TransportError."""
        self.after: int | None = None
        """All events up to this sequence number are in what was loaded; None where nothing was stored."""

    @property
    def heard(self) -> tuple[EventChannel[Any], ...]:
        """The events of services that it takes, beside what agents tell."""
        return (self._reported.end, *self._reported.heard)

    async def load(self) -> None:
        """Take what is stored, which is at least as new as the horizon that was read before."""
        horizon = await self.records.horizon()
        async for stored in self.records.all():
            self.view.load(stored.record)
            self.behind.known(self.kind.key(stored.record), stored.revision)
            self._note_stored(stored.record)
        self.after = horizon if horizon or self.view.all() else None
        self.kept.empty_handed = not horizon and not len(self.index)

    async def catch_up(self, transport: Transport) -> None:
        """Hear once more what has ended lately. Raises TransportError."""
        there = {self._reported.key(record) for record in self.view.all()}
        async for event in ended_lately(transport, self._reported.end):
            if event.envelope.subject_id in there:
                self.receive(event)
            else:
                self.view.ended(event.envelope.subject_id, node=event.envelope.node)

    def _note_stored(self, record: R) -> None:
        """Of one that was given up, or of which nothing was heard yet, the registry is told."""
        unheard = not self._reported.seq(record) and self.index.get(self.kind.key(record)) is None
        if unheard or self.kind.given_up(record):
            self.registry.stored(record)

    async def compare(self) -> None:
        """Write again what is missing in the bucket. Raises TransportError, NewerSchema."""
        present: set[str] = set()
        async for stored in self.records.all():
            present.add(self.kind.key(stored.record))
            self._note_stored(stored.record)
        self.behind.compare(present, await self.records.claims.held())

    async def free_claims(self, key: str, seq: int) -> None:
        """Free the claims that a record has given up by that number of what was reported of it.

        Where its event doesn't come, its node is asked. Raises TransportError; SeawayError (UNAVAILABLE) where there is
        no such record here.
        """
        await self.freshness.current({key: seq})
        await self.behind.free_claims(key)

    async def ask_node(self, key: str) -> None:
        """Take what its node says of a record now, and free the claims that it has given up.

        Raises TransportError; SeawayError where the node can't say.
        """
        record = self.view.record(key)
        if record is not None:
            await self.reconciler.ask(self._reported.node(record), [key])
            await self.behind.free_claims(key)

    # --- events

    def receive(self, event: Event) -> None:
        """Apply an event, as soon as its record is in memory. Raises SeawayError for one that can't be read."""
        body = event.body()
        if isinstance(body, self._reported.event):
            self.holders.with_record(event.envelope.subject_id, lambda: self._claimed(event, body))

    def _claimed(self, event: Event, body: E) -> None:
        """What the record is to claim is claimed first. It was reserved for it, if its node is honest."""
        key = event.envelope.subject_id
        claims = self.view.new_claims(event.envelope.node, key, self._reported.event_claims(key, body))
        if claims:
            self.holders.first(self._claim_first(event, body, claims))
        else:
            self._apply(event, body)

    async def _claim_first(self, event: Event, body: E, claims: Iterable[Claim]) -> None:
        refused: list[Claim] = []
        for claim in claims:
            claimed = False
            with contextlib.suppress(TransportError):
                claimed = await self._claim(event.envelope.node, claim, event.envelope.subject_id)
            if not claimed:
                refused.append(claim)
        self._apply(event, body, refused)

    async def _claim(self, node: str, claim: Claim, key: str) -> bool:
        try:
            return await self.may_claim(node, claim) and await self.records.claims.claim(claim, key)
        except NoResponders:
            self._feed.doubt()
            raise

    def _apply(self, event: Event, body: E, refused: Collection[Claim] = ()) -> None:
        if not self.view.apply(event.envelope, body, whole=event.told, refused=refused) or not event.told:
            self.reconciler.doubt(event.envelope.node)  # its inventory has the rest

    # --- what follows from a change

    def _changed(self, key: str) -> None:
        self.registry.done(key)
        self.behind.changed(key)
        self.freshness.news()
        self._feed.release(key)
        if self.view.destroyed(key):
            self.reconciler.freed()

    def _merged(self, record: R) -> None:
        self.view.load(record)
        self.freshness.news()

    def _given_up(self, record: R) -> None:
        self.registry.given_up(record)
