"""Attach: the socket is taken over, both halves live on their own, no byte is lost."""

import asyncio
import contextlib
import socket
from typing import Any

import pytest

from seaway_api.http.connection import Connection
from seaway_api.http.hijack import HungUp, Tunnel
from seaway_bus.streams import ByteStream
from seaway_contracts.containers import Command, ContainerRecord, ContainerStatus, State
from seaway_contracts.errors import Code, SeawayError, unavailable
from seaway_docker.stdcopy import STDOUT, SYSTEM_ERROR, Decoder, frame
from seaway_testing import builders
from seaway_testing.waiting import GUARD_S, until

pytestmark = pytest.mark.both_loops  # half-close is the event loop's affair

UPGRADE = b"Connection: Upgrade\r\nUpgrade: tcp\r\nContent-Type: text/plain\r\n"
ALL = "stream=1&stdin=1&stdout=1&stderr=1"


def running(**command: Any) -> ContainerRecord:
    spec = builders.spec(1, command=Command(cmd=("cat",), open_stdin=True, **command))
    return ContainerRecord(spec=spec, node="n1", status=ContainerStatus(state=State.RUNNING, seq=2, pid=7))


def attach_request(query: str = ALL, upgrade: bytes = UPGRADE) -> bytes:
    return f"POST /v1.45/containers/box1/attach?{query} HTTP/1.1\r\nHost: d\r\n".encode() + upgrade + b"\r\n"


async def cat(stream: ByteStream) -> None:
    """What `cat` does: gives back its input, and ends with it."""
    taken = b""
    while data := await stream.read():
        taken += data
    await stream.write(taken)
    await stream.end()


async def test_input_ends_at_half_close_and_output_goes_on(rig: Any) -> None:
    rig.suite.add(running())
    rig.suite.attach = cat
    wire = await rig.wire()
    wire.send(attach_request())
    status, headers = await wire.head()
    assert status == 101
    assert headers["upgrade"] == "tcp" and headers["connection"] == "Upgrade"
    assert headers["content-type"] == "application/vnd.docker.multiplexed-stream"
    wire.send(b"hi\n")
    wire.half_close()
    assert await wire.rest() == b"hi\n"


async def test_output_has_an_end_where_input_is_left_unread(rig: Any) -> None:
    """Closed with input in it, the socket would tell the client of a reset."""
    full, loop = asyncio.Event(), asyncio.get_running_loop()

    async def leave_input(stream: ByteStream) -> None:
        await full.wait()
        await stream.write(b"bye\n")
        await stream.end()

    rig.suite.add(running())
    rig.suite.attach = leave_input
    with socket.socket(socket.AF_UNIX) as client:
        client.setblocking(False)
        await loop.sock_connect(client, rig.path)
        await loop.sock_sendall(client, attach_request())
        assert (await loop.sock_recv(client, 4096)).startswith(b"HTTP/1.1 101 ")
        await until(lambda: fill(client) == 0)
        full.set()
        assert await loop.sock_recv(client, 4096) == b"bye\n"
        assert await loop.sock_recv(client, 4096) == b""


def fill(client: socket.socket) -> int:
    """Send as much as goes at once; how much that was."""
    sent = 0
    with contextlib.suppress(BlockingIOError):
        while True:
            sent += client.send(bytes(1 << 16))
    return sent


async def test_everything_in_one_segment(rig: Any) -> None:
    """`echo hi | docker run -i`: head, input and half-close may arrive together."""
    rig.suite.add(running())
    rig.suite.attach = cat
    wire = await rig.wire()
    wire.send(attach_request() + b"GET / HTTP/1.1\r\nnot http but input\n")
    wire.half_close()
    status, _ = await wire.head()
    assert status == 101
    assert await wire.rest() == b"GET / HTTP/1.1\r\nnot http but input\n"


@pytest.mark.parametrize(("agent", "patient"), [("docker-sdk-python/7.1.0", True), ("Docker-Client/26.1", False)])
async def test_docker_py_is_given_time_to_read_the_head_where_that_cannot_be_seen(
    rig: Any, monkeypatch: pytest.MonkeyPatch, agent: str, patient: bool
) -> None:
    given: list[float] = []
    take_over = Connection.take_over

    def taken(connection: Connection, head: bytes, patience_s: float = 0.0) -> Tunnel:
        given.append(patience_s)
        return take_over(connection, head, patience_s)

    monkeypatch.setattr(Connection, "take_over", taken)
    rig.suite.add(running())
    rig.suite.attach = cat
    wire = await rig.wire()
    wire.send(attach_request(upgrade=f"User-Agent: {agent}\r\n".encode() + UPGRADE))
    assert (await wire.head())[0] == 101
    assert [patience_s > 0 for patience_s in given] == [patient]


async def test_a_head_in_pieces(rig: Any) -> None:
    rig.suite.add(running())
    rig.suite.attach = cat
    wire = await rig.wire()
    whole = attach_request() + b"input"
    for byte in whole:
        wire.send(bytes([byte]))
        await asyncio.sleep(0)
    wire.half_close()
    assert (await wire.head())[0] == 101
    assert await wire.rest() == b"input"


async def test_right_behind_the_answer_to_another_request(rig: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before aiohttp is ready for the next request: a client may be that quick on a connection that it keeps."""
    finish = Connection.finish_response

    async def slow(connection: Connection, *given: Any) -> Any:
        done = await finish(connection, *given)
        await asyncio.sleep(0.05)
        return done

    monkeypatch.setattr(Connection, "finish_response", slow)
    rig.suite.add(running())
    rig.suite.attach = cat
    wire = await rig.wire()
    wire.send(b"GET /_ping HTTP/1.1\r\nHost: d\r\n\r\n")
    status, headers = await wire.head()
    assert (status, await wire.exactly(int(headers["content-length"]))) == (200, b"OK")
    wire.send(attach_request() + b"input")
    wire.half_close()
    status, _ = await wire.head()
    assert status == 101
    assert await wire.rest() == b"input"


async def test_much_input_and_a_slow_reader(rig: Any) -> None:
    """4 MiB each way: back pressure, not memory, bridges the difference, and not a byte is lost."""
    rig.suite.add(running())
    size = 4 << 20

    async def swallow_then_send(stream: ByteStream) -> None:
        taken = 0
        while data := await stream.read():
            taken += len(data)
            await asyncio.sleep(0)
        await stream.write(b"%10d" % taken + b"x" * size)
        await stream.end()

    rig.suite.attach = swallow_then_send
    wire = await rig.wire()
    wire.send(attach_request())
    await wire.head()
    wire.send(b"y" * size)
    wire.half_close()
    assert await wire.exactly(10) == b"%10d" % size
    assert len(await wire.rest()) == size


async def test_without_upgrade_a_plain_200(rig: Any) -> None:
    rig.suite.add(running())

    async def speak(stream: ByteStream) -> None:
        await stream.write(b"out")
        await stream.end()

    rig.suite.attach = speak
    wire = await rig.wire()
    wire.send(attach_request("stream=1&stdout=1", upgrade=b""))
    status, headers = await wire.head()
    assert status == 200
    assert headers["content-type"] == "application/vnd.docker.raw-stream"
    assert "content-length" not in headers and "transfer-encoding" not in headers
    assert await wire.rest() == b"out"


async def test_a_terminal_has_a_raw_stream(rig: Any) -> None:
    rig.suite.add(running(tty=True))
    rig.suite.attach = cat
    wire = await rig.wire()
    wire.send(attach_request())
    assert (await wire.head())[1]["content-type"] == "application/vnd.docker.raw-stream"


async def test_the_node_confirms_before_the_head_goes_out(rig: Any) -> None:
    """Whoever starts the container after the head must not miss output: the agent has joined by then."""
    rig.suite.add(running())
    rig.suite.attach = cat
    wire = await rig.wire()
    wire.send(attach_request())
    await wire.head()
    assert [request.stdin for request in rig.suite.named("attach")] == [True]


async def test_detach_keys_end_the_connection_but_not_the_input(rig: Any) -> None:
    rig.suite.add(running(tty=True))
    got: list[bytes] = []
    broke: list[SeawayError] = []

    async def listen(stream: ByteStream) -> None:
        try:
            while data := await stream.read():
                got.append(data)
        except SeawayError as error:
            broke.append(error)

    rig.suite.attach = listen
    wire = await rig.wire()
    wire.send(attach_request(ALL + "&detachKeys=ctrl-a,x"))
    await wire.head()
    wire.send(b"ls\n\x01")
    wire.send(b"x")
    assert await wire.rest() == b""
    await until(lambda: broke)
    assert b"".join(got) == b"ls\n"
    await until(lambda: rig.suite.named("detach"))


async def test_a_refused_attach_is_an_ordinary_answer_and_the_connection_lives(rig: Any) -> None:
    wire = await rig.wire()
    wire.send(attach_request())
    first = await wire.answer()
    assert (first.status, first.json) == (404, {"message": "No such container: box1"})
    wire.send(b"GET /_ping HTTP/1.1\r\nHost: d\r\n\r\n")
    assert (await wire.answer()).body == b"OK"


@pytest.mark.parametrize("state", [State.PAUSED, State.RESTARTING])
async def test_no_attach_to_a_container_that_cannot_speak(rig: Any, state: State) -> None:
    record = running()
    rig.suite.add(record.model_copy(update={"status": ContainerStatus(state=state)}))
    wire = await rig.wire()
    wire.send(attach_request())
    assert (await wire.answer()).status == 409


async def test_a_client_that_hangs_up_leaves_nothing(rig: Any) -> None:
    rig.suite.add(running())
    broke: list[Code] = []

    async def listen(stream: ByteStream) -> None:
        try:
            while await stream.read():
                pass
        except SeawayError as error:
            broke.append(error.code)

    rig.suite.attach = listen
    before = len(rig.server.subscribers)
    for _ in range(30):
        wire = await rig.wire()
        wire.send(attach_request())
        await wire.head()
        wire.writer.transport.abort()
    await until(lambda: len(rig.server.subscribers) == before and not len(rig.api.tasks) > 1)
    assert rig.server.subscribers


async def test_output_that_breaks_off_ends_in_an_error(rig: Any) -> None:
    """Also in the middle of a frame; clients make an error of the last kind of frame."""
    rig.suite.add(running())

    async def break_off(stream: ByteStream) -> None:
        await stream.write(frame(STDOUT, b"whole") + frame(STDOUT, b"half of it")[:12])
        await stream.fail(unavailable("too far behind"))

    rig.suite.attach = break_off
    wire = await rig.wire()
    wire.send(attach_request())
    assert (await wire.head())[0] == 101
    found = Decoder().feed(await wire.rest())
    assert found == [(1, b"whole"), (1, b"half\0\0\0\0\0\0"), (SYSTEM_ERROR, b"too far behind")]


async def test_a_terminal_whose_output_breaks_off_shows_why(rig: Any) -> None:
    rig.suite.add(running(tty=True))

    async def vanish(stream: ByteStream) -> None:
        await stream.write(b"$ ")

    rig.suite.attach = vanish
    wire = await rig.wire()
    wire.send(attach_request())
    assert (await wire.head())[0] == 101
    assert await wire.rest() == b"$ \r\nthe agent of node n1 has gone; try again when it is back\r\n"


class Flow:
    """A transport that only notes what it is asked."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def write(self, data: bytes) -> None:
        self.said.append(f"write {len(data)}")

    def pause_reading(self) -> None:
        self.said.append("pause")

    def resume_reading(self) -> None:
        self.said.append("resume")

    def close(self) -> None:
        self.said.append("close")


async def test_a_tunnel_holds_back_a_client_that_sends_too_much() -> None:
    flow = Flow()
    tunnel = Tunnel(flow)
    for _ in range(3):
        tunnel.data_received(b"x" * (128 * 1024))
    assert flow.said == ["pause"]
    await tunnel.read()
    await tunnel.read()
    assert flow.said == ["pause"]
    await tunnel.read()
    assert flow.said == ["pause", "resume"]


async def test_a_tunnel_waits_for_a_slow_client_and_notices_when_it_goes() -> None:
    flow = Flow()
    tunnel = Tunnel(flow)
    tunnel.pause_writing()
    writing = asyncio.ensure_future(tunnel.write(b"late"))
    await asyncio.sleep(0)
    assert flow.said == [] and not writing.done()
    tunnel.connection_lost()
    with pytest.raises(HungUp):
        await writing
    with pytest.raises(HungUp):
        await tunnel.read()


async def test_a_tunnel_sends_nothing_behind_a_head_that_is_not_read() -> None:
    flow, unread, looks = Flow(), True, 0

    def is_unread() -> bool:
        nonlocal looks
        looks += 1
        return unread

    tunnel = Tunnel(flow, is_unread)
    writing = asyncio.ensure_future(tunnel.write(b"said"))
    await until(lambda: looks >= 3)
    assert flow.said == []
    unread = False
    await writing
    unread = True
    await tunnel.write(b"more")
    assert flow.said == ["write 4", "write 4"], "only the head is waited for"


async def test_a_tunnel_whose_client_goes_before_it_reads_the_head_does_not_wait() -> None:
    tunnel = Tunnel(Flow(), lambda: True)
    writing = asyncio.ensure_future(tunnel.write(b"said"))
    await asyncio.sleep(0)
    tunnel.connection_lost()
    with pytest.raises(HungUp):
        await asyncio.wait_for(writing, GUARD_S)
