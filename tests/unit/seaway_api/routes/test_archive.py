"""The routes of containers' files, with an agent that is scripted."""

import asyncio
import base64
import stat
from collections.abc import Awaitable, Callable
from typing import Any

import orjson
import pytest

from seaway_bus.bus import Command
from seaway_bus.streams import ByteStream
from seaway_contracts import catalogue as cat
from seaway_contracts.archives import (
    CommitContainer,
    Committed,
    ContainerSize,
    ContainerSizes,
    ListChanges,
    MeasureContainers,
    PathStat,
    ReadPath,
    WritePath,
)
from seaway_contracts.base import Empty
from seaway_contracts.containers import Asked
from seaway_contracts.errors import Reason, SeawayError, internal, not_found
from seaway_testing import builders
from seaway_testing.waiting import GUARD_S

Script = Callable[[ByteStream], Awaitable[None]]
STAT = PathStat(name="f", size=3, mode=stat.S_IFREG | 0o644, mtime_ns=1_700_000_000_000_000_000)


class Agent:
    """Opens the byte stream of each request and plays `script` on it."""

    def __init__(self, rig: Any) -> None:
        self.bus, self.tasks = rig.suite.bus, rig.suite.tasks
        self.asked: list[Any] = []
        self.script: Script = self.nothing

    async def nothing(self, stream: ByteStream) -> None:
        await stream.end()

    async def play(self, request: Any) -> None:
        self.asked.append(request)
        stream = await ByteStream(self.bus.transport, request.stream, "serving", self.tasks).open()

        async def work() -> None:
            try:
                await self.script(stream)
            except SeawayError as error:
                await stream.fail(error)
            finally:
                await stream.close()

        self.tasks.spawn("script", work())

    async def read(self, request: ReadPath, _: Command) -> PathStat:
        if request.path == "/nope":
            raise not_found(f"not in container {request.id}", Reason.NO_SUCH_FILE)
        await self.play(request)
        return STAT

    async def write(self, request: WritePath, _: Command) -> Empty:
        await self.play(request)
        return Empty()

    async def changes(self, request: ListChanges, _: Command) -> Empty:
        await self.play(request)
        return Empty()

    async def sizes(self, request: MeasureContainers, _: Command) -> ContainerSizes:
        self.asked.append(request)
        return ContainerSizes(sizes=tuple(ContainerSize(id=one, rw=5, root_fs=9) for one in request.ids[:1]))

    async def commit(self, request: CommitContainer, _: Command) -> Committed:
        self.asked.append(request)
        return Committed(id="sha256:new")


@pytest.fixture
async def agent(rig: Any) -> Agent:
    made = Agent(rig)
    rig.suite.add(builders.record(1))
    await made.bus.serve(cat.PATH_READ, made.read, node="n1")
    await made.bus.serve(cat.PATH_WRITE, made.write, node="n1")
    await made.bus.serve(cat.CHANGES, made.changes, node="n1")
    await made.bus.serve(cat.SIZES, made.sizes, node="n1")
    await made.bus.serve(cat.COMMIT, made.commit, node="n1")
    return made


async def test_a_copy_out(rig: Any, agent: Agent) -> None:
    async def send(stream: ByteStream) -> None:
        await stream.write(b"tar" * 100_000)
        await stream.end()

    agent.script = send
    answer = await rig.call("GET", "/v1.45/containers/box1/archive?path=/f")
    assert answer.body == b"tar" * 100_000
    assert answer.headers["content-type"] == "application/x-tar"
    found = orjson.loads(base64.b64decode(answer.headers["x-docker-container-path-stat"]))
    assert found == {"name": "f", "size": 3, "mode": 0o644, "mtime": "2023-11-14T22:13:20Z", "linkTarget": ""}


async def test_what_is_not_there_is_told_by_the_name_that_was_given(rig: Any, agent: Agent) -> None:
    answer = await rig.call("GET", "/containers/box1/archive?path=/nope")
    assert (answer.status, answer.json["message"]) == (404, "Could not find the file /nope in container box1")


async def test_no_path(rig: Any, agent: Agent) -> None:
    for method in ("GET", "PUT"):
        answer = await rig.call(method, "/containers/box1/archive")
        assert (answer.status, answer.json["message"]) == (400, "bad parameter: pathcannot be empty")


async def test_an_error_before_the_first_byte_gives_a_status(rig: Any, agent: Agent) -> None:
    async def fail(_: ByteStream) -> None:
        raise internal("the disk is gone")

    agent.script = fail
    answer = await rig.call("GET", "/containers/box1/archive?path=/f")
    assert (answer.status, answer.json["message"]) == (500, "the disk is gone")


async def test_a_copy_in(rig: Any, agent: Agent) -> None:
    came = bytearray()

    async def take(stream: ByteStream) -> None:
        while data := await stream.read():
            came.extend(data)
        await stream.end()

    agent.script = take
    query = "path=/d&noOverwriteDirNonDir=true&copyUIDGID=1"
    answer = await rig.call("PUT", f"/containers/box1/archive?{query}", b"b" * 3_000_000)
    assert (answer.status, answer.body) == (200, b"")
    assert bytes(came) == b"b" * 3_000_000
    assert (agent.asked[0].path, agent.asked[0].keep_kinds, agent.asked[0].chown) == ("/d", True, True)


async def test_a_refusal_ends_the_sending(rig: Any, agent: Agent) -> None:
    async def refuse(stream: ByteStream) -> None:
        await stream.read()
        raise internal("no archive")

    agent.script = refuse
    async with asyncio.timeout(GUARD_S):
        answer = await rig.call("PUT", "/containers/box1/archive?path=/d", b"x" * 8_000_000)
    assert (answer.status, answer.json["message"]) == (500, "no archive")


async def test_changes_are_sorted(rig: Any, agent: Agent) -> None:
    async def send(stream: ByteStream) -> None:
        await stream.write(b'{"path":"/b","kind":"added"}\n{"path":"/a.x","kind":"dele')
        await stream.write(b'ted"}\n{"path":"/a/b","kind":"modified"}\n')
        await stream.end()

    agent.script = send
    answer = await rig.call("GET", "/containers/box1/changes")
    assert answer.json == [{"Path": "/a/b", "Kind": 0}, {"Path": "/a.x", "Kind": 2}, {"Path": "/b", "Kind": 1}]
    agent.script = agent.nothing
    assert (await rig.call("GET", "/containers/box1/changes")).json is None


async def test_sizes(rig: Any, agent: Agent) -> None:
    rig.suite.add(builders.record(2))
    shown = (await rig.call("GET", "/containers/json?all=1&size=1")).json
    assert len(agent.asked) == 1, "one question for all of a node's containers"
    assert [(one.get("SizeRw"), one.get("SizeRootFs")) for one in shown] == [(5, 9), (None, None)]
    one = (await rig.call("GET", "/containers/box1/json?size=1")).json
    assert (one["SizeRw"], one["SizeRootFs"]) == (5, 9)


async def test_commit(rig: Any, agent: Agent) -> None:
    query = "container=box1&repo=a/b&tag=1&author=me&comment=why&changes=ENV+A%3D1&changes=CMD+x&pause=0"
    answer = await rig.call("POST", f"/commit?{query}", {"Cmd": ["date"], "ExposedPorts": {"80/tcp": {}}})
    assert (answer.status, answer.json) == (201, {"Id": "sha256:new"})
    (granted,) = rig.suite.named("grant")
    order = granted.order
    assert (granted.node, agent.asked[0].upload.token, agent.asked[0].comment) == ("n1", "for n1", "why")
    assert (order.target, order.author, order.comment, order.changes) == ("a/b:1", "me", "why", ("ENV A=1", "CMD x"))
    assert (order.config.cmd, order.config.exposed_ports) == (("date",), ("80/tcp",))
    assert not agent.asked[0].pause
    assert order.container.cmd == rig.suite.records[agent.asked[0].id].spec.command.cmd


@pytest.mark.parametrize("body", [{}, b"", b"null"])
async def test_a_commit_without_a_config_takes_the_containers(rig: Any, agent: Agent, body: object) -> None:
    """docker-py always sends `{}`."""
    shown = {"Shell": ["/bin/ash"], "OnBuild": ["RUN x"], "ArgsEscaped": True}
    spec = builders.spec(3, asked=Asked(config=orjson.dumps(shown).decode()))
    rig.suite.add(builders.record(3).model_copy(update={"spec": spec}))
    assert (await rig.call("POST", "/commit?container=box3", body)).status == 201
    order = rig.suite.named("grant")[0].order
    assert order.config == order.container
    assert (order.config.shell, order.config.on_build, order.config.args_escaped) == (("/bin/ash",), ("RUN x",), True)


async def test_commit_needs_a_container(rig: Any, agent: Agent) -> None:
    assert (await rig.call("POST", "/commit")).json["message"] == 'invalid name or ID supplied: ""'
    assert (await rig.call("POST", "/commit?container=nobody")).status == 404
    assert (await rig.call("POST", "/commit?container=box1&repo=UPPER")).status == 400
