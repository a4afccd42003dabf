"""Execs over HTTP: how they are found, what the node is asked for, what goes over the wire."""

from typing import Any

import orjson
import pytest

from seaway_bus.bus import Command
from seaway_bus.streams import ByteStream
from seaway_contracts import catalogue as cat
from seaway_contracts.base import Empty
from seaway_contracts.commands import StatusReply
from seaway_contracts.containers import ContainerRecord, ContainerStatus, State
from seaway_contracts.errors import Reason, SeawayError, conflict, not_found
from seaway_contracts.execs import (
    CreateExec,
    ExecId,
    ExecInfo,
    ExecStarted,
    ExecState,
    ExecStatus,
    ResizeExec,
    StartExec,
)
from seaway_docker.stdcopy import frame
from seaway_testing import builders

BOX = ContainerRecord(
    spec=builders.spec(1), node="n1", status=ContainerStatus(state=State.RUNNING, pid=5, exec_ids=("e" * 64,))
)


class Node:
    """The execs of one agent: they print "hi" and what they read."""

    def __init__(self, rig: Any) -> None:
        self.rig = rig
        self.asked: list[Any] = []
        self.infos: dict[str, ExecInfo] = {}
        self.refuses: Exception | None = None
        self.refuses_create: SeawayError | None = None
        self.reply = ExecStarted(stdin=True)
        self.words = b""

    async def serve(self) -> None:
        bus = self.rig.suite.bus
        await bus.serve(cat.CREATE_EXEC, self._create, node="n1")
        await bus.serve(cat.START_EXEC, self._start, node="n1")
        await bus.serve(cat.RESIZE_EXEC, self._note, node="n1")
        await bus.serve(cat.DETACH_EXEC, self._note, node="n1")
        await bus.serve(cat.INSPECT_EXEC, self._inspect, node="n1")

    async def _create(self, asked: CreateExec, _: Command) -> StatusReply:
        self.asked.append(asked)
        if self.refuses_create is not None:
            raise self.refuses_create
        self.infos[asked.spec.id] = ExecInfo(container=asked.container, spec=asked.spec)
        return StatusReply(status=BOX.status)

    async def _start(self, asked: StartExec, _: Command) -> ExecStarted:
        self.asked.append(asked)
        if self.refuses is not None:
            raise self.refuses
        if asked.stream:
            suite = self.rig.suite
            stream = await ByteStream(suite.bus.transport, asked.stream, "serving", suite.tasks).open()
            suite.tasks.spawn("exec", self._play(stream))
        return self.reply

    async def _play(self, stream: ByteStream) -> None:
        await stream.write(frame(1, b"hi"))
        while data := await stream.read():
            await stream.write(frame(1, data))
        await stream.end(self.words)
        await stream.close()

    async def _note(self, asked: ResizeExec | ExecId, _: Command) -> Empty:
        self.asked.append(asked)
        return Empty()

    async def _inspect(self, asked: ExecId, _: Command) -> ExecInfo:
        self.asked.append(asked)
        if asked.id not in self.infos:
            raise not_found(f"No such exec instance: {asked.id}")
        return self.infos[asked.id]


@pytest.fixture
async def node(rig: Any) -> Node:
    rig.suite.add(BOX)
    made = Node(rig)
    await made.serve()
    return made


async def create(rig: Any, **body: Any) -> str:
    answer = await rig.call("POST", "/containers/box1/exec", {"Cmd": ["cat"], **body})
    assert answer.status == 201
    return str(answer.json["Id"])


def start_request(
    identifier: str, body: bytes = b"{}", upgrade: str = "Connection: Upgrade\r\nUpgrade: tcp\r\n"
) -> bytes:
    head = f"POST /v1.45/exec/{identifier}/start HTTP/1.1\r\nHost: d\r\nContent-Type: application/json\r\n{upgrade}"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


@pytest.mark.parametrize(
    ("refusal", "words"),
    [
        (conflict("paused", Reason.PAUSED), "Container box1 is paused, unpause the container before exec"),
        (conflict("box 1 is paused"), "box 1 is paused"),
    ],
)
async def test_a_paused_container_is_told_by_the_name_that_was_given(
    rig: Any, node: Node, refusal: SeawayError, words: str
) -> None:
    node.refuses_create = refusal
    answer = await rig.call("POST", "/containers/box1/exec", {"Cmd": ["cat"]})
    assert (answer.status, answer.json["message"]) == (409, words)


async def test_the_id_begins_as_the_containers(rig: Any, node: Node) -> None:
    identifier = await create(rig, Tty=True)
    assert (len(identifier), identifier[:32]) == (64, BOX.id[:32])
    assert node.asked[0].spec.tty and node.asked[0].container == BOX.id


async def test_its_node_has_told_with_the_output_how_it_ended(rig: Any, node: Node) -> None:
    identifier = await create(rig)
    status = ExecStatus(state=ExecState.ENDED, exit_code=3, pid=7)
    ended = node.infos[identifier] = node.infos[identifier].model_copy(update={"status": status})
    node.words = ended.model_dump_json().encode()
    wire = await rig.wire()
    wire.send(start_request(identifier))
    wire.half_close()
    await wire.rest()
    for asked in (0, 1):
        shown = (await rig.call("GET", f"/exec/{identifier}/json")).json
        assert (shown["ExitCode"], shown["Running"], shown["Pid"]) == (3, False, 7)
        assert sum(isinstance(one, ExecId) for one in node.asked) == asked, "whoever asks twice is told by the node"


async def test_any_copy_of_the_api_finds_it(rig: Any, node: Node) -> None:
    identifier = await create(rig)
    rig.api.hub._nodes._nodes.clear()  # as in a copy that has never heard of it
    for _ in range(2):
        assert (await rig.call("GET", f"/exec/{identifier}/json")).json["ID"] == identifier
    assert [request.ref for request in rig.suite.named("resolve")][1:] == [identifier[:32]]


@pytest.mark.parametrize("identifier", ["nothing", "a" * 64, BOX.id[:32] + "0" * 32])
async def test_unknown_ones(rig: Any, node: Node, identifier: str) -> None:
    answer = await rig.call("GET", f"/exec/{identifier}/json")
    assert (answer.status, answer.json["message"]) == (404, f"No such exec instance: {identifier}")


async def test_streams_both_ways_and_half_close(rig: Any, node: Node) -> None:
    identifier = await create(rig)
    wire = await rig.wire()
    wire.send(start_request(identifier, b'{"Detach":false,"Tty":false,"ConsoleSize":[3,4]}'))
    status, headers = await wire.head()
    assert (status, headers["content-type"]) == (101, "application/vnd.docker.multiplexed-stream")
    assert await wire.exactly(10) == frame(1, b"hi")
    wire.send(b"words")
    wire.half_close()
    assert await wire.rest() == frame(1, b"words")
    asked = node.asked[-1]
    assert (asked.raw, asked.height, asked.width) == (False, 3, 4)


async def test_with_a_terminal_the_type_is_raw(rig: Any, node: Node) -> None:
    wire = await rig.wire()
    wire.send(start_request(await create(rig, Tty=True), b'{"Tty":true}'))
    assert (await wire.head())[1]["content-type"] == "application/vnd.docker.raw-stream"
    assert node.asked[-1].raw


async def test_detach_keys_are_told_to_the_node(rig: Any, node: Node) -> None:
    node.reply = ExecStarted(stdin=True, tty=True, detach_keys="ctrl-a")
    identifier = await create(rig)
    wire = await rig.wire()
    wire.send(start_request(identifier))
    await wire.head()
    await wire.exactly(10)
    wire.send(b"x\x01y")
    await wire.rest()
    await rig.quiet()
    assert node.asked[-1] == ExecId(id=identifier)


async def test_detached_is_a_plain_200(rig: Any, node: Node) -> None:
    identifier = await create(rig)
    answer = await rig.call("POST", f"/exec/{identifier}/start", {"Detach": True})
    assert (answer.status, answer.body, node.asked[-1].stream) == (200, b"", "")


async def test_a_refusal_comes_before_the_upgrade(rig: Any, node: Node) -> None:
    node.refuses = conflict("container x is not running")
    wire = await rig.wire()
    wire.send(start_request(await create(rig)))
    answer = await wire.answer()
    assert (answer.status, answer.json["message"]) == (409, "container x is not running")


@pytest.mark.parametrize(
    ("query", "status"), [("h=3&w=4", 200), ("h=x&w=4", 400), ("", 400), ("h=70000&w=4", 400), ("h=-1&w=4", 400)]
)
async def test_resize(rig: Any, node: Node, query: str, status: int) -> None:
    identifier = await create(rig)
    assert (await rig.call("POST", f"/exec/{identifier}/resize?{query}")).status == status
    if status == 200:
        assert node.asked[-1] == ResizeExec(id=identifier, height=3, width=4)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (None, "No exec command specified"),
        (b"{}", "No exec command specified"),
        (b'{"Cmd":["a"],"DetachKeys":"ctrl-!"}', "Invalid detach keys (ctrl-!) provided: Unknown character: 'ctrl-!'"),
    ],
)
async def test_wrong_requests(rig: Any, node: Node, body: bytes | None, message: str) -> None:
    answer = await rig.call("POST", "/containers/box1/exec", body)
    assert (answer.status, answer.json["message"]) == (400, message)


async def test_the_container_shows_its_execs(rig: Any, node: Node) -> None:
    assert (await rig.call("GET", "/containers/box1/json")).json["ExecIDs"] == ["e" * 64]


async def test_events_show_the_command_behind_the_word(rig: Any, node: Node) -> None:
    wire = await rig.wire()
    wire.send(b'GET /events?filters={"event":["exec_create"]} HTTP/1.1\r\nHost: d\r\n\r\n')
    await wire.head()
    await rig.suite.emit("exec_create", BOX.id, BOX.status, execID="e1", execCommand="sh -c ls")
    event = orjson.loads(await wire.chunk())
    assert event["Action"] == event["status"] == "exec_create: sh -c ls"
    assert event["Actor"]["Attributes"] == {"execID": "e1"}
