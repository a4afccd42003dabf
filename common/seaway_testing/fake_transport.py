"""The in-memory twin of `NatsTransport`; the conformance suite holds both to the same behaviour."""

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping

from seaway_bus.transport import (
    FLUSH_S,
    STORE_S,
    Callback,
    Entry,
    Message,
    NoResponders,
    NotConnected,
    RequestTimeout,
    StreamSize,
    TooLarge,
    TransportError,
    wire_size,
)
from seaway_contracts.channels import BucketConfig, StreamConfig
from seaway_testing.fake_server import FakeBucketData, FakeServer, FakeStream, FakeSubscriber, matches

__all__ = ["FakeServer", "FakeTransport"]

log = logging.getLogger(__name__)
_LOOKS_EVERY_S = 0.005


class _Subscription:
    def __init__(self, server: FakeServer, subscriber: FakeSubscriber) -> None:
        self._server = server
        self._subscriber = subscriber
        self.open = True

    async def close(self) -> None:
        self.open = False
        with contextlib.suppress(ValueError):
            self._server.subscribers.remove(self._subscriber)


class _Bucket:
    def __init__(self, transport: "FakeTransport", data: FakeBucketData) -> None:
        self._transport = transport
        self._data = data

    async def get(self, key: str) -> Entry | None:
        await self._transport.round_trip()
        return self._data.entries.get(key)

    async def create(self, key: str, value: bytes) -> int:
        return await self._write(key, value, 0)

    async def update(self, key: str, value: bytes, revision: int) -> int:
        return await self._write(key, value, revision)

    async def put(self, key: str, value: bytes) -> int:
        return await self._write(key, value, None)

    async def delete(self, key: str, revision: int | None = None) -> None:
        await self._transport.round_trip()
        self._data.delete(key, revision)

    async def entries(self) -> AsyncIterator[Entry]:
        await self._transport.round_trip()
        for entry in list(self._data.entries.values()):
            yield entry

    async def _write(self, key: str, value: bytes, expected: int | None) -> int:
        self._transport.check_size(value, {})
        await self._transport.round_trip()
        return self._data.write(key, value, expected)


class FakeTransport:
    """A connection to a `FakeServer`. What is sent arrives in a later turn of the event loop, in order."""

    def __init__(self, server: FakeServer) -> None:
        self._server = server
        self._connected = server.up
        self._closed = False
        self._handing_over = False
        self._arrived: deque[tuple[_Subscription, Callback, Message]] = deque()
        self._lost: list[Callable[[], None]] = []
        self._regained: list[Callable[[], None]] = []
        self._in_flight: set[asyncio.Future[Message]] = set()
        self._subscriptions: list[_Subscription] = []
        self.deaf_to = ""
        """Live messages on these subjects are lost on their way to this client."""
        server.watchers.append(self._server_changed)

    @property
    def connected(self) -> bool:
        return self._connected

    @property
    def trouble(self) -> str:
        return "" if self._connected else "no connection to the fake server"

    @property
    def clustered(self) -> bool:
        return self._server.clustered

    @property
    def max_payload(self) -> int:
        return self._server.max_payload

    def on_disconnect(self, callback: Callable[[], None]) -> None:
        self._lost.append(callback)

    def on_reconnect(self, callback: Callable[[], None]) -> None:
        self._regained.append(callback)

    def cut(self) -> None:
        """Lose the connection of this client alone."""
        self._server_changed(False)

    def mend(self) -> None:
        """Get it back."""
        self._server_changed(True)

    async def publish(self, subject: str, data: bytes, headers: Mapping[str, str] | None = None) -> None:
        self.send(subject, data, headers)

    def send(self, subject: str, data: bytes, headers: Mapping[str, str] | None = None) -> None:
        self._check(data, headers)
        message = Message(subject, data, dict(headers or {}))
        with contextlib.suppress(TransportError):
            self._server.keep(subject, data, message.headers)
        self._server.route(message)

    async def request(
        self, subject: str, data: bytes, headers: Mapping[str, str], timeout_s: float, node: str = ""
    ) -> Message:
        self._check(data, headers)
        answer: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        inbox = self._server.inbox(node)

        def replied(reply: Message) -> None:
            if not answer.done():
                answer.set_result(reply)

        subscription = await self.subscribe(inbox, replied)
        self._in_flight.add(answer)
        try:
            if not self._server.route(Message(subject, data, dict(headers), inbox)):
                raise NoResponders("nobody serves that subject")
            async with asyncio.timeout(timeout_s):
                return await answer
        except TimeoutError:
            raise RequestTimeout("no answer in time") from None
        finally:
            self._in_flight.discard(answer)
            await subscription.close()

    async def ask_all(self, subject: str, data: bytes, wait_s: float) -> list[Message]:
        self._check(data, {})
        answers: list[Message] = []
        inbox = self._server.inbox()
        subscription = await self.subscribe(inbox, answers.append)
        self._server.route(Message(subject, data, {}, inbox))
        await asyncio.sleep(wait_s)
        await subscription.close()
        return answers

    async def subscribe(self, subject: str, callback: Callback, queue: str = "") -> _Subscription:
        subscriber = FakeSubscriber(subject, queue, lambda message: self._arrive(subscription, callback, message))
        subscription = _Subscription(self._server, subscriber)
        self._subscriptions.append(subscription)
        self._server.subscribers.append(subscriber)
        return subscription

    async def store(self, subject: str, data: bytes, headers: Mapping[str, str], timeout_s: float = STORE_S) -> int:
        self._check(data, headers)
        self._server.route(Message(subject, data, dict(headers), self._server.inbox()))
        if self._server.store_delay_s:
            await asyncio.sleep(self._server.store_delay_s)
        seq = self._server.keep(subject, data, headers)
        if seq is None:
            raise NoResponders("there is no such stream")
        if self._server.drop_replies:
            self._server.drop_replies -= 1
            raise RequestTimeout("no answer in time")
        await self.round_trip()
        return seq

    async def ensure_stream(self, config: StreamConfig, replicas: int = 1) -> None:
        await self.round_trip()
        self._server.streams.setdefault(config.name, FakeStream(config)).config = config

    async def last(self, stream: str, subject: str) -> Message | None:
        await self.round_trip()
        found = [message for message in self._stream(stream).messages if message.subject == subject]
        return found[-1] if found else None

    async def last_sequence(self, stream: str) -> int:
        await self.round_trip()
        return self._stream(stream).last

    async def stream_size(self, stream: str) -> StreamSize:
        await self.round_trip()
        found = self._stream(stream)
        size = sum(len(message.subject) + wire_size(message.data, message.headers) for message in found.messages)
        first = found.messages[0].stream_seq if found.messages else found.last + 1
        return StreamSize(size, max(0, found.config.max_bytes), first, found.last)

    async def purge(self, stream: str, subject: str, up_to: int) -> int:
        await self.round_trip()
        found = self._stream(stream)
        gone = [one for one in found.messages if one.stream_seq <= up_to and matches(subject, one.subject)]
        found.messages = [one for one in found.messages if one not in gone]
        return len(gone)

    async def replay(
        self, stream: str, subject: str, *, start_seq: int = 0, start_ns: int = 0, follow: bool = False
    ) -> AsyncIterator[Message]:
        while True:
            await self.round_trip()
            found = self._stream(stream)
            if follow and start_seq > found.last + 1:
                raise TransportError("the stream was begun anew, and its consumers are gone")
            for message in list(found.messages):
                if message.stream_seq < start_seq or message.stored_ns < start_ns:
                    continue
                start_seq = message.stream_seq + 1
                if matches(subject, message.subject):
                    await self.round_trip()
                    yield message
            if not follow:
                return
            await asyncio.sleep(_LOOKS_EVERY_S)

    async def bucket(self, config: BucketConfig, replicas: int = 1) -> _Bucket:
        await self.round_trip()
        return _Bucket(self, self._server.buckets.setdefault(config.name, FakeBucketData()))

    async def flush(self, timeout_s: float = FLUSH_S, meanwhile: Callable[[], object] | None = None) -> None:
        self._check()
        if meanwhile is not None:
            meanwhile()
        await self.round_trip()

    async def close(self) -> None:
        self._closed = True
        self._connected = False
        for subscription in self._subscriptions:
            await subscription.close()
        with contextlib.suppress(ValueError):
            self._server.watchers.remove(self._server_changed)

    async def round_trip(self) -> None:
        """What every answered request costs: a turn of the loop, and a connection that holds meanwhile."""
        self._check()
        await asyncio.sleep(0)
        self._check()

    def check_size(self, data: bytes, headers: Mapping[str, str]) -> None:
        """Refuse what the server would not take."""
        if wire_size(data, headers) > self._server.max_payload:
            raise TooLarge("the message is larger than the server takes")

    def _check(self, data: bytes = b"", headers: Mapping[str, str] | None = None) -> None:
        if not self._connected:
            raise NotConnected("no connection to the fake server")
        self.check_size(data, headers or {})

    def _stream(self, name: str) -> FakeStream:
        stream = self._server.streams.get(name)
        if stream is None:
            raise TransportError(f"there is no stream {name}")
        if name in self._server.leaderless:
            raise TransportError("JetStream system temporarily unavailable")
        return stream

    def _arrive(self, subscription: _Subscription, callback: Callback, message: Message) -> None:
        if not self._connected or (self.deaf_to and matches(self.deaf_to, message.subject)):
            return
        self._arrived.append((subscription, callback, message))
        if not self._handing_over:
            self._handing_over = True
            asyncio.get_running_loop().call_soon(self._hand_over)

    def _hand_over(self) -> None:
        self._handing_over = False
        while self._arrived:
            subscription, callback, message = self._arrived.popleft()
            if not subscription.open:
                continue
            try:
                callback(message)
            except Exception:
                log.exception("a message on %s could not be handled", message.subject)

    def _server_changed(self, up: bool) -> None:
        if up == self._connected or self._closed:
            return
        self._connected = up
        if not up:
            self._arrived.clear()
            for answer in [answer for answer in self._in_flight if not answer.done()]:
                answer.set_exception(RequestTimeout("the connection was lost before the answer came"))
        for callback in self._regained if up else self._lost:
            callback()
