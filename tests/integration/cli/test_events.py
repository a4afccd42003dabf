"""`seaway events` against a suite's stream: past and present, an image of now and what changes, slow readers."""

import asyncio
import contextlib
import json
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import pytest
from tests.integration.cli.bus_users import bus_of, eventually

from seaway_bus.bus import Bus, Command
from seaway_cli import logfiles
from seaway_contracts import catalogue as cat
from seaway_contracts.base import Empty
from seaway_contracts.containers import State
from seaway_contracts.images import ImageList, ListImages
from seaway_contracts.records import ListContainers, RegisterContainer
from seaway_testing.builders import beat, container_event, container_id, image, spec, status
from seaway_testing.waiting import GUARD_S

if TYPE_CHECKING:
    from conftest import TinySuite

pytestmark = pytest.mark.root
COMMAND = str(Path(sys.executable).parent / "seaway")
GUARD_NS = int(GUARD_S * 10**9)


async def emit(metadata: Bus, seq: int, *, node: str = "n1", actor: str = "", padding: int = 0) -> None:
    """Store an event of one container, as metadata does, with so many bytes more."""
    envelope, body = container_event("kill" if seq > 1 else "create", status(State.RUNNING, seq=seq), node=node)
    body = body.model_copy(update={"attributes": {"padding": "x" * padding}})
    channel = cat.EVENTS["container", envelope.action]
    headers = replace(envelope, actor=actor).headers()
    await metadata.transport.store(channel.subject(node, envelope.subject_id), channel.encode(body), headers)


class Reader:
    """A `seaway events --json` that runs."""

    def __init__(self, suite: "TinySuite", *words: str) -> None:
        argv = [COMMAND, "events", "--json", *words, "--run", str(suite.run)]
        self.process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self._out: IO[str] = self.process.stdout

    async def next(self) -> dict[str, Any]:
        async with asyncio.timeout(GUARD_S):
            line = await asyncio.to_thread(self._out.readline)
        assert line, self.process.communicate()[1]
        return dict(json.loads(line))


@contextlib.contextmanager
def reading(suite: "TinySuite", *words: str) -> Iterator[Reader]:
    reader = Reader(suite, *words)
    try:
        yield reader
    finally:
        reader.process.send_signal(signal.SIGINT)
        reader.process.communicate(timeout=GUARD_S)


async def events(suite: "TinySuite", *words: str) -> list[dict[str, Any]]:
    done = await asyncio.to_thread(suite.seaway, "events", "--json", "--no-follow", *words)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@contextlib.asynccontextmanager
async def started(suite: "TinySuite") -> AsyncIterator[Bus]:
    """The suite is up, with an image service; the bus as metadata has it."""
    assert (await asyncio.to_thread(suite.up, "--node", "n1")).returncode == 0

    async def images(request: ListImages, command: Command) -> ImageList:
        return ImageList(images=(image(1),))

    async with bus_of(suite, "metadata") as metadata, bus_of(suite, "image") as image_service:
        await image_service.serve(cat.LIST_IMAGES, images)
        yield metadata


async def test_past_and_present_by_number_and_by_time(suite: "TinySuite") -> None:
    async with started(suite) as metadata:
        for seq in range(1, 21):
            await emit(metadata, seq)
        past = await events(suite, "--filter", "type=container")
        assert [one["status"]["seq"] for one in past] == list(range(1, 21))
        middle = past[9]["seq"]
        assert [one["status"]["seq"] for one in await events(suite, "--since", f"seq:{middle}")] == list(range(11, 21))
        assert await events(suite, "--since", "0", "--filter", "event=die") == []
        assert await events(suite, "--since", "0", "--node", "other") == []
        with reading(suite, "--since", f"seq:{middle}", "--filter", "event=kill") as reader:
            got = [(await reader.next())["status"]["seq"] for _ in range(10)]
            await emit(metadata, 21)
            await emit(metadata, 22)
            got += [(await reader.next())["status"]["seq"] for _ in range(2)]
            assert got == list(range(11, 23))
        done = await asyncio.to_thread(suite.seaway, "events", "--since", "seq:999999")
        assert done.returncode == 1 and "is this another cluster's number?" in done.stderr


async def tell_create(agent: Bus) -> None:
    """Publish the first event of the container as its agent does, with the whole spec."""
    envelope, body = container_event("create", status(State.CREATED, seq=1), node="n2")
    subject = cat.CONTAINER_CREATE.told_subject("n2", envelope.subject_id)
    whole = body.model_copy(update={"spec": spec(1)})
    await agent.transport.publish(subject, cat.CONTAINER_CREATE.encode(whole), envelope.headers())


async def test_an_image_of_now_and_what_changes(suite: "TinySuite") -> None:
    """While a container's events are written without a pause."""
    async with started(suite) as metadata, bus_of(suite, "api") as api:
        assert (await asyncio.to_thread(suite.seaway, "node", "add", "n2")).returncode == 0
        async with bus_of(suite, "agent.n2") as agent:
            await agent.publish(cat.BEAT, beat("n2", interval_ns=GUARD_NS), node="n2")

            async def nodes() -> list[str]:
                return [record.node for record in (await api.call(cat.LIST_NODES, Empty())).nodes]

            await eventually(nodes, lambda found: found == ["n2"])
            await api.call(cat.REGISTER, RegisterContainer(spec=spec(1), node="n2"))
            await tell_create(agent)

            async def containers() -> list[str]:
                return [record.id for record in (await api.call(cat.LIST_CONTAINERS, ListContainers())).containers]

            await eventually(containers, lambda found: found == [container_id(1)])
        await emit(metadata, 1, node="n2")

        async def write() -> None:
            for seq in range(2, 101):
                await emit(metadata, seq, node="n2")

        writer = asyncio.ensure_future(write())
        with reading(suite, "--with-state") as reader:
            state = []
            while not state or state[-1]["Type"] != "cluster":
                state.append(await reader.next())
            assert {one["Action"] for one in state} == {"state"}
            shown = {one["Type"]: one for one in state}
            about = {"name": "n2", "state": "up", "availability": "active"}
            assert shown["node"]["Actor"]["Attributes"] == about
            assert shown["image"]["Actor"]["ID"] == image(1).id
            assert shown["cluster"]["Actor"]["Attributes"] == {"nodes": "1", "images": "1", "containers": "1"}
            begun = shown["container"]
            assert (begun["Actor"]["ID"], begun["node"]) == (container_id(1), "n2")
            await writer
            await emit(metadata, 101, node="n2")
            got = [begun["status"]["seq"]]
            while got[-1] < 101:
                got.append((await reader.next())["status"]["seq"])
            assert got == list(range(got[0], 102))


async def test_a_reader_that_stops_slows_nobody_and_loses_nothing(suite: "TinySuite") -> None:
    """Of more than the server sends ahead."""
    total = 400
    words = ("--since", "0", "--filter", "type=container")
    async with started(suite) as metadata:
        with reading(suite, *words) as stopped, reading(suite, *words) as other:
            await emit(metadata, 1)
            assert (await stopped.next())["status"]["seq"] == (await other.next())["status"]["seq"] == 1
            stopped.process.send_signal(signal.SIGSTOP)
            try:
                for seq in range(2, total + 1):
                    await emit(metadata, seq, padding=15_000)
                assert [(await other.next())["status"]["seq"] for _ in range(2, total + 1)] == list(range(2, total + 1))
            finally:
                stopped.process.send_signal(signal.SIGCONT)
            assert [(await stopped.next())["status"]["seq"] for _ in range(2, total + 1)] == list(range(2, total + 1))


async def test_who_did_what_from_where(suite: "TinySuite") -> None:
    async with started(suite) as metadata:
        await emit(metadata, 1)
        await emit(metadata, 2, actor="ip:10.0.0.7")
        (found,) = await events(suite, "--audit", "--filter", "type=container")
        assert (found["Action"], found["by"], found["from"]) == ("kill", "ip:10.0.0.7", "10.0.0.7")
        done = await asyncio.to_thread(suite.seaway, "events", "--audit", "--no-follow", "--filter", "event=kill")
        assert done.stdout.count("\n") == 1 and "ip:10.0.0.7" in done.stdout


async def test_the_end_of_the_pipe_is_no_error(suite: "TinySuite") -> None:
    async with started(suite) as metadata:
        for seq in range(1, 301):
            await emit(metadata, seq)
        words = f"{COMMAND} events --no-follow --run {suite.run} | head -n 1"
        done = await asyncio.to_thread(subprocess.run, ["sh", "-c", words], capture_output=True, text=True)
        assert done.stderr == "" and done.stdout.count("\n") == 1


async def test_logs_are_followed(suite: "TinySuite") -> None:
    """Also while the suite cuts the log off."""
    async with started(suite):
        argv = [COMMAND, "logs", "metadata", "--lines", "-1", "--follow", "--run", str(suite.run)]
        process = await asyncio.to_thread(subprocess.Popen, argv, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        log = suite.run / "log" / "metadata.log"
        try:
            assert "metadata" in await asyncio.to_thread(process.stdout.readline)
            for number in range(2):
                with log.open("a") as file:
                    file.write(f"line {number}\n")
                async with asyncio.timeout(GUARD_S):
                    while await asyncio.to_thread(process.stdout.readline) != f"line {number}\n":
                        pass
                logfiles.shorten(log, limit=1)
        finally:
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=GUARD_S)
        assert process.returncode == 130


async def test_the_doctor_examines_the_suite(suite: "TinySuite") -> None:
    async with started(suite):
        found = await examined(suite)
        assert {what: found[what] for what in ("nats", "metadata", "scheduler", "stream")} == {
            "nats": "ok",
            "metadata": "ok",
            "scheduler": "ok",
            "stream": "ok",
        }
        assert found["nodes"] == "fail", "there is no agent in this suite"
    assert (await asyncio.to_thread(suite.seaway, "down")).returncode == 0
    found = await examined(suite)
    assert found["suite"] == "fail" and "nats" not in found


async def examined(suite: "TinySuite") -> dict[str, str]:
    """What `seaway doctor` says, as levels."""
    done = await asyncio.to_thread(suite.seaway, "doctor", "--json")
    assert done.returncode == 1, done.stderr
    return {one["what"]: one["level"] for one in json.loads(done.stdout)}
