"""Shares of the stream of events: what one node floods is its own to lose."""

import dataclasses
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seaway_bus.transport import StreamSize
from seaway_contracts.catalogue import EVENT_STREAM, SHARES_BUCKET
from seaway_contracts.channels import BucketConfig
from seaway_metadata.events import history as history_module
from seaway_metadata.events.history import History
from seaway_metadata.events.history_share import Mark, Marks, kept, purges
from seaway_testing.fake_transport import FakeServer, FakeTransport

NODES = ("a", "b", "c")


def full(size: int, most: int = 1000, first: int = 1) -> StreamSize:
    return StreamSize(size, most, first, 10_000)


def marks(*pairs: tuple[int, int]) -> Marks:
    return Marks(marks=tuple(Mark(seq=seq, size=size) for seq, size in pairs))


def test_where_there_is_room_nothing_goes() -> None:
    assert purges({"a": marks((1, 800), (2, 70))}, full(870)) == []
    assert purges({"a": marks((1, 800), (2, 70))}, full(10_000, most=0)) == []


def test_the_largest_gives_way_with_its_oldest() -> None:
    nodes = {"a": marks((10, 300), (20, 300), (30, 100)), "b": marks((5, 100), (25, 100))}
    (purge,) = purges(nodes, full(900))
    assert (purge.node, purge.up_to) == ("a", 10)


def test_what_the_stream_has_discarded_counts_no_more() -> None:
    assert kept(marks((1, 5), (7, 6)), 2) == marks((7, 6))
    nodes = {"a": marks((1, 900), (50, 10), (60, 10)), "b": marks((40, 100), (70, 100))}
    assert {purge.node for purge in purges(nodes, full(900, first=30))} == {"b"}


@given(
    st.fixed_dictionaries(
        {node: st.dictionaries(st.integers(1, 99), st.integers(1, 200), max_size=8) for node in NODES}
    )
)
def test_no_node_gives_up_what_is_less_than_anothers_rest(sizes: dict[str, dict[int, int]]) -> None:
    """Whoever loses something had, at that moment, at least as much as everybody else."""
    nodes = {node: marks(*sorted(pairs.items())) for node, pairs in sizes.items()}
    before = {node: sum(mark.size for mark in one.marks) for node, one in nodes.items()}
    whole = sum(before.values())
    found = purges(nodes, full(whole, most=max(1, whole)))
    gone = {purge.node: purge.up_to for purge in found}
    for node, up_to in gone.items():
        last = [mark for mark in nodes[node].marks if mark.seq <= up_to][-1]
        rest = sum(mark.size for mark in nodes[node].marks if mark.seq > up_to)
        for other in NODES:
            lost = sum(mark.size for mark in nodes[other].marks if mark.seq <= gone.get(other, 0))
            assert rest + last.size >= before[other] - lost or len(nodes[other].marks) < 2 or other == node


@pytest.fixture
async def rig(fake_server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> tuple[FakeTransport, History]:
    monkeypatch.setattr(history_module, "MARK_BYTES", 2_000)
    transport = FakeTransport(fake_server)
    await transport.ensure_stream(dataclasses.replace(EVENT_STREAM, max_bytes=20_000))
    config: BucketConfig = SHARES_BUCKET
    return transport, History(transport, await transport.bucket(config))


async def test_a_flood_costs_the_flooder_its_own_history(rig: tuple[FakeTransport, History], tmp_path: Path) -> None:
    transport, history = rig

    async def store(node: str, number: int, size: int) -> None:
        subject = f"seaway.v1.event.{node}.container.status.{number}"
        await transport.store(subject, b"x" * size, {"Nats-Msg-Id": f"{node}-{number}"})
        history.stored(node, size + 100)
        while history._due:
            await history._mark(next(iter(history._due)))
        await history.make_room()

    for number in range(10):
        await store("quiet", number, 400)
    for number in range(200):
        await store("loud", number, 500)
    found: dict[str, list[int]] = {}
    async for message in transport.replay(EVENT_STREAM.name, "seaway.v1.event.>"):
        found.setdefault(message.subject.split(".")[3], []).append(int(message.subject.split(".")[-1]))
    assert found["quiet"] == list(range(10))
    assert found["loud"] == list(range(200 - len(found["loud"]), 200)), "its newest are there"
    assert (await transport.stream_size(EVENT_STREAM.name)).size <= 20_000


async def test_a_restart_goes_on_from_what_was_noted(rig: tuple[FakeTransport, History]) -> None:
    transport, first = rig
    await transport.store("seaway.v1.event.n1.node.up.n1", b"x", {"Nats-Msg-Id": "1"})
    for one, size in ((first, 5_000), (History(transport, first._shares), 2_500)):
        one.stored("n1", size)
        await one._mark("n1")
    entry = await first._shares.get("n1")
    assert [mark.size for mark in history_module._marks(entry).marks] == [5_000, 2_500]
