"""The subscriptions of byte streams. The opening side's are reused for later streams.

Bytes between two processes of one machine go over a local connection. The opening side subscribes all the same, as the
other side may be on another machine. To make and close such a subscription costs more than all else that the bus does
for the stream.
"""

from collections.abc import Callable
from typing import Final

from seaway_bus.transport import Callback, Message, Subscription, Transport
from seaway_contracts.catalogue import FROM_SERVER, later_stream, stream_subject

_MOST: Final = 64


class StreamSubscription:
    """A subscription whose callback can be taken away and set again."""

    def __init__(self, transport: Transport, subject: str) -> None:
        self._transport = transport
        self._subject = subject
        self._callback: Callback | None = None
        self._subscription: Subscription | None = None

    async def open(self, callback: Callback) -> None:
        """Call `callback` with each message. Subscribe unless that is done."""
        self._callback = callback
        if self._subscription is None:
            self._subscription = await self._transport.subscribe(self._subject, self._received)

    def detach(self) -> None:
        """Drop all messages until the next `open`."""
        self._callback = None

    async def close(self) -> None:
        """Unsubscribe."""
        self._callback = None
        if self._subscription is not None:
            await self._subscription.close()

    def _received(self, message: Message) -> None:
        if self._callback is not None:
            self._callback(message)


class OpeningSubscription(StreamSubscription):
    """The subscription of an opening side, for one stream after another.

    Each stream has a name of its own: by it the serving side knows a repeated request.
    """

    def __init__(self, transport: Transport, name: str, free: "list[OpeningSubscription]") -> None:
        super().__init__(transport, stream_subject(name, FROM_SERVER))
        self._first_name = name
        self._uses = 0
        self._free = free

    @property
    def name(self) -> str:
        """The name of its present stream."""
        return later_stream(self._first_name, self._uses)

    async def release(self) -> None:
        """Leave it to a later stream.

        Only if its stream has ended in order, and the other side never used the bus.
        """
        if len(self._free) < _MOST:
            self.detach()
            self._uses += 1
            self._free.append(self)
        else:
            await self.close()


class StreamSubscriptions:
    """The free subscriptions of one process, by the side that serves their streams."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._free: dict[str, list[OpeningSubscription]] = {}

    def take(self, side: str, new_name: Callable[[], str]) -> OpeningSubscription:
        """A subscription for a stream that `side` serves; a new one, named by `new_name`, if none is free."""
        free = self._free.setdefault(side, [])
        return free.pop() if free else OpeningSubscription(self._transport, new_name(), free)
