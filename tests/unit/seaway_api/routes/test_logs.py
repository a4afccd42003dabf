"""GET /containers/{id}/logs."""

from typing import Any

import pytest

from seaway_bus.streams import ByteStream
from seaway_contracts.containers import Command, ContainerRecord, LogConfig
from seaway_contracts.errors import Code, SeawayError
from seaway_docker.stdcopy import frame
from seaway_testing import builders
from seaway_testing.waiting import until


async def two_frames(stream: ByteStream) -> None:
    await stream.write(frame(1, b"out\n") + frame(2, b"err\n"))
    await stream.end()


async def test_the_bytes_of_the_node_are_passed_on(rig: Any) -> None:
    rig.suite.add(builders.record(1))
    rig.suite.logs = two_frames
    query = "stdout=1&stderr=1&tail=5&timestamps=1&since=10&until=20.5"
    answer = await rig.call("GET", f"/v1.45/containers/box1/logs?{query}")
    assert answer.body == frame(1, b"out\n") + frame(2, b"err\n")
    assert answer.headers["content-type"] == "application/vnd.docker.multiplexed-stream"
    request = rig.suite.named("logs")[0]
    assert (request.tail, request.timestamps, request.follow) == (5, True, False)
    assert (request.since_ns, request.until_ns) == (10 * 10**9, 20_500_000_000)


@pytest.mark.parametrize(("tail", "wanted"), [("all", -1), ("", -1), ("x", -1), ("0", 0), ("12", 12)])
async def test_tail(rig: Any, tail: str, wanted: int) -> None:
    rig.suite.add(builders.record(1))
    rig.suite.logs = two_frames
    await rig.call("GET", f"/containers/box1/logs?stdout=1&tail={tail}")
    assert rig.suite.named("logs")[0].tail == wanted


async def test_a_terminal_has_no_frames(rig: Any) -> None:
    spec = builders.spec(1, command=Command(cmd=("sh",), tty=True))
    rig.suite.add(ContainerRecord(spec=spec, node="n1"))
    rig.suite.logs = two_frames
    answer = await rig.call("GET", "/containers/box1/logs?stdout=1")
    assert answer.headers["content-type"] == "application/vnd.docker.raw-stream"


async def test_refusals(rig: Any) -> None:
    rig.suite.add(builders.record(1))
    answer = await rig.call("GET", "/containers/box1/logs")
    assert (answer.status, answer.json["message"]) == (400, "Bad parameters: you must choose at least one stream")
    assert (await rig.call("GET", "/containers/nobody/logs?stdout=1")).status == 404
    silent = builders.spec(2, log=LogConfig(driver="none"))
    rig.suite.add(ContainerRecord(spec=silent, node="n1"))
    assert (await rig.call("GET", "/containers/box2/logs?stdout=1")).status == 501


async def test_following_flushes_at_once_and_ends_when_the_client_hangs_up(rig: Any) -> None:
    rig.suite.add(builders.record(1))
    ended: list[SeawayError] = []

    async def follow(stream: ByteStream) -> None:
        await stream.write(b"first")
        try:
            while await stream.read():
                pass
        except SeawayError as error:
            ended.append(error)

    rig.suite.logs = follow
    wire = await rig.wire()
    wire.send(b"GET /containers/box1/logs?stdout=1&follow=1 HTTP/1.1\r\nHost: d\r\n\r\n")
    assert (await wire.head())[0] == 200
    assert await wire.chunk() == b"first"
    wire.writer.transport.abort()
    await until(lambda: ended)


async def test_what_breaks_off_is_not_passed_for_whole(rig: Any) -> None:
    """The last chunk never comes: a client can tell that something is missing."""
    rig.suite.add(builders.record(1))

    async def broken(stream: ByteStream) -> None:
        await stream.write(b"half")
        await stream.fail(SeawayError(Code.INTERNAL, "disk gone"))

    rig.suite.logs = broken
    wire = await rig.wire()
    wire.send(b"GET /containers/box1/logs?stdout=1 HTTP/1.1\r\nHost: d\r\n\r\n")
    await wire.head()
    assert await wire.rest() == b"4\r\nhalf\r\n"
