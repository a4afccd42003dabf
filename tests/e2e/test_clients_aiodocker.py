"""aiodocker, used as an asyncio program would use it: many calls at once, streams beside commands."""

import asyncio
import io
import json
import tarfile
import time
from collections.abc import AsyncIterator
from typing import Any

import aiodocker
import pytest
from aiodocker.containers import DockerContainer
from aiodocker.exceptions import DockerError
from e2e_rig.engine import Engine


@pytest.fixture
async def aio(engine: Engine, no_containers: None) -> AsyncIterator[aiodocker.Docker]:
    """The client."""
    async with aiodocker.Docker(url=engine.host) as client:
        yield client


def config(*command: str, **more: Any) -> dict[str, Any]:
    """A create body without a network."""
    return {"Image": "busybox", "Cmd": list(command), "HostConfig": {"NetworkMode": "none"}} | more


async def running(aio: aiodocker.Docker, *command: str, **more: Any) -> DockerContainer:
    """A started container."""
    container = await aio.containers.create(config(*command, **more))
    await container.start()
    return container


async def test_run_wait_log_delete(aio: aiodocker.Docker, name: str) -> None:
    container = await aio.containers.run(config("sh", "-c", "echo out; echo err >&2; exit 4"), name=name)
    assert (await container.wait())["StatusCode"] == 4
    assert await container.log(stdout=True) == ["out\n"]
    assert await container.log(stderr=True) == ["err\n"]
    shown = await container.show()
    assert shown["Name"] == f"/{name}" and shown["State"]["ExitCode"] == 4
    await container.delete()
    with pytest.raises(DockerError) as caught:
        await container.show()
    assert caught.value.status == 404


async def test_twenty_at_once(aio: aiodocker.Docker) -> None:
    async def one(number: int) -> list[str]:
        container = await running(aio, "echo", str(number))
        await container.wait()
        lines = await container.log(stdout=True)
        await container.delete(force=True)
        return lines

    assert await asyncio.gather(*map(one, range(20))) == [[f"{number}\n"] for number in range(20)]


async def test_following_a_log(aio: aiodocker.Docker) -> None:
    container = await running(aio, "sh", "-c", "for n in 1 2 3; do echo $n; sleep 0.05; done")
    assert [line async for line in container.log(stdout=True, follow=True)] == ["1\n", "2\n", "3\n"]
    assert await container.log(stdout=True) == ["1\n", "2\n", "3\n"]


async def test_a_follower_that_leaves_early_harms_nobody(aio: aiodocker.Docker) -> None:
    container = await running(aio, "sh", "-c", "while :; do echo tick; sleep 0.01; done")
    async for line in container.log(stdout=True, follow=True):
        assert line.startswith("tick\n")
        break
    await container.kill()
    assert (await container.wait())["StatusCode"] == 137


async def test_events_beside_commands(aio: aiodocker.Docker, name: str) -> None:
    since = f"{time.time():.9f}"  # the subscription is made in a task: nobody knows when it is there
    channel = aio.events.subscribe(since=since, filters=json.dumps({"container": [name]}))
    container = await aio.containers.create(config("sh", "-c", "exit 3"), name=name)
    await container.start()
    await container.wait()
    await container.delete()
    seen = []
    while not seen or seen[-1] != ("container", "destroy"):
        event = await asyncio.wait_for(channel.get(), 20)
        assert event is not None
        seen.append((event["Type"], event["Action"]))
    await aio.events.stop()
    assert [action for kind, action in seen if kind == "container"] == ["create", "start", "die", "destroy"]


async def test_attach_both_ways(aio: aiodocker.Docker) -> None:
    container = await aio.containers.create(
        config("sh", "-c", "read line; echo got $line; echo why >&2", OpenStdin=True, StdinOnce=True, AttachStdin=True)
    )
    async with container.attach(stdin=True, stdout=True, stderr=True) as stream:
        await container.start()
        await stream.write_in(b"words\n")
        seen = []
        while message := await stream.read_out():
            seen.append((message.stream, message.data))
    assert sorted(seen) == [(1, b"got words\n"), (2, b"why\n")]


async def test_wait_begun_before_the_start(aio: aiodocker.Docker) -> None:
    container = await aio.containers.create(config("sh", "-c", "exit 6"))
    waiter = asyncio.ensure_future(container.wait(condition="next-exit"))
    await container.start()
    assert (await asyncio.wait_for(waiter, 20))["StatusCode"] == 6


async def test_stop_kill_restart_pause(aio: aiodocker.Docker) -> None:
    container = await running(aio, "sleep", "60")
    await container.pause()
    assert (await container.show())["State"]["Paused"]
    await container.unpause()
    first = (await container.show())["State"]["Pid"]
    await container.restart(t=0)
    assert (await container.show())["State"]["Pid"] not in (0, first)
    await container.stop(t=0)
    assert (await container.show())["State"]["ExitCode"] == 137
    with pytest.raises(DockerError) as caught:
        await container.kill()
    assert caught.value.status == 409


async def test_ports_and_listing(aio: aiodocker.Docker, name: str) -> None:
    host = {"NetworkMode": "bridge", "PortBindings": {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": ""}]}}
    container = await aio.containers.create(
        config("sleep", "60", HostConfig=host, ExposedPorts={"80/tcp": {}}, Labels={"n": name})
    )
    await container.start()
    (port,) = await container.port(80) or []
    assert port["HostIp"] == "127.0.0.1" and int(port["HostPort"]) > 0
    (found,) = await aio.containers.list(filters={"label": [f"n={name}"]})
    assert found.id == container.id and found["State"] == "running"


async def test_exec(aio: aiodocker.Docker) -> None:
    container = await running(aio, "sleep", "60")
    execution = await container.exec(["sh", "-c", "cat; echo $A >&2; exit 5"], stdin=True, environment={"A": "b"})
    seen: dict[int, bytes] = {}
    async with execution.start(detach=False) as stream:
        await stream.write_in(b"in\n")
        assert (message := await stream.read_out()) and message.data == b"in\n"
    # aiodocker can't take over a connection whose other end is closed already: the program waits for it.
    script = "read line; echo out; echo $A >&2; exit 5"
    execution = await container.exec(["sh", "-c", script], stdin=True, environment={"A": "b"})
    async with execution.start(detach=False) as stream:
        await stream.write_in(b"\n")
        while message := await stream.read_out():
            seen[message.stream] = seen.get(message.stream, b"") + message.data
    assert seen == {1: b"out\n", 2: b"b\n"}
    assert (await execution.inspect())["ExitCode"] == 5


async def test_archives(aio: aiodocker.Docker) -> None:
    container = await running(aio, "sleep", "60")
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        entry = tarfile.TarInfo("file")
        entry.size = 5
        archive.addfile(entry, io.BytesIO(b"words"))
    await container.put_archive("/tmp", buffer.getvalue())
    with await container.get_archive("/tmp/file") as archive:
        member = archive.extractfile("file")
        assert member is not None and member.read() == b"words"


async def test_stats(aio: aiodocker.Docker) -> None:
    container = await running(aio, "sleep", "60")
    (sample,) = await container.stats(stream=False)
    assert sample["memory_stats"]["usage"] > 0 and sample["pids_stats"]["current"] == 1
    seen = 0
    async for sample in container.stats(stream=True):
        assert sample["cpu_stats"]["cpu_usage"]["total_usage"] > 0
        seen += 1
        if seen == 2:
            break


async def test_rename_and_top(aio: aiodocker.Docker, name: str) -> None:
    container = await running(aio, "sleep", "60")
    await container.rename(name)
    assert (await container.show())["Name"] == f"/{name}"
    top = await container.top(ps_args="-o pid,args")
    assert [row[1] for row in top["Processes"]] == ["sleep 60"]
