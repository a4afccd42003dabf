"""The transport over nats-py."""

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import nats.errors

from seaway_bus.nats_bucket import NatsBucket
from seaway_bus.nats_client import LastingClient
from seaway_bus.nats_errors import ConfigurationDiffers, NoSuchStream, answer_of, translated
from seaway_bus.nats_replay import Replay
from seaway_bus.nats_requests import Requests
from seaway_bus.nats_streams import bucket_stream, event_stream, trouble_with_copies
from seaway_bus.nats_watch import Watch
from seaway_bus.transport import (
    FLUSH_S,
    STORE_S,
    Bucket,
    Callback,
    Message,
    NoSpace,
    NotConnected,
    StreamSize,
    Subscription,
    TransportError,
)
from seaway_contracts.channels import BucketConfig, StreamConfig
from seaway_contracts.ids import BadToken, check_token
from seaway_kit import tls

log = logging.getLogger(__name__)
_LOOKS_S: Final = (1.0, 2.0, 2.0)
_ORDERS_S: Final = (1.0, 2.0, 4.0, 6.0)
"""Time-outs: JetStream's API does not answer while its servers elect a leader, for up to 9 s."""
_INBOX: Final = "_INBOX"
_LEAST_BYTES: Final = 64 << 20


@dataclass(frozen=True)
class Credentials:
    """The login; empty for a server without accounts. `ca`: the CA of its certificate, if not a public one.

    With a `seed` (a user's nkey) the server's nonce is signed, and `user` only names the inboxes.
    """

    user: str = ""
    password: str = field(default="", repr=False)
    ca: Path | None = None
    seed: str = field(default="", repr=False)


class _Subscription:
    def __init__(self, client: LastingClient, number: int) -> None:
        self._client = client
        self._number = number

    async def close(self) -> None:
        self._client.unlisten(self._number)


class NatsTransport:
    """A connection to nats-server with JetStream. Make it with `connect`; or use `join` to connect later."""

    def __init__(self, url: str, *, name: str) -> None:
        self._url = url
        self._name = name
        self._watch = Watch()
        self._nc = LastingClient()
        self._requests = Requests(self._nc)
        self._joined = False

    @classmethod
    async def connect(
        cls, url: str, *, name: str, credentials: Credentials | None = None, timeout_s: float = 5.0
    ) -> "NatsTransport":
        """Connect; from then on the connection reconnects by itself. Raises NotConnected if that fails."""
        transport = cls(url, name=name)
        await transport.join(credentials or Credentials(), timeout_s)
        return transport

    async def join(self, credentials: Credentials, timeout_s: float = 5.0) -> None:
        """Connect for the first time. Raises NotConnected if that fails; call it again then."""
        client, watch = LastingClient(), self._watch
        watch.closing = False
        try:
            with translated():
                async with asyncio.timeout(timeout_s):
                    await client.connect(_servers(self._url), **_options(self._name, credentials, watch))
                    requests = Requests(client)
                    requests.open()
        except BaseException as error:
            watch.closing = True
            with contextlib.suppress(Exception):
                await client.close()
            if isinstance(error.__cause__, TimeoutError):
                raise NotConnected("the NATS server doesn't answer, or doesn't let us in") from error
            raise
        self._nc, self._requests, self._joined = client, requests, True
        watch.broken.append(requests.lost)
        watch.begun()

    def wait(self, reason: str) -> None:
        """Note why the server isn't there yet; `trouble` reports it."""
        self._watch.absent(reason)

    @property
    def connected(self) -> bool:
        return bool(self._nc.is_connected)

    @property
    def trouble(self) -> str:
        return "" if self.connected else self._watch.trouble() or "no connection to the NATS server"

    @property
    def clustered(self) -> bool:
        return self._nc.clustered

    @property
    def max_payload(self) -> int:
        return int(self._nc.max_payload)

    def on_disconnect(self, callback: Callable[[], None]) -> None:
        self._watch.lost.append(callback)

    def on_reconnect(self, callback: Callable[[], None]) -> None:
        self._watch.regained.append(callback)

    def _check(self) -> None:
        if not self._nc.is_connected:
            raise NotConnected("no connection to the NATS server")

    def send(self, subject: str, data: bytes, headers: Mapping[str, str] | None = None) -> None:
        self._nc.send(subject, data, headers)

    async def publish(self, subject: str, data: bytes, headers: Mapping[str, str] | None = None) -> None:
        self._nc.send(subject, data, headers)
        await self._nc.room()

    async def request(
        self, subject: str, data: bytes, headers: Mapping[str, str], timeout_s: float, node: str = ""
    ) -> Message:
        return await self._requests.send(subject, data, headers, timeout_s, node)

    async def look(self, subject: str) -> Message:
        """Send a request without a body that changes nothing; repeat it if no answer comes."""
        return await self._requests.ask(subject, b"", _LOOKS_S)

    async def ask_all(self, subject: str, data: bytes, wait_s: float) -> list[Message]:
        self._check()
        return await self._requests.ask_all(subject, data, wait_s)

    async def subscribe(self, subject: str, callback: Callback, queue: str = "") -> Subscription:
        if not self._joined:
            raise NotConnected("no connection to the NATS server yet")
        return _Subscription(self._nc, self._nc.listen(subject, callback, queue))

    async def store(self, subject: str, data: bytes, headers: Mapping[str, str], timeout_s: float = STORE_S) -> int:
        seq = int(answer_of(await self.request(subject, data, headers, timeout_s))["seq"])
        if not seq:  # a cluster before 2.12 that still stores the first one, and may lose it
            raise TransportError("the stream has not stored it yet")
        return seq

    async def ensure_stream(self, config: StreamConfig, replicas: int = 1) -> None:
        if trouble := trouble_with_copies(str(self._nc.connected_server_version), replicas):
            log.warning("bus: %s", trouble)
        size = config.max_bytes
        while True:
            try:
                await self._ensure(event_stream(replace(config, max_bytes=size), replicas))
                return
            except NoSpace:
                if await self._keep_size(config, replicas):
                    return
                if size <= _LEAST_BYTES:
                    raise
                size //= 2
                log.warning("bus: too little storage for the stream %s; trying %d MiB", config.name, size >> 20)

    async def _keep_size(self, config: StreamConfig, replicas: int) -> bool:
        """Update an existing stream's configuration without changing its size; whether it exists."""
        try:
            found = await self._api(f"STREAM.INFO.{config.name}")
        except NoSuchStream:
            return False
        kept = replace(config, max_bytes=int(found["config"]["max_bytes"]))
        await self._api(f"STREAM.UPDATE.{config.name}", event_stream(kept, replicas))
        return True

    async def last(self, stream: str, subject: str) -> Message | None:
        found = await self.look(f"$JS.API.DIRECT.GET.{stream}.{subject}")
        status = found.headers.get("Status", "")
        if status not in ("", "404"):
            raise TransportError(f"{subject} can't be read: {found.headers.get('Description', status)}")
        sequence = int(found.headers.get("Nats-Sequence", "0"))
        return None if status else replace(found, subject=subject, reply="", stream_seq=sequence)

    async def last_sequence(self, stream: str) -> int:
        return int((await self._api(f"STREAM.INFO.{stream}"))["state"]["last_seq"])

    async def stream_size(self, stream: str) -> StreamSize:
        info = await self._api(f"STREAM.INFO.{stream}")
        state, most = info["state"], max(0, int(info["config"]["max_bytes"]))
        return StreamSize(int(state["bytes"]), most, int(state["first_seq"]), int(state["last_seq"]))

    async def purge(self, stream: str, subject: str, up_to: int) -> int:
        return int((await self._api(f"STREAM.PURGE.{stream}", {"filter": subject, "seq": up_to + 1}))["purged"])

    async def replay(
        self, stream: str, subject: str, *, start_seq: int = 0, start_ns: int = 0, follow: bool = False
    ) -> AsyncIterator[Message]:
        self._check()
        reading = Replay(self._nc, self._api_once, stream)
        self._watch.broken.append(reading.lost)
        try:
            async with contextlib.aclosing(reading.messages(subject, start_seq, start_ns, follow=follow)) as found:
                async for message in found:
                    yield message
        finally:
            self._watch.broken.remove(reading.lost)

    async def bucket(self, config: BucketConfig, replicas: int = 1) -> Bucket:
        await self._ensure(bucket_stream(config, replicas))
        return NatsBucket(self, self._api, config.name, replicas)

    async def _ensure(self, wanted: dict[str, Any]) -> None:
        """Make a stream; update its configuration if it exists with another."""
        try:
            await self._api(f"STREAM.CREATE.{wanted['name']}", wanted)
        except ConfigurationDiffers:
            await self._api(f"STREAM.UPDATE.{wanted['name']}", wanted)

    async def _api(self, call: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """One call of the JetStream API that may be repeated without effect."""
        return answer_of(await self._requests.ask(f"$JS.API.{call}", _json(body), _ORDERS_S))

    async def _api_once(self, call: str, body: dict[str, Any], limit_s: float) -> dict[str, Any]:
        """One call of the JetStream API that must not be repeated."""
        return answer_of(await self.request(f"$JS.API.{call}", _json(body), {}, limit_s))

    async def flush(self, timeout_s: float = FLUSH_S, meanwhile: Callable[[], object] | None = None) -> None:
        self._check()
        with translated():
            await self._nc.answered(timeout_s, meanwhile)

    async def close(self) -> None:
        self._watch.closing = True
        if not self._joined:
            return
        with contextlib.suppress(nats.errors.Error, TimeoutError, OSError):
            if self._nc.is_connected:
                await self._nc.flush(timeout=1)
        with contextlib.suppress(nats.errors.Error, TimeoutError, OSError):
            await self._nc.close()


def _json(body: dict[str, Any] | None) -> bytes:
    return json.dumps(body).encode() if body else b""


def _servers(urls: str) -> list[str]:
    """The URLs of a cluster's servers, from a comma-separated text; nats-py takes several only as a list."""
    return [url.strip() for url in urls.split(",") if url.strip()]


def inbox_prefix(user: str) -> str:
    """The prefix of a user's inboxes. Each user has its own, so that the server can keep others away from it."""
    try:
        return ".".join((_INBOX, *map(check_token, user.split("."))))
    except BadToken:
        return _INBOX


def _options(name: str, who: Credentials, watch: Watch) -> dict[str, Any]:
    return {
        "name": name,
        "user": who.user if who.user and not who.seed else None,
        "password": who.password if who.password and not who.seed else None,
        "nkeys_seed_str": who.seed or None,
        "inbox_prefix": inbox_prefix(who.user),
        "tls": tls.trusting(who.ca) if who.ca else None,
        "connect_timeout": 2,
        "allow_reconnect": True,
        "max_reconnect_attempts": -1,
        "reconnect_time_wait": 0.2,
        "ping_interval": 5,
        "max_outstanding_pings": 2,
        "reconnected_cb": watch.reconnected,
        "disconnected_cb": watch.disconnected,
        "error_cb": watch.failed,
    }
