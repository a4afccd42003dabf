"""A key-value bucket on a JetStream stream (NATS ADR-8): each key is a subject that keeps its last message."""

from base64 import b64decode
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, Final, Protocol

from seaway_bus.nats_errors import NoMessage, NotDeleted
from seaway_bus.transport import Entry, Message, TransportError, WrongRevision, check_key

EXPECTED: Final = "Nats-Expected-Last-Subject-Sequence"
_OPERATION: Final = "KV-Operation"
_STATUS: Final = "Status"
_SEQUENCE: Final = "Nats-Sequence"

Api = Callable[[str, dict[str, Any]], Awaitable[dict[str, Any]]]


class Server(Protocol):
    """What a bucket needs of the transport."""

    async def look(self, subject: str) -> Message: ...

    async def store(self, subject: str, data: bytes, headers: Mapping[str, str], timeout_s: float = 5.0) -> int: ...

    def replay(self, stream: str, subject: str, *, start_seq: int = 0, start_ns: int = 0) -> AsyncIterator[Message]: ...


class NatsBucket:
    """A bucket of history 1.

    To delete a key, it deletes the key's one message, at exactly the revision that was read. That is atomic and leaves
    no tombstone: a bucket doesn't grow with deleted keys, and the next `create` is one round trip.

    With several replicas it reads from the leader: another replica may lag, and a key that is missing there would count
    as gone.
    """

    def __init__(self, server: Server, api: Api, name: str, replicas: int = 1) -> None:
        self._server = server
        self._api = api
        self._replicas = replicas
        self._stream = f"KV_{name}"
        self._prefix = f"$KV.{name}."

    async def get(self, key: str) -> Entry | None:
        subject = self._prefix + check_key(key)
        return await (self._get(key, subject) if self._replicas == 1 else self._get_from_leader(key, subject))

    async def _get_from_leader(self, key: str, subject: str) -> Entry | None:
        try:
            answer = await self._api(f"STREAM.MSG.GET.{self._stream}", {"last_by_subj": subject})
        except NoMessage:
            return None
        message = answer["message"]
        if _OPERATION.encode() in b64decode(message.get("hdrs", "")):
            return None
        return Entry(key, b64decode(message.get("data", "")), int(message["seq"]))

    async def _get(self, key: str, subject: str) -> Entry | None:
        found = await self._server.look(f"$JS.API.DIRECT.GET.{self._stream}.{subject}")
        status = found.headers.get(_STATUS, "")
        if status == "404" or _OPERATION in found.headers:
            return None
        if status:
            raise TransportError(f"{key} can't be read: {found.headers.get('Description', status)}")
        return Entry(key, found.data, int(found.headers[_SEQUENCE]))

    async def create(self, key: str, value: bytes) -> int:
        return await self._write(key, value, {EXPECTED: "0"})

    async def update(self, key: str, value: bytes, revision: int) -> int:
        return await self._write(key, value, {EXPECTED: str(revision)})

    async def put(self, key: str, value: bytes) -> int:
        return await self._write(key, value, {})

    async def _write(self, key: str, value: bytes, headers: Mapping[str, str]) -> int:
        return await self._server.store(self._prefix + check_key(key), value, headers)

    async def delete(self, key: str, revision: int | None = None) -> None:
        at = revision
        while at is None or not await self._remove(at):
            found = await self.get(key)
            if found is None:
                return
            if revision is not None and found.revision != revision:
                raise WrongRevision(key)
            if found.revision == at:
                raise TransportError(f"the server does not delete {key} from {self._stream}")
            at = found.revision

    async def _remove(self, revision: int) -> bool:
        """Delete one message by its sequence number; False where it isn't there any more."""
        try:
            await self._api(f"STREAM.MSG.DELETE.{self._stream}", {"seq": revision, "no_erase": True})
        except NotDeleted:
            return False
        return True

    async def entries(self) -> AsyncIterator[Entry]:
        async for message in self._server.replay(self._stream, f"{self._prefix}>"):
            if _OPERATION not in message.headers:
                yield Entry(message.subject.removeprefix(self._prefix), message.data, message.stream_seq)
