"""Log drivers, rotation, and streams under load."""

import asyncio
import json
import os
import signal
import time
from pathlib import Path

import aiohttp
import pytest
from e2e_rig.api import Api, connect
from e2e_rig.docker_cli import DockerCli
from e2e_rig.engine import Engine
from e2e_rig.seaway import Seaway
from e2e_rig.waits import eventually
from test_events import past

ROTATED = ("--log-opt", "max-size=1m", "--log-opt", "max-file=3")
COUNT = "i=0; while [ $i -lt 5 ]; do i=$((i+1)); echo $i; done"


def files_of(engine: Engine, container: str) -> list[Path]:
    """A container's log files."""
    assert isinstance(engine, Seaway)
    place = engine.root / "agent" / engine.node / "containers" / container
    return sorted(path for path in place.glob("ctr.log*") if path.suffix != ".tmp")


def disk_of(engine: Engine, container: str) -> int:
    """Bytes that they take."""
    total = 0
    for path in files_of(engine, container):
        try:
            total += path.stat().st_size
        except FileNotFoundError:
            continue
    return total


# --- drivers and their options


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--log-opt", "foo=bar"), "unknown log opt 'foo' for json-file log driver"),
        (("--log-driver", "local", "--log-opt", "tag=x"), "unknown log opt 'tag' for log driver local"),
        (("--log-opt", "mode=zz"), "logger: logging mode not supported: zz"),
        (("--log-opt", "max-size=x"), "failed to initialize logging driver: invalid size: 'x'"),
        (
            ("--log-opt", "compress=true"),
            "compress cannot be true when max-file is less than 2 or max-size is not set",
        ),
    ],
)
def test_wrong_options_are_refused(cli: DockerCli, words: tuple[str, ...], sentence: str) -> None:
    result = cli.try_("run", *words, "busybox", "true")
    assert result.code and sentence in result.err


@pytest.mark.seaway_only  # Docker has these
def test_a_driver_that_is_not_there(cli: DockerCli) -> None:
    for driver in ("syslog", "gelf"):
        result = cli.try_("create", "--log-driver", driver, "busybox")
        assert f"logger: no log driver named '{driver}' is registered" in result.err


def test_no_driver_no_logs(cli: DockerCli, name: str) -> None:
    assert cli("run", "--name", name, "--log-driver", "none", "busybox", "echo", "hi").out == "hi"
    result = cli.try_("logs", name)
    assert result.code == 1 and "configured logging driver does not support reading" in result.err


@pytest.mark.parametrize("driver", ["json-file", "local"])
def test_both_drivers_with_a_file_keep_lines(cli: DockerCli, name: str, driver: str) -> None:
    cli("run", "--name", name, "--log-driver", driver, "busybox", "sh", "-c", COUNT)
    assert cli("logs", name).lines == ["1", "2", "3", "4", "5"]
    assert json.loads(cli("inspect", "-f", "{{json .HostConfig.LogConfig}}", name).out)["Type"] == driver


def test_details(cli: DockerCli, name: str) -> None:
    words = ("--label", "a=1", "--label", "b.x=2", "-e", "FOO=b ar", "-e", "BAZ=q,=x")
    opts = ("labels=a", "labels-regex=^b", "env=FOO,BAZ", "tag={{.Name}}-{{.ImageName}} x")
    given = [word for opt in opts for word in ("--log-opt", opt)]
    cli("run", "--name", name, *words, *given, "busybox", "echo", "hi")
    attributes = f"BAZ=q%2C%3Dx,FOO=b+ar,a=1,b.x=2,tag={name}-busybox+x"
    assert cli("logs", "--details", name).out == f"{attributes} hi"
    assert cli("logs", "--details", "-t", name).out.endswith(f"Z {attributes} hi")


def test_details_of_a_container_without_any(cli: DockerCli, name: str) -> None:
    cli("run", "--name", name, "busybox", "echo", "hi")
    assert cli("logs", "--details", name).out == " hi"


@pytest.mark.seaway_only
def test_lines_are_on_the_bus(cli: DockerCli, engine: Engine, name: str) -> None:
    import nats

    assert isinstance(engine, Seaway)
    suite: Seaway = engine

    async def listen() -> tuple[str, list[dict[str, object]]]:
        client = await nats.connect(suite.nats_url, user="cli", password=suite.secret("cli"), inbox_prefix="_INBOX.cli")
        found: list[dict[str, object]] = []
        seen = asyncio.Event()

        async def hear(message: nats.aio.msg.Msg) -> None:
            found.extend(json.loads(message.data)["lines"])
            if len(found) >= 2:
                seen.set()

        await client.subscribe("seaway.v1.logs.*.*", cb=hear)
        await client.flush()
        words = ("--name", name, "--log-driver", "nats", "busybox", "sh", "-c", "echo out; sleep 0.1; echo err >&2")
        container = await asyncio.to_thread(cli, "run", "-d", *words)
        await asyncio.wait_for(seen.wait(), 20)
        await client.close()
        return container.out, found

    _, found = asyncio.run(listen())
    assert [(line["stream"], line["text"]) for line in found] == [("stdout", "out"), ("stderr", "err")]
    assert all(str(line["time"]).endswith("Z") for line in found)
    assert cli("logs", name).lines == ["out"]


@pytest.mark.seaway_only
@pytest.mark.parametrize("options", [(), ("--log-opt", "max-size=64k", "--log-opt", "max-file=40")])
def test_no_line_is_missing_on_the_bus_when_agents_are_killed(
    cli: DockerCli, engine: Engine, name: str, options: tuple[str, ...]
) -> None:
    """Doubles have the same id."""
    import nats

    assert isinstance(engine, Seaway)
    suite: Seaway = engine
    lines = "i=$((i+1)); echo line $i; [ $((i%100)) -gt 0 ] || sleep 0.05"
    script = f"i=0; while [ ! -e /stop ]; do {lines}; done; echo end"

    async def listen() -> dict[str, str]:
        client = await nats.connect(suite.nats_url, user="cli", password=suite.secret("cli"))
        found: dict[str, str] = {}

        async def hear(message: nats.aio.msg.Msg) -> None:
            for line in json.loads(message.data)["lines"]:
                assert found.setdefault(line["id"], line["text"]) == line["text"]

        await client.subscribe("seaway.v1.logs.*.*", cb=hear)
        await client.flush()
        words = ("--name", name, "--log-driver", "nats", *options, "busybox", "sh", "-c", script)
        await asyncio.to_thread(cli, "run", "-d", *words)
        for _ in range(3):
            seen = len(found)
            await asyncio.to_thread(eventually, lambda seen=seen: len(found) > seen + 500, "more lines")
            agent = suite.processes()["agent"]
            os.kill(agent, signal.SIGKILL)
            await asyncio.to_thread(suite.restarted, "agent", agent)
        await asyncio.to_thread(cli, "exec", name, "touch", "/stop")
        await asyncio.to_thread(eventually, lambda: "end" in found.values(), "the last line", 30)
        await client.close()
        return found

    found = asyncio.run(listen())
    assert len(found) > 1500
    assert sorted(found.values()) == sorted(["end", *(f"line {number}" for number in range(1, len(found)))])


# --- rotation


@pytest.mark.seaway_only
def test_a_fast_writer_fills_no_disk(cli: DockerCli, engine: Engine, name: str) -> None:
    script = (
        "yes 0123456789012345678901234567890123456789012345678901234567890123456789 | head -c 400000000; echo; echo end"
    )
    container = cli("run", "-d", "--name", name, *ROTATED, "busybox", "sh", "-c", script).out
    most = 0
    while cli("inspect", "-f", "{{.State.Running}}", name).out == "true":
        most = max(most, disk_of(engine, container))
    assert most < 200 << 20, f"{most >> 20} MiB"
    eventually(lambda: len(files_of(engine, container)) <= 3, "the last rotation")
    assert cli("logs", "--tail", "1", name).out == "end"


@pytest.mark.seaway_only  # a follower of Docker's loses lines when files are rotated faster than it reads
@pytest.mark.parametrize("compress", ["false", "true"])
def test_following_over_rotations_loses_and_doubles_nothing(cli: DockerCli, name: str, compress: str) -> None:
    words = (*ROTATED, "--log-opt", f"compress={compress}")
    script = "for n in $(seq 1 60); do seq ${n}00001 ${n}02000; sleep 0.01; done"
    cli("run", "-d", "--name", name, *words, "busybox", "sh", "-c", script)
    expected = [str(n * 100000 + i) for n in range(1, 61) for i in range(1, 2001)]
    assert cli("logs", "-f", name).lines == expected


@pytest.mark.seaway_only
def test_a_log_that_grew_without_an_agent_is_rotated_by_the_next(
    cli: DockerCli, engine: Engine, name: str, tmp_path: Path
) -> None:
    assert isinstance(engine, Seaway)
    opts = ("--log-opt", "max-size=200k", "--log-opt", "max-file=2", "-v", f"{tmp_path}:/gate")
    script = "until [ -e /gate/1 ]; do sleep 0.05; done; seq 1 100000; touch /gate/done; "
    script += "until [ -e /gate/2 ]; do sleep 0.05; done; seq 100001 200000"
    container = cli("run", "-d", "--name", name, *opts, "busybox", "sh", "-c", script).out
    agent = engine.processes()["agent"]
    os.kill(agent, signal.SIGSTOP)
    (tmp_path / "1").touch()
    eventually((tmp_path / "done").exists, "the output", 30)
    assert disk_of(engine, container) > 4_000_000, "nobody rotates meanwhile"
    os.kill(agent, signal.SIGKILL)
    engine.restarted("agent", agent)
    log = files_of(engine, container)[0]
    eventually(lambda: log.name == "ctr.log" and log.stat().st_size < 200_000, "a rotation")
    with cli.spawn("logs", "-f", name) as follower:
        assert follower.stdout is not None and follower.stdout.readline() == b"1\n"
        (tmp_path / "2").touch()
        assert follower.stdout.read() == b"".join(b"%d\n" % number for number in range(2, 200_001))


@pytest.mark.seaway_only
def test_rotated_and_compressed_files_are_read(cli: DockerCli, engine: Engine, name: str) -> None:
    opts = ("--log-opt", "max-size=1m", "--log-opt", "max-file=20", "--log-opt", "compress=true")
    script = "for n in $(seq 1 12); do seq ${n}00001 ${n}04000; sleep 0.05; done"
    container = cli("run", "-d", "--name", name, *opts, "busybox", "sh", "-c", script).out
    cli("wait", name)
    expected = [str(n * 100000 + i) for n in range(1, 13) for i in range(1, 4001)]
    assert len(files_of(engine, container)) > 2
    assert cli("logs", name).lines == expected
    eventually(lambda: any(p.suffix == ".gz" for p in files_of(engine, container)), "a compressed file")
    assert cli("logs", name).lines == expected
    for tail in (0, 1, 5_000, 47_000, 10_000_000):
        assert cli("logs", "--tail", str(tail), name).lines == expected[max(0, len(expected) - tail) :]


# --- streams


def test_logs_of_one_enormous_line(cli: DockerCli, name: str) -> None:
    cli("run", "-d", "--name", name, "busybox", "sh", "-c", "head -c 30000000 /dev/zero | tr '\\0' x; echo; echo end")
    cli("wait", name)
    assert len(cli("logs", name).stdout) == 30_000_005
    assert cli("logs", "--tail", "1", name).out == "end"


def resident(engine: Engine) -> dict[str, int]:
    """Resident memory of the engine's processes, in MiB."""
    found = {}
    for name, pid in engine.processes().items():
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        found[name] = next(int(line.split()[1]) >> 10 for line in lines if line.startswith("VmRSS:"))
    return found


@pytest.mark.seaway_only  # Docker's daemon stalls the container
def test_a_reader_that_stalls_holds_back_nobody(cli: DockerCli, engine: Engine, name: str) -> None:
    script = "read go; yes 012345678901234567890123456789012345678901234567890123456789 | head -c 300000000; exit 4"
    cli("run", "-di", "--name", name, "busybox", "sh", "-c", script)
    before = resident(engine)
    query = "stream=1&stdout=1&stderr=1&stdin=1"
    head = (
        f"POST /v1.45/containers/{name}/attach?{query} HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n"
    )
    follow = f"GET /v1.45/containers/{name}/logs?stdout=1&follow=1 HTTP/1.1\r\nHost: d\r\n"
    with connect(str(engine.socket)) as attached, connect(str(engine.socket)) as follower:
        for client, request in ((attached, head), (follower, follow)):
            client.sendall(request.encode() + b"\r\n")
            assert client.recv(12).split()[1] in (b"101", b"200")
        attached.sendall(b"go\n")
        assert cli("wait", name, timeout=120).out == "4"
        after = resident(engine)
        assert all(after[one] - before[one] < 60 for one in before), (before, after)
        assert cli("logs", "--tail", "1", name).out


def test_several_clients_see_the_same(cli: DockerCli, api: Api, name: str) -> None:
    since = time.time()
    container = cli("create", "-i", "--name", name, "busybox", "cat").out
    with cli.spawn("start", "-ai", container) as first:
        assert first.stdin is not None and first.stdout is not None
        first.stdin.write(b"one\n")
        first.stdin.flush()
        assert first.stdout.readline() == b"one\n"
        with cli.spawn("attach", "--no-stdin", name) as second, cli.spawn("attach", "--no-stdin", name) as third:
            assert second.stdout is not None and third.stdout is not None
            eventually(lambda: len(past(api, since, container=container, event="attach")) == 3, "three clients")
            first.stdin.write(b"two\n")
            first.stdin.flush()
            assert [client.stdout.readline() for client in (first, second, third)] == [b"two\n"] * 3  # type: ignore[union-attr]
            cli("kill", name)


# --- websockets


class Sockets:
    """A client of attach/ws."""

    def __init__(self, engine: Engine) -> None:
        self._path = str(engine.socket)

    async def talk(self, container: str, query: str, send: list[bytes | str], start: bool = True) -> tuple[bytes, int]:
        """All that comes until the server closes (or what was sent has come back), and the close code."""
        connector = aiohttp.UnixConnector(self._path)
        url, found = f"http://d/v1.45/containers/{container}", b""
        async with aiohttp.ClientSession(connector=connector) as session, asyncio.timeout(20):
            socket = await session.ws_connect(f"{url}/attach/ws?{query}")
            if start:
                async with session.post(f"{url}/start") as reply:
                    assert reply.status == 204
            for piece in send:
                await (socket.send_str(piece) if isinstance(piece, str) else socket.send_bytes(piece))
            async for message in socket:
                assert message.type is aiohttp.WSMsgType.BINARY
                found += message.data
                if send and len(found) == sum(map(len, send)):
                    await socket.close()
            return found, int(socket.close_code or 0)


def test_a_websocket_carries_plain_bytes_both_ways(cli: DockerCli, engine: Engine, name: str) -> None:
    cli("create", "-i", "--name", name, "busybox", "cat")
    sent: list[bytes | str] = [b"bytes \xff\n", "text\n"]
    found, code = asyncio.run(Sockets(engine).talk(name, "stream=1&stdin=1&stdout=1&stderr=1", sent))
    assert (found, code) == (b"bytes \xff\ntext\n", 1000)
    eventually(lambda: cli("inspect", "-f", "{{.State.Running}}", name).out == "false", "the end of cat")


def test_a_websocket_ends_with_the_container(cli: DockerCli, engine: Engine, name: str) -> None:
    cli("create", "--name", name, "busybox", "sh", "-c", "echo out; echo err >&2")
    found, code = asyncio.run(Sockets(engine).talk(name, "stream=1&stdout=1&stderr=1", []))
    assert (sorted(found.splitlines()), code) == ([b"err", b"out"], 1000)
    again, _ = asyncio.run(Sockets(engine).talk(name, "logs=1&stdout=1&stderr=1", [], start=False))
    assert sorted(again.splitlines()) == [b"err", b"out"]


def test_attach_ws_without_a_websocket(api: Api, cli: DockerCli, name: str) -> None:
    cli("create", "--name", name, "busybox")
    assert api.request("GET", f"/v1.45/containers/{name}/attach/ws?stream=1").status == 400
