"""The transport over nats-py. Its exceptions are translated here and nowhere else."""

import asyncio
import contextlib
import datetime
import json
import logging
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import nats
import nats.errors
import nats.js.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription as NatsSubscription
from nats.js.api import (
    AckPolicy,
    ConsumerConfig,
    DeliverPolicy,
    DiscardPolicy,
    KeyValueConfig,
    StorageType,
)
from nats.js.api import StreamConfig as NatsStreamConfig
from nats.js.kv import KeyValue

from seaway_bus.transport import (
    Bucket,
    Callback,
    Entry,
    Message,
    NoResponders,
    NoSpace,
    NotConnected,
    RequestTimeout,
    Subscription,
    TooLarge,
    TransportError,
    WrongRevision,
)
from seaway_contracts.channels import BucketConfig, StreamConfig

log = logging.getLogger(__name__)
_NO_SPACE: Final = (10023, 10047, 10077)  # insufficient resources, storage, maximum bytes
_WRONG_LAST: Final = 10071
_REPLAY_IDLE_S: Final = 5.0


@dataclass(frozen=True)
class Credentials:
    """How to log in; empty for a server without accounts."""

    user: str = ""
    password: str = ""


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    """Turn nats-py's exceptions into the port's."""
    try:
        yield
    except nats.errors.NoRespondersError as error:
        raise NoResponders("nobody serves that subject") from error
    except nats.js.errors.NoStreamResponseError as error:
        raise NoResponders("there is no such stream") from error
    except (nats.errors.TimeoutError, TimeoutError) as error:
        raise RequestTimeout("no answer in time") from error
    except nats.errors.MaxPayloadError as error:
        raise TooLarge("the message is larger than the server takes") from error
    except nats.js.errors.APIError as error:
        if error.err_code == _WRONG_LAST:
            raise WrongRevision(str(error.description)) from error
        if error.err_code in _NO_SPACE:
            raise NoSpace(str(error.description)) from error
        raise TransportError(f"{error.description or error}") from error
    except (nats.errors.Error, OSError) as error:
        raise NotConnected(f"no connection to the NATS server: {error or type(error).__name__}") from error


def _message(msg: Msg) -> Message:
    return Message(msg.subject, msg.data, msg.headers or {}, msg.reply)


class _Subscription:
    def __init__(self, inner: NatsSubscription) -> None:
        self._inner = inner

    async def close(self) -> None:
        with contextlib.suppress(nats.errors.Error, ValueError):
            await self._inner.unsubscribe()


class _Bucket:
    def __init__(self, inner: KeyValue) -> None:
        self._inner = inner

    async def get(self, key: str) -> Entry | None:
        try:
            with _translated():
                found = await self._inner.get(key)
        except TransportError as error:
            if isinstance(error.__cause__, nats.js.errors.NotFoundError):
                return None
            raise
        return Entry(key, found.value or b"", found.revision or 0)

    async def create(self, key: str, value: bytes) -> int:
        with _translated():
            try:
                return await self._inner.create(key, value)
            except nats.js.errors.KeyWrongLastSequenceError as error:
                raise WrongRevision(key) from error

    async def update(self, key: str, value: bytes, revision: int) -> int:
        with _translated():
            try:
                return await self._inner.update(key, value, last=revision)
            except nats.js.errors.KeyWrongLastSequenceError as error:
                raise WrongRevision(key) from error

    async def put(self, key: str, value: bytes) -> int:
        with _translated():
            return await self._inner.put(key, value)

    async def delete(self, key: str, revision: int | None = None) -> None:
        with _translated():
            try:
                await self._inner.delete(key, last=revision)
            except nats.js.errors.KeyWrongLastSequenceError as error:
                raise WrongRevision(key) from error

    async def entries(self) -> AsyncIterator[Entry]:
        with _translated():
            watcher = await self._inner.watchall(ignore_deletes=True)
        try:
            async for item in watcher:
                if item is None:
                    return
                yield Entry(item.key, item.value or b"", item.revision or 0)
        finally:
            with contextlib.suppress(nats.errors.Error):
                await watcher.stop()  # type: ignore[no-untyped-call]


class NatsTransport:
    """A connection to nats-server with JetStream. Make one with `connect`."""

    def __init__(self, client: Client, reconnects: list[Callable[[], None]]) -> None:
        self._nc = client
        self._js = client.jetstream(timeout=5.0)
        self._reconnects = reconnects

    @classmethod
    async def connect(
        cls, url: str, *, name: str, credentials: Credentials | None = None, timeout_s: float = 5.0
    ) -> "NatsTransport":
        """Connect once; from then on the connection heals itself. Raises NotConnected if the first try fails."""
        callbacks: list[Callable[[], None]] = []

        async def reconnected() -> None:
            log.info("bus: connected again")
            for callback in callbacks:
                callback()

        async def disconnected() -> None:
            log.warning("bus: connection lost; trying again until it is back")

        async def failed(error: Exception) -> None:
            log.warning("bus: %s", error or type(error).__name__)

        who = credentials or Credentials()
        with _translated():
            client = await nats.connect(
                url,
                name=name,
                user=who.user or None,
                password=who.password or None,
                connect_timeout=int(max(1, timeout_s)),
                allow_reconnect=True,
                max_reconnect_attempts=-1,
                reconnect_time_wait=0.2,
                pending_size=8 << 20,
                ping_interval=10,
                max_outstanding_pings=2,
                reconnected_cb=reconnected,
                disconnected_cb=disconnected,
                error_cb=failed,
            )
        return cls(client, callbacks)

    @property
    def connected(self) -> bool:
        return bool(self._nc.is_connected)

    @property
    def max_payload(self) -> int:
        return int(self._nc.max_payload)

    def on_reconnect(self, callback: Callable[[], None]) -> None:
        self._reconnects.append(callback)

    def _check(self) -> None:
        """Refuse to buffer for a lost connection: what is sent late may be sent out of order."""
        if not self._nc.is_connected:
            raise NotConnected("no connection to the NATS server")

    async def publish(self, subject: str, data: bytes, headers: Mapping[str, str] | None = None) -> None:
        self._check()
        with _translated():
            await self._nc.publish(subject, data, headers=dict(headers) if headers else None)

    async def request(self, subject: str, data: bytes, headers: Mapping[str, str], timeout_s: float) -> Message:
        self._check()
        with _translated():
            return _message(await self._nc.request(subject, data, timeout=timeout_s, headers=dict(headers)))

    async def subscribe(self, subject: str, callback: Callback, queue: str = "") -> Subscription:
        async def deliver(msg: Msg) -> None:
            callback(_message(msg))

        with _translated():
            inner = await self._nc.subscribe(
                subject, queue=queue, cb=deliver, pending_msgs_limit=1 << 20, pending_bytes_limit=256 << 20
            )
        return _Subscription(inner)

    async def store(self, subject: str, data: bytes, headers: Mapping[str, str], timeout_s: float = 5.0) -> int:
        reply = await self.request(subject, data, headers, timeout_s)
        answer: dict[str, Any] = json.loads(reply.data)
        if "error" in answer:
            with _translated():
                raise nats.js.errors.APIError.from_error(answer["error"])
        return int(answer["seq"])

    async def ensure_stream(self, config: StreamConfig, replicas: int = 1) -> None:
        wanted = NatsStreamConfig(
            name=config.name,
            subjects=list(config.subjects),
            max_age=config.max_age_s,
            max_bytes=config.max_bytes,
            duplicate_window=config.duplicate_window_s,
            discard=DiscardPolicy.OLD,
            storage=StorageType.FILE,
            num_replicas=replicas,
            allow_direct=True,
        )
        with _translated():
            try:
                await self._js.add_stream(wanted)
            except nats.js.errors.BadRequestError:
                await self._js.update_stream(wanted)

    async def last_sequence(self, stream: str) -> int:
        with _translated():
            return int((await self._js.stream_info(stream)).state.last_seq)

    async def replay(
        self, stream: str, subject: str, *, start_seq: int = 0, start_ns: int = 0
    ) -> AsyncIterator[Message]:
        queue: asyncio.Queue[Msg] = asyncio.Queue()
        inbox = self._nc.new_inbox()
        with _translated():
            sub = await self._nc.subscribe(inbox, cb=queue.put)
            try:
                info = await self._js.add_consumer(stream, _replay_config(subject, inbox, start_seq, start_ns))
            except BaseException:
                await sub.unsubscribe()
                raise
        last = await self.last_sequence(stream)
        try:
            left = (info.num_pending or 0) + (info.delivered.consumer_seq if info.delivered else 0)
            while left > 0:
                with _translated():
                    msg = await asyncio.wait_for(queue.get(), _REPLAY_IDLE_S)
                if not msg.subject.startswith("_INBOX") and msg.reply:
                    found = _stored(msg)
                    left = 0 if found.stream_seq >= last else left - 1
                    yield found
        finally:
            with contextlib.suppress(nats.errors.Error):
                await sub.unsubscribe()
                await self._js.delete_consumer(stream, info.name)

    async def bucket(self, config: BucketConfig, replicas: int = 1) -> Bucket:
        with _translated():
            try:
                return _Bucket(await self._js.key_value(config.name))
            except nats.js.errors.NotFoundError:
                wanted = KeyValueConfig(bucket=config.name, history=config.history, replicas=replicas)
                return _Bucket(await self._js.create_key_value(wanted))

    async def flush(self) -> None:
        self._check()
        with _translated():
            await self._nc.flush(timeout=5)

    async def close(self) -> None:
        with contextlib.suppress(nats.errors.Error, TimeoutError, OSError):
            if self._nc.is_connected:
                await self._nc.flush(timeout=1)
        with contextlib.suppress(nats.errors.Error, TimeoutError, OSError):
            await self._nc.close()


def _replay_config(subject: str, inbox: str, start_seq: int, start_ns: int) -> ConsumerConfig:
    config = ConsumerConfig(
        filter_subject=subject,
        deliver_subject=inbox,
        ack_policy=AckPolicy.NONE,
        deliver_policy=DeliverPolicy.ALL,
        inactive_threshold=60,
        mem_storage=True,
        num_replicas=1,
    )
    if start_seq:
        config.deliver_policy, config.opt_start_seq = DeliverPolicy.BY_START_SEQUENCE, start_seq
    elif start_ns:
        config.deliver_policy, config.opt_start_time = DeliverPolicy.BY_START_TIME, datetime.datetime.fromtimestamp(
            start_ns // 1_000_000_000, datetime.UTC
        )
    return config


def _stored(msg: Msg) -> Message:
    meta = msg.metadata
    return Message(
        msg.subject,
        msg.data,
        msg.headers or {},
        stream_seq=int(meta.sequence.stream),
        stored_ns=int(meta.timestamp.timestamp() * 1e9),
    )
