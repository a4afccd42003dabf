"""Logins at a suite's own NATS server, as the users that `seaway up` and `seaway node add` have made."""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, TypeVar

import nats
from nats.aio.client import Client
from nats.aio.msg import Msg

from seaway_bus.bus import Bus
from seaway_bus.nats_client import LastingClient
from seaway_testing.waiting import GUARD_S

if TYPE_CHECKING:
    from conftest import TinySuite

T = TypeVar("T")


def nats_url(suite: "TinySuite") -> str:
    return f"nats://127.0.0.1:{json.loads((suite.root / 'suite.json').read_text())['nats_port']}"


def password(suite: "TinySuite", user: str) -> str:
    return (suite.root / "secrets" / user).read_text().strip()


@contextlib.asynccontextmanager
async def bus_of(suite: "TinySuite", user: str) -> AsyncIterator[Bus]:
    """The typed bus, as that user's process has it."""
    bus = await Bus.connect(nats_url(suite), name="test", user=user, password=password(suite, user))
    try:
        yield bus
    finally:
        await bus.close()


@contextlib.asynccontextmanager
async def logged_in(suite: "TinySuite", user: str) -> AsyncIterator[tuple[LastingClient, list[str]]]:
    """A connection as that user, and what the server refuses it."""
    refused: list[str] = []

    async def failed(error: Exception) -> None:
        refused.append(str(error))

    client = LastingClient()
    words = {"user": user, "password": password(suite, user), "inbox_prefix": f"_INBOX.{user}"}
    await client.connect(nats_url(suite), error_cb=failed, **words)
    try:
        yield client, refused
    finally:
        await client.close()


async def refusals(
    suite: "TinySuite", user: str, publish: Iterable[str] = (), subscribe: Iterable[str] = ()
) -> list[str]:
    """Which of these the server refuses."""
    found = []
    async with logged_in(suite, user) as (client, refused):
        for direction, subjects in (("publish", publish), ("subscribe", subscribe)):
            for subject in subjects:
                before = len(refused)
                if direction == "publish":
                    client.send(subject, b"{}")
                else:
                    client.listen(subject, print)
                await client.flush()
                if len(refused) > before:
                    assert direction in refused[-1].lower() or "subscription" in refused[-1].lower()
                    found.append(subject)
    return found


@contextlib.asynccontextmanager
async def foreign(suite: "TinySuite", user: str) -> AsyncIterator[Client]:
    """A connection as that user with nats-py itself, as who has taken over its password would make it."""

    async def failed(error: Exception) -> None:
        """It tries what is refused: that is the test's to look at."""

    words = {"user": user, "password": password(suite, user), "inbox_prefix": f"_INBOX.{user}"}
    client = await nats.connect(nats_url(suite), error_cb=failed, **words)
    try:
        yield client
    finally:
        await client.close()


async def hearing(client: Client, *subjects: str) -> list[Msg]:
    """What comes on these subjects from now on."""
    heard: list[Msg] = []

    async def hear(message: Msg) -> None:
        heard.append(message)

    for subject in subjects:
        await client.subscribe(subject, cb=hear)
    await settled(client)
    return heard


async def settled(*clients: Client) -> None:
    """The server has all that these have sent, each after the other, and they have heard all that came of it before.

    nats-py's ping overtakes what its client has still to send: only a second one comes behind that.
    """
    for client in clients:
        for _ in range(2):
            await client.flush()


async def eventually(ask: Callable[[], Awaitable[T]], holds: Callable[[T], bool]) -> None:
    """Ask until the answer is as it should be; raises AssertionError when it isn't in time."""
    limit = time.monotonic() + GUARD_S
    while not holds(found := await ask()):
        assert time.monotonic() < limit, found
        await asyncio.sleep(0.02)


async def done(client: Client, subject: str, body: bytes) -> None:
    """Ask until it is done: a service refuses what is too much at once."""
    await eventually(lambda: client.request(subject, body, timeout=5), lambda answer: not answer.headers)
