"""The events as the stream keeps them, with the numbers that the Engine API doesn't show."""

import asyncio
import contextlib
import json
import ssl
from collections.abc import AsyncIterator, Iterable
from datetime import UTC, datetime
from typing import Protocol

import nats
from nats.aio.client import Client as NatsClient
from nats.js.api import ConsumerConfig, DeliverPolicy


class OnTheBus(Protocol):
    """Whose stream it is, and a login that may read it."""

    @property
    def nats_url(self) -> str:
        """One address or several."""

    @property
    def login(self) -> tuple[str, str]:
        """User and password."""


_STREAM = "SEAWAY_EVENTS"
_NOUN, _ACTION, _CONTAINER = 4, 5, 6
_MESSAGE_S = 10


def check(suite: OnTheBus, since: float, containers: Iterable[str]) -> int:
    """Each of these containers, created since then, has events that are numbered from 1 on, each of them once.

    How many events there are of all of them.
    """
    told = numbered(suite.nats_url, suite.login, since)
    wrong = {}
    for container in containers:
        rows = told.get(container, [])
        if [seq for seq, _ in rows] != list(range(1, len(rows) + 1)) or not rows:
            wrong[container] = rows
    assert wrong == {}, wrong
    return sum(len(told[container]) for container in containers)


def numbered(
    nats_url: str, login: tuple[str, str], since: float, tls: ssl.SSLContext | None = None
) -> dict[str, list[tuple[int, str]]]:
    """Number and action of each container's events since then, in the order of the stream."""
    return asyncio.run(_read(nats_url, login, since, tls))


def clock(suite: OnTheBus) -> float:
    """What the server takes for Unix time."""
    return asyncio.run(_clock(suite))


async def _clock(suite: OnTheBus) -> float:
    async with _connected(suite.nats_url, suite.login) as connection:
        reply = await connection.request(f"$JS.API.STREAM.INFO.{_STREAM}", timeout=_MESSAGE_S)
    stamp = str(json.loads(reply.data)["ts"])
    return datetime.fromisoformat(stamp[:19] + "+00:00").timestamp()


def keys(nats_url: str, login: tuple[str, str], bucket: str) -> set[str]:
    """The keys of a bucket, which the services may read."""

    async def read() -> set[str]:
        async with _connected(nats_url, login) as connection:
            store = await connection.jetstream().key_value(bucket)
            return set(await store.keys())

    return asyncio.run(read())


@contextlib.asynccontextmanager
async def _connected(
    nats_url: str, login: tuple[str, str], tls: ssl.SSLContext | None = None
) -> AsyncIterator[NatsClient]:
    user, password = login
    servers, inbox = nats_url.split(","), f"_INBOX.{user or 'any'}"
    connection = await nats.connect(servers, user=user, password=password, inbox_prefix=inbox, tls=tls)
    try:
        yield connection
    finally:
        await connection.close()


async def _read(
    nats_url: str, login: tuple[str, str], since: float, tls: ssl.SSLContext | None
) -> dict[str, list[tuple[int, str]]]:
    async with _connected(nats_url, login, tls) as connection:
        context = connection.jetstream()
        last = (await context.stream_info(_STREAM)).state.last_seq
        start = datetime.fromtimestamp(since, UTC)
        config = ConsumerConfig(deliver_policy=DeliverPolicy.BY_START_TIME, opt_start_time=start)
        events = await context.subscribe("seaway.v1.event.>", stream=_STREAM, ordered_consumer=True, config=config)
        found: dict[str, list[tuple[int, str]]] = {}
        seen = 0
        while seen < last:
            message = await events.next_msg(timeout=_MESSAGE_S)
            seen = message.metadata.sequence.stream
            tokens = message.subject.split(".")
            if tokens[_NOUN] == "container":
                row = int((message.headers or {})["ce-sequence"]), tokens[_ACTION]
                found.setdefault(tokens[_CONTAINER], []).append(row)
        return found
