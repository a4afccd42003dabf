"""Where streams listen to the bus; those of opening sides are kept for streams to come.

A stream between two processes of one machine goes by a link, and its opening side's subscription, which must be there
in case that it doesn't, hears nothing. To make and end one costs more than all else that the bus does for the stream.
"""

from collections.abc import Callable
from typing import Final

from seaway_bus.transport import Callback, Message, Subscription, Transport
from seaway_contracts.catalogue import FROM_SERVER, later_stream, stream_subject

_MOST: Final = 64


class Ear:
    """A subscription, and who hears what comes."""

    def __init__(self, transport: Transport, subject: str) -> None:
        self._transport = transport
        self._subject = subject
        self._hear: Callback | None = None
        self._subscription: Subscription | None = None

    async def open(self, hear: Callback) -> None:
        """Have `hear` called with what comes."""
        self._hear = hear
        if self._subscription is None:
            self._subscription = await self._transport.subscribe(self._subject, self._heard)

    def let_go(self) -> None:
        """Nobody hears what comes, until it is opened again."""
        self._hear = None

    async def close(self) -> None:
        """Listen no more."""
        self._hear = None
        if self._subscription is not None:
            await self._subscription.close()

    def _heard(self, message: Message) -> None:
        if self._hear is not None:
            self._hear(message)


class OpeningEar(Ear):
    """An opening side's. Each stream that it serves has a name of its own: who serves them knows repeats by it."""

    def __init__(self, transport: Transport, name: str, free: "list[OpeningEar]") -> None:
        super().__init__(transport, stream_subject(name, FROM_SERVER))
        self._first_name = name
        self._uses = 0
        self._free = free

    @property
    def name(self) -> str:
        """Its present stream's."""
        return later_stream(self._first_name, self._uses)

    async def keep(self) -> None:
        """Its stream has ended in order, and the other side never used the bus: leave it to another stream."""
        if len(self._free) < _MOST:
            self.let_go()
            self._uses += 1
            self._free.append(self)
        else:
            await self.close()


class Ears:
    """Those of one process that are free, by the side that is to serve the stream."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._free: dict[str, list[OpeningEar]] = {}

    def take(self, side: str, new_name: Callable[[], str]) -> OpeningEar:
        """One for a stream that `side` serves; a new one with a new name where none is free."""
        free = self._free.setdefault(side, [])
        return free.pop() if free else OpeningEar(self._transport, new_name(), free)
