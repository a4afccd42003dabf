"""The port to a message server: bytes, subjects, a stored stream, key-value buckets.

It has two implementations and one conformance suite: `nats_transport.NatsTransport`, and the fake in
`seaway_testing.fake_transport`. Subscribers' callbacks are plain functions. They run in the order in which the server
sent the messages, and leave long work to tasks. So a read that follows an event sees the event's effect.
"""

import re
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

from seaway_contracts.channels import BucketConfig, StreamConfig


class TransportError(Exception):
    """The server could not do it; a retry may succeed later."""


class NotConnected(TransportError):
    """There is no connection to the server just now."""


class NoResponders(TransportError):
    """Nobody serves that subject just now."""


class RequestTimeout(TransportError):
    """No answer came in time; whether the request was carried out is unknown."""


class TooLarge(TransportError):
    """The message is larger than the server takes."""


class NoSpace(TransportError):
    """The server's storage is full."""


class WrongRevision(Exception):
    """A key is not at the revision that the write expected; `create` found it present."""


@dataclass(frozen=True, slots=True)
class Message:
    """A received message. `stream_seq` is its place in the stored stream, 0 when it came live."""

    subject: str
    data: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    reply: str = ""
    stream_seq: int = 0
    stored_ns: int = 0


@dataclass(frozen=True, slots=True)
class StreamSize:
    """A stream's size and limit in bytes (`most` 0: no limit), its first and last sequence number."""

    size: int
    most: int
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Entry:
    """A bucket's value and the revision it was written at."""

    key: str
    value: bytes
    revision: int


_KEY: Final = re.compile(r"[A-Za-z0-9_-]{1,512}")


def check_key(key: str) -> str:
    """Return `key` if it may stand in a bucket; raise ValueError otherwise."""
    if not _KEY.fullmatch(key):
        raise ValueError(f"{key!r} is no key: use 1 to 512 of A-Z a-z 0-9 _ -")
    return key


Callback = Callable[[Message], None]
STORE_S: Final = 5.0  # without an acknowledgement a publisher sends its event again after this
FLUSH_S: Final = 5.0
_HEADER_FRAME: Final = 12  # `NATS/1.0` and two line ends


def wire_size(data: bytes, headers: Mapping[str, str] | None) -> int:
    """How many bytes of a message count against the server's limit."""
    lines = sum(len(name) + len(value.encode()) + 4 for name, value in (headers or {}).items())
    return len(data) + (lines + _HEADER_FRAME if headers else 0)


class Subscription(Protocol):
    """What `subscribe` returns; `close` ends it."""

    async def close(self) -> None:
        """Stop the deliveries. Safe to call twice and without a connection."""


class Bucket(Protocol):
    """A key-value bucket. Decide by `create` and `update`, not by `get`: the value may have changed since."""

    async def get(self, key: str) -> Entry | None:
        """The entry, or None."""

    async def create(self, key: str, value: bytes) -> int:
        """Write a key that isn't there; its revision. Raises WrongRevision if it is."""

    async def update(self, key: str, value: bytes, revision: int) -> int:
        """Replace exactly that revision; the new revision. Raises WrongRevision otherwise."""

    async def put(self, key: str, value: bytes) -> int:
        """Write whatever is there; the new revision."""

    async def delete(self, key: str, revision: int | None = None) -> None:
        """Remove a key (only that revision: raises WrongRevision otherwise); a missing key is no error."""

    def entries(self) -> AsyncIterator[Entry]:
        """All entries, in no order."""


class Transport(Protocol):
    """A connection to the server. Reconnects by itself, for ever; `publish` never blocks on a lost connection."""

    @property
    def connected(self) -> bool:
        """Whether there is a connection now."""

    @property
    def trouble(self) -> str:
        """Why there is no connection, and for how long; empty while there is one."""

    @property
    def clustered(self) -> bool:
        """Whether the server is in a cluster: messages can be lost between servers while this connection stands."""

    @property
    def max_payload(self) -> int:
        """The largest message that the server takes, in bytes."""

    def send(self, subject: str, data: bytes, headers: Mapping[str, str] | None = None) -> None:
        """Publish without waiting, however much is buffered. Raises NotConnected, TooLarge."""

    async def publish(self, subject: str, data: bytes, headers: Mapping[str, str] | None = None) -> None:
        """Publish to all current subscribers. Raises NotConnected, TooLarge."""

    async def request(
        self, subject: str, data: bytes, headers: Mapping[str, str], timeout_s: float, node: str = ""
    ) -> Message:
        """Send a request and return the first answer. Raises NotConnected, NoResponders, RequestTimeout, TooLarge.

        `node`: the node whose agent is asked. It answers on a subject of its own node, not on this client's inbox.
        """

    async def ask_all(self, subject: str, data: bytes, wait_s: float) -> list[Message]:
        """Send a request that several processes answer; all answers that come within this time. Raises NotConnected."""

    async def subscribe(self, subject: str, callback: Callback, queue: str = "") -> Subscription:
        """Call `callback` with each matching message; with `queue`, each message goes to one member of that group."""

    async def store(self, subject: str, data: bytes, headers: Mapping[str, str], timeout_s: float = STORE_S) -> int:
        """Publish and wait until the stream has it on disk; its sequence number there.

        A repeat (same `MSG_ID`) is dropped by the server and counts as stored.
        Raises NotConnected, RequestTimeout, NoResponders (no such stream), NoSpace, TooLarge.
        """

    async def ensure_stream(self, config: StreamConfig, replicas: int = 1) -> None:
        """Make the stream or update its configuration; smaller if there is less room. Raises NoSpace."""

    async def last(self, stream: str, subject: str) -> Message | None:
        """The newest stored message of a subject; None where there is none."""

    async def last_sequence(self, stream: str) -> int:
        """The sequence number of the newest stored message; 0 when there is none."""

    async def stream_size(self, stream: str) -> StreamSize:
        """The stream's size and limits."""

    async def purge(self, stream: str, subject: str, up_to: int) -> int:
        """Remove the matching messages up to and including a sequence number; how many there were."""

    def replay(
        self, stream: str, subject: str, *, start_seq: int = 0, start_ns: int = 0, follow: bool = False
    ) -> AsyncIterator[Message]:
        """The matching stored messages from a sequence number or a time on, up to the newest at the call.

        `follow`: then each new one as it is stored, without an end; raises TransportError when the connection is lost.
        A slow reader holds at most what the server sends without its permission (some MiB).
        """

    async def bucket(self, config: BucketConfig, replicas: int = 1) -> Bucket:
        """The bucket; make it or update its configuration first."""

    def on_disconnect(self, callback: Callable[[], None]) -> None:
        """Have `callback` called when the connection is lost, before a later connection delivers anything."""

    def on_reconnect(self, callback: Callable[[], None]) -> None:
        """Have `callback` called after each reconnection: messages may have been missed."""

    async def flush(self, timeout_s: float = FLUSH_S, meanwhile: Callable[[], object] | None = None) -> None:
        """Wait until the server has all that was sent, and all that it sent before has arrived.

        `meanwhile` is called when the server has been asked. Raises NotConnected, RequestTimeout.
        """

    async def close(self) -> None:
        """Send what is buffered and disconnect."""
