"""Events live and from the stream, without gap or repeat.

Agents publish their events to the services at once; each may report only on containers that it holds (`judging.py`). A
moment later the same events are in the stream, for all subscribers. After a lost connection, and at a start that asks
for the past, the feed reads the stream, and live events wait meanwhile. The feed joins all these ways by event id.

In a cluster of servers, messages can be lost between two servers while this connection stands. There the feed also
reads the stream now and then, and at once when an event shows that one before it is missing.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Sequence
from typing import Final

from seaway_bus import metrics
from seaway_bus.events import TOLD, Event, read_event
from seaway_bus.judging import HeldBack, Holders, Verdict, container_of, drop_foreign
from seaway_bus.order import Delivered, Order
from seaway_bus.transport import STORE_S, Message, Subscription, Transport, TransportError
from seaway_contracts.catalogue import ALL_EVENTS, ALL_TOLD, EVENT_STREAM
from seaway_contracts.errors import SeawayError
from seaway_contracts.lifecycle import MSG_ID
from seaway_kit.tasks import Tasks

log = logging.getLogger(__name__)
_HORIZON_EVERY_S: Final = 5.0
_CHECK_EVERY_S: Final = 2.0
_MARGIN: Final = 1024
_RETRY_S: Final = 0.5
_LOOK_AGAIN_S: Final = 0.05
_CURRENT_S: Final = 2.0
_READINGS: Final = 3
_SHORT_READINGS: Final = 4  # times in a row, half a second apart
SETTLE_S: Final = STORE_S + 2.0


class EventFeed:
    """Delivers each event once, in the order of the thing that it is about, to one plain callback.

    After a lost connection, and at a start that asks for the past, the feed settles. An event that was published before
    this subscription may be stored only now: its publisher sends it again unless it is stored within `STORE_S`. Until
    that time has passed the feed reads the stream again and again, and holds each live event until a reading that began
    after it.
    """

    def __init__(
        self,
        transport: Transport,
        receive: Callable[[Event], None],
        tasks: Tasks,
        subjects: Sequence[str] = (ALL_EVENTS,),
        in_order: bool = True,
        together_s: float = 0.0,
        holders: Holders | None = None,
        stored: Callable[[str], None] = lambda identifier: None,
    ) -> None:
        """`subjects`: what the receiver needs. It also gets other events that are read from the stream.

        `holders`: subscribe to what agents publish, too, and deliver what each reports on containers that it holds. An
        event that can't be judged is held back until the stream shows who holds the container, or `release` is called.
        `stored` is called with the id of each event in the stream that agents may have published before.

        `in_order=False` is for a receiver that needs no order: the feed holds nothing, so live events come even while
        the stream can't be read.

        `together_s` is for a receiver that calls `current` before it uses what it has received: live events may wait
        this long for others, as several at once cost much less.
        """
        self._transport = transport
        self._subjects = subjects
        self._receive = receive
        self._tasks = tasks
        self._in_order = in_order
        self._together_s = together_s
        self._holders = holders
        self._stored = stored
        self._held_back = HeldBack()
        self._late: list[Message] = []
        self._delivered = Delivered(await_stored=in_order)
        self._order = Order()
        self._held: dict[str, Message] | None = None
        self._asking: list[asyncio.Future[bool]] = []
        self._first = self._next = 1
        self._settled_at = 0.0
        self._look_again_s = _LOOK_AGAIN_S
        self._losses = 0
        self._short = 0
        self._running = False
        self._wake = asyncio.Event()
        self._subscriptions: list[Subscription] = []
        self.horizon = 0
        """All events stored up to this sequence number have been delivered."""

    async def start(self, after: int | None = None) -> None:
        """Start. `after`: first replay the stored events behind that sequence number; None: new events only."""
        self._held = {}
        self._transport.on_disconnect(self._hold)
        self._transport.on_reconnect(self._regained)
        told = () if self._holders is None else (ALL_TOLD,)
        for subject in (*told, *self._subjects):
            self._subscriptions.append(await self._transport.subscribe(subject, self._live))
        last = await self._transport.last_sequence(EVENT_STREAM.name)
        self.horizon = last if after is None else after
        self._first = self._next = self.horizon + 1
        if after is None and not self._losses:
            self._release(list(self._held))
            self._held = None
        else:
            self._regained()
            await self._read()
        self._running = True
        self._tasks.eternal("feed", self._run())

    async def close(self) -> None:
        """Unsubscribe and deliver what has come."""
        for subscription in self._subscriptions:
            await subscription.close()
        self._deliver_late()

    @property
    def live(self) -> bool:
        """Whether events are delivered as they come, and all that this connection has brought are delivered."""
        return self._held is None and self._transport.connected

    @property
    def delivered(self) -> int:
        """All events stored up to this sequence number have certainly been delivered.

        It is the horizon, less what this process may have received and not looked at yet.
        """
        return max(0, self.horizon - _MARGIN)

    async def current(self) -> bool:
        """Wait until all events that came before are delivered; False if the stream can't be read in `_CURRENT_S`.

        Returns at once, except for some seconds after a lost connection.
        """
        self._deliver_late()
        if self._held is None or not self._transport.connected:
            return self._held is None
        asked: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._asking.append(asked)
        self._wake.set()
        try:
            async with asyncio.timeout(_CURRENT_S):
                return await asked
        except TimeoutError:
            return False
        finally:
            self._asking.remove(asked)

    def _live(self, message: Message) -> None:
        if self._together_s:
            self._put_off(message)
        else:
            self._take_in(message)

    def _put_off(self, message: Message) -> None:
        if not self._late:
            asyncio.get_running_loop().call_later(self._together_s, self._deliver_late)
        self._late.append(message)

    def _deliver_late(self) -> None:
        late, self._late = self._late, []
        for message in late:
            self._take_in(message)

    def _take_in(self, message: Message) -> None:
        if (identifier := message.headers.get(MSG_ID, "")) in self._delivered:
            self._repeated(identifier, told=message.subject.startswith(TOLD))
            return
        event = read_event(message)
        if event is None or (event.told and not self._may_say(event, message)):
            return
        if self._held is None or not self._in_order:
            if not (self._in_order and self._order.skips(event.envelope)):
                self._hand_on(event)
                return
            self._look_back()
        assert self._held is not None
        self._held.setdefault(message.headers.get(MSG_ID, ""), message)
        self._wake.set()

    def _may_say(self, event: Event, message: Message) -> bool:
        """Whether the node that sent this event holds the container that it is about."""
        assert self._holders is not None
        container, node = container_of(event.envelope, event.data), event.envelope.node
        found = self._holders.verdict(node, container) if container else Verdict.OWN
        if found is Verdict.UNKNOWN:
            self._held_back.hold(container, message)
        elif found is Verdict.FOREIGN:
            drop_foreign(node, container, event.envelope.action)
        return found is Verdict.OWN

    def release(self, container: str) -> None:
        """Judge the events that were held back of this container: its holder is known now."""
        for message in self._held_back.release(container):
            self._take_in(message)

    def _deliver(self, message: Message) -> None:
        if (event := read_event(message)) is not None:
            self._hand_on(event)

    def _hand_on(self, event: Event) -> None:
        """Deliver an event, then what was held back of its container. If that includes the event, its place counts."""
        held = self._judgeable(event)
        told = any(message.headers.get(MSG_ID) == event.envelope.id for message in held)
        if not told:
            self._give(event)
        for message in held:
            self._take_in(message)
        if told:
            self._give(event)

    def _judgeable(self, event: Event) -> list[Message]:
        """What was held back of its container, if this stored event shows who holds it."""
        if self._holders is None or event.told or event.envelope.noun != "container":
            return []
        self._holders.note(event.envelope.subject_id, event.envelope.node)
        return self._held_back.release(event.envelope.subject_id)

    def _give(self, event: Event) -> None:
        if self._transport.clustered:
            self._order.note(event.envelope)
        if event.envelope.id in self._delivered:
            self._repeated(event.envelope.id, told=event.told)
            return
        self._delivered.add(event.envelope.id, stored=not event.told)
        metrics.labelled(metrics.FEED_EVENTS, "stored" if event.stream_seq else "live").inc()
        if not event.stream_seq:
            metrics.FEED_LAG.observe(max(0, time.time_ns() - event.envelope.time_ns) / 1e9)
        try:
            self._receive(event)
        except SeawayError as error:
            log.warning("an event of %s is left alone: %s", event.envelope.subject_id, error)
        except Exception:
            log.exception("an event could not be handled: %s", event.envelope)

    def _repeated(self, identifier: str, *, told: bool) -> None:
        metrics.FEED_REPEATS.inc()
        if not told:
            self._delivered.add(identifier, stored=True)
            self._stored(identifier)

    def _hold(self) -> None:
        """The connection is lost: hold live events until the feed has read what it missed."""
        self._losses += 1
        self._next = max(self._first, self.delivered + 1)
        if self._held is None:
            self._held = {}

    def _regained(self) -> None:
        self._settled_at = asyncio.get_running_loop().time() + SETTLE_S
        self._look_again_s = _LOOK_AGAIN_S
        self._wake.set()

    def _look_back(self) -> None:
        """An event was missed while the connection stood: read the stream once more."""
        self._held = self._held or {}
        self._settled_at = asyncio.get_running_loop().time()

    async def _run(self) -> None:
        """Advance the horizon and read what was missed, for ever."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._pause()):
                    await self._wake.wait()
            self._wake.clear()
            if not self._transport.connected:
                continue
            try:
                await self._turn()
            except TransportError as error:
                log.warning("events: %s; trying again", error)
                await asyncio.sleep(_RETRY_S)
                self._wake.set()

    async def _turn(self) -> None:
        if self._held is not None:
            await self._read()
        elif self._transport.clustered:
            await self._check_stream()
        else:
            await self._move_horizon()

    def _pause(self) -> float | None:
        """Seconds until the next turn, unless it is woken; None without a connection."""
        if not self._transport.connected:
            return None
        if self._held is None:
            return _CHECK_EVERY_S if self._transport.clustered else _HORIZON_EVERY_S
        self._look_again_s *= 2
        return min(self._look_again_s, max(0.0, self._settled_at - asyncio.get_running_loop().time()))

    async def _move_horizon(self) -> None:
        losses = self._losses
        last = await self._transport.last_sequence(EVENT_STREAM.name)
        self._deliver_late()
        if losses == self._losses:
            self.horizon = max(self.horizon, last)

    async def _check_stream(self) -> None:
        """Deliver events that are stored and did not come live."""
        last = await self._transport.last_sequence(EVENT_STREAM.name)
        if last < self.horizon:
            self._look_back()
            self._wake.set()
        elif last >= self._next:
            await self._replay(self._losses)

    async def _read(self) -> None:
        """Read what is new in the stream, then release the live events that came before this reading."""
        losses, held, asking = self._losses, list(self._held or ()), list(self._asking)
        settled = asyncio.get_running_loop().time() >= self._settled_at
        try:
            await self._catch_up(losses)
        except TransportError:
            if settled:
                _resolve(asking, current=False)  # the stream is away for longer
            raise
        if losses != self._losses:
            return
        self._release(held)
        if settled:
            self._release(list(self._held or ()))
            self._held = None
        _resolve(asking, current=True)

    async def _catch_up(self, losses: int) -> None:
        """Deliver up to the newest message that the stream's leader has: the replica that is read may lag behind it."""
        try:
            last = await self._transport.last_sequence(EVENT_STREAM.name)
        except TransportError:
            self._short = 0
            raise
        if last < self.horizon:
            self._begin_anew(last)
        self._short = 0
        for _ in range(_READINGS):
            if self._next > last:
                break
            await self._replay(losses)
        if losses == self._losses and not self._transport.clustered:
            self._next = max(self._next, last + 1)  # messages that did not come are gone
            self.horizon = max(self.horizon, last)

    def _begin_anew(self, last: int) -> None:
        """Read the stream from its beginning: it is shorter than it was.

        A server that is no longer the leader may say so too, for a moment; so believe it only after some readings.
        """
        self._short += 1
        if self._running and self._short < _SHORT_READINGS:
            raise TransportError(f"the stream ends at {last} and not at {self.horizon} any more")
        log.warning("events: the stream was begun anew (%d, had seen %d)", last, self.horizon)
        self.horizon, self._first, self._next = 0, 1, 1
        self._release(list(self._held or ()))

    async def _replay(self, losses: int) -> None:
        async for message in self._transport.replay(EVENT_STREAM.name, ALL_EVENTS, start_seq=self._next):
            if losses != self._losses:
                return
            held = (self._held or {}).pop(message.headers.get(MSG_ID, ""), message)
            self._deliver(held)
            if held.subject != message.subject:  # its agent has told it; now it is stored, too
                self._deliver(message)
            self._next = message.stream_seq + 1
            self.horizon = max(self.horizon, message.stream_seq)

    def _release(self, held: list[str]) -> None:
        for identifier in held:
            if (message := (self._held or {}).pop(identifier, None)) is not None:
                self._deliver(message)


def _resolve(asking: list[asyncio.Future[bool]], current: bool) -> None:
    for asked in asking:
        if not asked.done():
            asked.set_result(current)
