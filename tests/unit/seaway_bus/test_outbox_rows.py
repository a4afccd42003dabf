"""Events of one container in a row, whatever becomes of each sending and of its answer."""

import asyncio
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from unittest.mock import patch

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from seaway_bus import outbox_doubt
from seaway_bus.feed import history
from seaway_bus.outbox import Outbox
from seaway_bus.transport import STORE_S, NotConnected, RequestTimeout
from seaway_contracts.catalogue import CONTAINER_DIE, CONTAINER_STATUS, EVENT_STREAM
from seaway_contracts.lifecycle import LAST_MSG_ID
from seaway_kit.tasks import Tasks
from seaway_testing.builders import container_event, container_id, status
from seaway_testing.fake_transport import FakeServer, FakeTransport
from seaway_testing.waiting import GUARD_S

FATES = ("well", "unheard", "lost", "away", "behind another", "well, and then ids are forgotten")
_EVER = 1 << 62


class Fateful(FakeTransport):
    """Each sending has the next of the fates; those behind them go well."""

    def __init__(self, server: FakeServer, fates: list[str]) -> None:
        super().__init__(server)
        self.fates = fates
        self.strangers = 0
        self.sendings: list[tuple[str, bool]] = []

    async def store(self, subject: str, data: bytes, headers: Mapping[str, str], timeout_s: float = STORE_S) -> int:
        fate = self.fates.pop(0) if self.fates else "well"
        self.sendings.append((fate, LAST_MSG_ID in headers))
        if fate == "away":
            raise NotConnected("away")
        if fate == "lost":
            await self.round_trip()
            raise RequestTimeout("lost")
        if fate == "behind another":
            self._stranger()
        seq = await super().store(subject, data, headers, timeout_s)
        if fate == "well, and then ids are forgotten":
            self._server.streams[EVENT_STREAM.name].ids.clear()
            outbox_doubt._REMEMBERED_NS = -_EVER  # type: ignore[misc]
        if fate == "unheard":
            raise RequestTimeout("unheard")
        return seq

    def _stranger(self) -> None:
        self.strangers += 1
        envelope, body = container_event("status", status(seq=self.strangers), seed=2)
        subject = CONTAINER_STATUS.subject(envelope.node, envelope.subject_id)
        self._server.keep(subject, CONTAINER_STATUS.encode(body), envelope.headers())


async def _publish(transport: FakeTransport, groups: list[int]) -> None:
    """Events of one container, so many at once, their kinds in turns."""
    tasks = Tasks("test")
    with closing(sqlite3.connect(":memory:")) as db:
        outbox = Outbox(db, transport, tasks)
        outbox.start()
        number = 0
        for group in groups:
            with db:
                for _ in range(group):
                    number += 1
                    channel = CONTAINER_STATUS if number % 3 else CONTAINER_DIE
                    outbox.add(channel, *container_event(channel.action, status(seq=number)))
            outbox.kick()
            await asyncio.sleep(0)
        assert await outbox.flush(GUARD_S)
        assert (len(outbox), outbox.size, db.execute("SELECT count(*) FROM outbox").fetchone()) == (0, 0, (0,))
        await tasks.close()


async def _stored(transport: FakeTransport, seed: int = 1) -> list[int]:
    events = [event.envelope async for event in history(transport, start_ns=0)]
    return [event.seq for event in events if event.subject_id == container_id(seed)]


@given(
    fates=st.lists(st.sampled_from(FATES), max_size=30),
    groups=st.lists(st.integers(1, 20), min_size=1, max_size=5),
)
@example(fates=["unheard", "unheard", "unheard", "well, and then ids are forgotten"], groups=[3])
def test_each_is_stored_once_and_in_order(fates: list[str], groups: list[int]) -> None:
    """Also where the stream forgets ids, and takes any repeat."""

    async def play() -> list[int]:
        transport = Fateful(FakeServer(), fates)
        await transport.ensure_stream(EVENT_STREAM)
        await _publish(transport, groups)
        return await _stored(transport)

    with patch("seaway_bus.outbox._RETRY_S", (0.0,)), patch.object(outbox_doubt, "_REMEMBERED_NS", _EVER):
        assert asyncio.run(play()) == list(range(1, sum(groups) + 1))


async def test_what_comes_together_goes_together(fake_server: FakeServer) -> None:
    transport = Fateful(fake_server, [])
    await transport.ensure_stream(EVENT_STREAM)
    await _publish(transport, [20])
    assert [in_a_row for _, in_a_row in transport.sendings] == [False, *[True] * 15, False, *[True] * 3]
    assert await _stored(transport) == list(range(1, 21))


async def test_on_a_cluster_each_goes_alone(fake_server: FakeServer) -> None:
    """It would take what it has refused for a repeat from then on."""
    fake_server.clustered = True
    transport = Fateful(fake_server, ["behind another"])
    await transport.ensure_stream(EVENT_STREAM)
    await _publish(transport, [5])
    assert [in_a_row for _, in_a_row in transport.sendings] == [False] * 5
    assert await _stored(transport) == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    ("fate", "in_a_row"),
    [
        ("unheard", [False, True, True, True]),  # what was taken behind it says that it was taken
        ("lost", [False, True, True, True, False, False, True]),
        ("behind another", [False, True, True, True, False, False, True]),
    ],
)
async def test_what_is_not_taken_goes_alone(fake_server: FakeServer, fate: str, in_a_row: list[bool]) -> None:
    transport = Fateful(fake_server, ["well", fate])
    await transport.ensure_stream(EVENT_STREAM)
    await _publish(transport, [4])
    assert await _stored(transport) == [1, 2, 3, 4]
    assert [one for _, one in transport.sendings] == in_a_row
