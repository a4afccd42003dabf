"""The streams of users: in each user's account one that follows the suite's, made and kept by metadata.

A stream with a source, and not a mirror: clients find a stream by the subjects that it has, and a mirror has none. Its
own subject is one on which nobody can publish, so that all that it stores comes from the source, in the source's order.
"""

import json
import time
from typing import Any, Final

from seaway_bus.nats_errors import NoSuchStream, answer_of
from seaway_bus.transport import NoResponders, RequestTimeout, Transport, TransportError
from seaway_contracts.catalogue import EVENT_STREAM, USER_API, USER_SOURCE, USER_STORED
from seaway_contracts.channels import ROOT
from seaway_contracts.users import BusUser, StreamState, account_of_user

SUBJECT: Final = f"{ROOT}.event.*.*.*.{'~' * 4096}"
"""It overlaps what clients look a stream up by (`seaway.v1.event.*.container.die.*`).

It is too long to be a reply subject: NATS takes no line of a client above 4096 bytes (max_control_line). JetStream
answers to whatever reply subject a request has, so by a shorter one a user could fill its own stream.
"""
_OWNER: Final = "seaway-user"
_UNWANTED: Final = ("republish", "mirror", "subject_transform")
_ANSWER_S: Final = 2.0
_BETWEEN_S: Final = 3.0
_SILENT_NS: Final = 10 * 10**9
_NS: Final = 10**9


def reader_stream(user: BusUser, replicas: int) -> dict[str, Any]:
    """The stream's configuration, as the JetStream API takes it. What it may read of the source, metadata decides."""
    account = user.account
    external = {"api": USER_SOURCE.format(account=account), "deliver": USER_STORED.format(account=account)}
    return {
        "name": EVENT_STREAM.name,
        "subjects": [SUBJECT],
        "retention": "limits",
        "max_age": EVENT_STREAM.max_age_s * _NS,
        "max_bytes": user.keep,
        "duplicate_window": EVENT_STREAM.duplicate_window_s * _NS,
        "discard": "old",
        "storage": "file",
        "num_replicas": replicas,
        "allow_direct": True,
        "sources": [{"name": EVENT_STREAM.name, "external": external}],
        "metadata": {_OWNER: str(user.created_ns)},
    }


def fits(found: dict[str, Any], wanted: dict[str, Any]) -> bool:
    """Whether a stream that is there has the configuration that it should have."""
    words = set(wanted) - {"metadata", "sources"}
    same = all(found.get(word) == wanted[word] for word in words)
    (source,) = wanted["sources"]
    sources = [{word: one.get(word) for word in source} for one in found.get("sources") or ()]
    unwanted = any(found.get(word) for word in _UNWANTED) or found.get("sealed")
    return same and sources == [source] and not unwanted and is_of(found, wanted)


def is_of(found: dict[str, Any], wanted: dict[str, Any]) -> bool:
    """Whether it is this user's, and not left of an earlier one of the same name."""
    return bool((found.get("metadata") or {}).get(_OWNER) == wanted["metadata"][_OWNER])


def is_fed(info: dict[str, Any]) -> bool:
    """Whether the suite's stream was heard of lately: it says that it is there every second."""
    return any(0 <= int(source.get("active", -1)) < _SILENT_NS for source in info.get("sources") or ())


class ReaderStreams:
    """Makes, repairs and removes them. All methods but `state` raise TransportError."""

    def __init__(self, transport: Transport, replicas: int) -> None:
        self._transport = transport
        self._replicas = replicas
        self._fed: dict[str, float] = {}

    async def ensure(self, user: BusUser) -> bool:
        """Have the stream be there as it should be, and be fed; whether anything was changed.

        A stream of an earlier user of that name is removed with its consumers.
        """
        wanted = reader_stream(user, self._replicas)
        try:
            info = await self._ask(user.name, "STREAM.INFO")
            found = info["config"]
        except NoSuchStream:
            info, found = {}, None
        if found is not None and fits(found, wanted):
            return not is_fed(info) and await self._feed(user, wanted)
        if found is not None and is_of(found, wanted):
            try:
                await self._ask(user.name, "STREAM.UPDATE", wanted)
                return True
            except (NoResponders, RequestTimeout):
                raise
            except TransportError:
                pass  # what can't be changed is made anew
        if found is not None:
            await self.remove(user.name)
        await self._ask(user.name, "STREAM.CREATE", wanted)
        return True

    async def _feed(self, user: BusUser, wanted: dict[str, Any]) -> bool:
        """Have the stream ask for its consumer now; whether it does.

        Where nobody has answered (metadata was not there yet, or the account not connected), NATS asks again only after
        40 s. A source that is taken away and given back continues behind its last message.
        """
        now = time.monotonic()
        if now - self._fed.get(user.name, -_BETWEEN_S) < _BETWEEN_S:
            return False
        self._fed[user.name] = now
        await self._ask(user.name, "STREAM.UPDATE", wanted | {"sources": []})
        await self._ask(user.name, "STREAM.UPDATE", wanted)
        return True

    async def remove(self, name: str) -> None:
        """Remove the stream of the user of that name, with its consumers."""
        try:
            await self._ask(name, "STREAM.DELETE")
        except NoSuchStream:
            pass

    async def state(self, name: str) -> StreamState | None:
        """What the stream holds; None where it can't be asked."""
        try:
            found = await self._ask(name, "STREAM.INFO")
        except TransportError:
            return None
        state = found["state"]
        behind = sum(int(source.get("lag", 0)) for source in found.get("sources") or ())
        return StreamState(
            messages=state["messages"],
            bytes=state["bytes"],
            consumers=state["consumer_count"],
            pending=behind,
            is_fed=is_fed(found),
        )

    async def _ask(self, name: str, verb: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        subject = f"{USER_API.format(account=account_of_user(name))}.{verb}.{EVENT_STREAM.name}"
        data = json.dumps(body).encode() if body is not None else b""
        return answer_of(await self._transport.request(subject, data, {}, _ANSWER_S))
