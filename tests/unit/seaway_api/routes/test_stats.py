"""Stats over the API: one feed per node for all clients, frames with rates, ends of all kinds."""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

import orjson
import pytest

from seaway_api.cache import stats_feeds as feeds
from seaway_bus.bus import Bus
from seaway_bus.streams import ByteStream
from seaway_contracts.containers import State
from seaway_contracts.errors import SeawayError, unavailable
from seaway_contracts.stats import Sample, SampleBatch, WatchedContainers
from seaway_kit.tasks import cancel
from seaway_testing import builders
from seaway_testing.waiting import until

ID = builders.container_id(1)
SECOND_NS = 1_000_000_000
T0 = builders.START_NS


class FakeNode:
    """The other end of a feed: what it was asked to watch, and what it sends when told to."""

    def __init__(self) -> None:
        self.streams: list[ByteStream] = []
        self.wanted: set[str] = set()
        self.ended = 0

    async def play(self, stream: ByteStream) -> None:
        self.streams.append(stream)
        rest = b""
        try:
            while data := await stream.read():
                *lines, rest = (rest + data).split(b"\n")
                for line in lines:
                    change = WatchedContainers.model_validate_json(line)
                    self.wanted = (self.wanted | set(change.add)) - set(change.drop)
        except SeawayError:
            pass
        self.ended += 1

    async def send(self, second: int, *, idle: bool = False, gone: tuple[str, ...] = ()) -> None:
        time_ns = 0 if idle else T0 + second * SECOND_NS
        sample = Sample(id=ID, name="box1", time_ns=time_ns, cpu_usage_ns=100 * second, memory_usage=5)
        batch = SampleBatch(samples=() if gone else (sample,), gone=gone, host_cpu_ns=1000 * second, host_cpus=2)
        await self.streams[-1].write(batch.model_dump_json().encode() + b"\n")


@pytest.fixture
def node(rig: Any) -> FakeNode:
    made = FakeNode()
    rig.suite.stats = made.play
    rig.suite.add(builders.record(1, seq=3, state=State.RUNNING))
    return made


async def follow(rig: Any, query: str = "") -> Any:
    wire = await rig.wire()
    wire.send(f"GET /containers/box1/stats{query} HTTP/1.1\r\nHost: d\r\n\r\n".encode())
    return wire


async def watched(node: FakeNode) -> None:
    await until(lambda: node.wanted == {ID})


async def test_frames_follow_each_other(rig: Any, node: FakeNode) -> None:
    wire = await follow(rig)
    await wire.head()
    await watched(node)
    frames = []
    for second in (1, 2, 3):
        await node.send(second)
        frames.append(orjson.loads(await wire.chunk()))
    assert frames[0]["preread"] == "0001-01-01T00:00:00Z"
    assert frames[2]["preread"] == frames[1]["read"]
    assert frames[2]["precpu_stats"] == frames[1]["cpu_stats"]
    assert frames[2]["name"] == "/box1"


async def test_a_feed_makes_no_stream_that_it_does_not_open(
    rig: Any, node: FakeNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was made may have been given another's subscription, which only its close gives back."""
    made: list[ByteStream] = []
    real = Bus.new_stream

    def new_stream(self: Bus, *about: Any) -> ByteStream:
        made.append(real(self, *about))
        return made[-1]

    monkeypatch.setattr(Bus, "new_stream", new_stream)
    await (await follow(rig)).head()
    await watched(node)
    assert [stream.id for stream in made] == [stream.id for stream in node.streams]


async def test_clients_share_one_feed_and_the_last_one_ends_it(rig: Any, node: FakeNode) -> None:
    wires = [await follow(rig) for _ in range(3)]
    for wire in wires:
        await wire.head()
    await watched(node)
    await node.send(1)
    assert len({await wire.chunk() for wire in wires}) == 1
    assert len(node.streams) == 1
    for wire in wires[1:]:
        wire.close()
    await node.send(2)
    await wires[0].chunk()
    assert node.ended == 0
    wires[0].close()
    await until(lambda: node.ended == 1)
    await until(lambda: len(rig.api.stats) == 0)


async def test_a_single_one_has_rates(rig: Any, node: FakeNode) -> None:
    asking = asyncio.ensure_future(rig.call("GET", "/containers/box1/stats?stream=0"))
    await watched(node)
    for second in (1, 2):
        await node.send(second)
    found = (await asking).json
    assert (found["cpu_stats"]["cpu_usage"]["total_usage"], found["precpu_stats"]["system_cpu_usage"]) == (200, 1000)
    await until(lambda: node.ended == 1)


async def test_one_shot_has_none(rig: Any, node: FakeNode) -> None:
    asking = asyncio.ensure_future(rig.call("GET", "/containers/box1/stats?stream=0&one-shot=1"))
    await watched(node)
    await node.send(1)
    found = (await asking).json
    assert (found["cpu_stats"]["online_cpus"], "system_cpu_usage" in found["precpu_stats"]) == (2, False)
    answer = await rig.call("GET", "/containers/box1/stats?stream=1&one-shot=1")
    assert (answer.status, answer.json["message"]) == (400, "cannot have stream=true and one-shot=true")


async def test_what_does_not_run_is_answered_without_the_node(rig: Any, node: FakeNode) -> None:
    rig.suite.add(builders.record(1, seq=4, state=State.EXITED))
    found = (await rig.call("GET", "/containers/box1/stats?stream=0")).json
    assert (found["read"], found["memory_stats"], found["id"]) == ("0001-01-01T00:00:00Z", {}, ID)
    assert node.streams == []


async def test_one_that_stops_meanwhile_is_zeros(rig: Any, node: FakeNode) -> None:
    asking = asyncio.ensure_future(rig.call("GET", "/containers/box1/stats?stream=0"))
    await watched(node)
    await node.send(1)
    await node.send(2, idle=True)
    assert (await asking).json["pids_stats"] == {}


async def test_the_end_of_the_container_ends_the_stream(rig: Any, node: FakeNode) -> None:
    wire = await follow(rig)
    await wire.head()
    await watched(node)
    await node.send(1, gone=(ID,))
    assert await wire.chunk() == b""


@pytest.mark.parametrize("silent", [True, False])
async def test_the_next_agent_goes_on(rig: Any, node: FakeNode, silent: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feeds, "_SILENCE_S", 0.1 if silent else 60)
    wire = await follow(rig)
    await wire.head()
    await watched(node)
    node.wanted = set()
    if not silent:
        await node.streams[-1].fail(unavailable("the agent ends"))
    await until(lambda: len(node.streams) >= 2 and node.wanted == {ID})

    async def samples() -> None:
        while True:  # a machine that stops for a moment is silent, too: then it is left once more
            with contextlib.suppress(SeawayError):
                await node.send(1)
            await asyncio.sleep(0.02)

    sending = rig.suite.tasks.spawn("samples", samples())
    assert orjson.loads(await wire.chunk())["id"] == ID
    await cancel(sending)


async def test_the_end_of_the_node_breaks_it_off(rig: Any, node: FakeNode) -> None:
    wire = await follow(rig)
    await wire.head()
    await watched(node)
    rig.suite.fail["stats"] = unavailable("away")
    await node.streams[-1].fail(unavailable("the agent ends"))
    assert await wire.rest() == b""
    del rig.suite.fail["stats"]
    again = await follow(rig)
    await again.head()
    await until(lambda: len(node.streams) == 2)


async def test_a_node_that_can_not_be_asked(rig: Any, node: FakeNode, failure: Callable[..., SeawayError]) -> None:
    rig.suite.fail["stats"] = unavailable("away")
    answer = await rig.call("GET", "/containers/box1/stats")
    assert (answer.status, answer.json["message"]) == (503, "away")
    assert len(rig.api.stats) == 0
