"""R5: NATS is away for minutes: what runs goes on by itself, and all that happened is told when it is back."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from chaos_rig import stream
from chaos_rig.clean import leaving_nothing
from chaos_rig.client import Client
from chaos_rig.commands import Commands
from chaos_rig.figures import Figures
from chaos_rig.networked import Networked
from chaos_rig.outage import Outage
from chaos_rig.scale import scaled
from chaos_rig.suite import ChaosSuite
from e2e_rig import census
from e2e_rig.api import Reply
from e2e_rig.waits import eventually

from seaway_testing.nats_server import NatsServer

pytestmark = [pytest.mark.root, pytest.mark.timeout(1500)]
_TOLD_S = 5.0
_FREE_S = 10.0
_CLIENTS = 16


@pytest.fixture(scope="module")
def on_a_server(chaos_directory: Path) -> Iterator[tuple[ChaosSuite, NatsServer]]:
    """A suite on a NATS server that nobody starts again by himself."""
    server = NatsServer(chaos_directory / "nats", extra="max_payload: 8MB").start()
    suite: ChaosSuite | None = None
    try:
        suite = ChaosSuite(chaos_directory / "b", nats=server.url)
        suite.start()
        suite.warm()
        yield suite, server
    finally:
        if suite is not None:
            suite.purge()
        server.kill()


def _stopped(server: NatsServer, suite: ChaosSuite) -> Callable[[], None]:
    """Stop it in good order; gives what brings it back."""
    server.stop()
    return lambda: server.start() and None


def _frozen(server: NatsServer, suite: ChaosSuite) -> Callable[[], None]:
    """Nobody is told that it is away."""
    pid = server.pid
    os.kill(pid, signal.SIGSTOP)
    return lambda: os.kill(pid, signal.SIGCONT)


@pytest.mark.parametrize(
    ("how", "away_s"), [(_stopped, scaled(600, 5)), (_frozen, scaled(60, 4))], ids=["stopped", "frozen"]
)
def test_r5_the_bus_is_away(
    on_a_server: tuple[ChaosSuite, NatsServer],
    figures: Figures,
    tmp_path: Path,
    how: Callable[[NatsServer, ChaosSuite], Callable[[], None]],
    away_s: int,
) -> None:
    suite, server = on_a_server
    with leaving_nothing(suite):
        scene = Outage(Client(suite.api), tmp_path, scaled(200, 30))
        with Commands(suite.api, tmp_path) as commands:
            eventually(lambda: len(commands.acknowledged) >= 10, "commands")
            before = len(commands.acknowledged)
            come_back = how(server, suite)
            began = time.monotonic()
            scene.let_end()
            restarts = scene.runs()
            scene.goes_on()
            eventually(lambda: commands.refused, "a command that was refused", 60)
            time.sleep(max(0.0, away_s - (time.monotonic() - began)))  # the length of the outage is what is tested
            eventually(lambda: census.take(suite).processes["conmon"] <= 2, "the shims of what has ended to be gone", 5)
            restarts = scene.runs() - restarts
            come_back()
            back = time.monotonic()
            eventually(scene.all_told, "all die events", 30)
            took = time.monotonic() - back
            again = len(commands.acknowledged)
            eventually(lambda: len(commands.acknowledged) > again, "commands", 30)
        eventually(commands.settled, "what was acknowledged")
        scene.check()
        commands.check()
        events = stream.check(suite, scene.since, [*scene.ends, scene.again])
        assert took < _TOLD_S
    figures.show(
        "R5",
        f"NATS {how.__name__[1:]} for {away_s} s: {len(scene.ends)} ends meanwhile, all told {took:.1f} s after its "
        f"return; {restarts} restarts meanwhile; {events} events without gap or double; {len(commands.acknowledged)} "
        f"commands acknowledged ({before} before) and done once, {len(commands.refused)} refused",
    )


def _create(suite: ChaosSuite, name: str) -> Reply:
    body = {"Image": "busybox", "Cmd": ["true"], "HostConfig": {"NetworkMode": "none"}}
    return suite.api.request("POST", f"/containers/create?name={name}", body, timeout=90)


def _until_refused(suite: ChaosSuite, client: int) -> str:
    """Create one container after another; the name of the first that failed."""
    for number in range(10_000):
        name = f"c{client}-{number}"
        if (reply := _create(suite, name)).status != 201:
            assert reply.status in (503, 504), reply
            return name
    raise AssertionError("none has failed")


@pytest.mark.parametrize("how", [_stopped, _frozen], ids=["stopped", "frozen"])
def test_r5_the_names_of_creates_that_failed(
    on_a_server: tuple[ChaosSuite, NatsServer],
    figures: Figures,
    how: Callable[[NatsServer, ChaosSuite], Callable[[], None]],
) -> None:
    """At whatever step the outage met them: soon after it their names can be had."""
    suite, server = on_a_server
    with leaving_nothing(suite), ThreadPoolExecutor(_CLIENTS) as pool:
        tries = [pool.submit(_until_refused, suite, client) for client in range(_CLIENTS)]
        eventually(lambda: len(suite.api.get("/containers/json?all=1")) > 2 * _CLIENTS, "creates")
        come_back = how(server, suite)
        names = [one.result() for one in tries]
        come_back()
        back = time.monotonic()
        suite.whole()
        for name in names:
            eventually(lambda: _create(suite, name).status == 201, f"the name {name}", 60)  # noqa: B023
        took = time.monotonic() - back
    assert took < _FREE_S
    figures.show("R5", f"NATS {how.__name__[1:]} under {_CLIENTS} creates: names free {took:.1f} s after its return")


def _as_it_was(client: Client, names: dict[str, str], pids: dict[str, int]) -> None:
    """All containers are known by their names, which are taken, and those that ran do."""

    def known() -> bool:
        rows = client.steadily("GET", "/containers/json?all=1").json()
        return {row["Id"]: row["Names"][0][1:] for row in rows} == names

    eventually(known, "all containers", 30)
    assert {container: client.state(container)["Pid"] for container in pids} == pids
    for name in names.values():
        reply = client.steadily("POST", f"/containers/create?name={name}", {"Image": "busybox"})
        assert reply.status == 409, reply


def test_nats_comes_back_empty(on_a_server: tuple[ChaosSuite, NatsServer], figures: Figures, tmp_path: Path) -> None:
    """Under a running suite, and while it is down: nobody has to do anything. Only the history is gone."""
    suite, server = on_a_server
    os.mkfifo(tmp_path / "gate")
    with leaving_nothing(suite):
        client, since = Client(suite.api), time.time()
        ends = client.create("ends", "read go < /gates/gate; exit 7", Binds=[f"{tmp_path}:/gates"])
        goes_on = client.create("before", "sleep 1000", NetworkMode="bridge")
        volumes = _volumes(client)
        idle = client.create(
            "idle", "grep kept /kept/f && exit 3", NetworkMode="bridge", Binds=["used:/used", "kept:/kept"]
        )
        for container in (ends, goes_on):
            client.start(container)
        assert client.steadily("POST", f"/containers/{goes_on}/rename?name=goes-on").status == 204
        names = {ends: "ends", goes_on: "goes-on", idle: "idle"}
        pids = {goes_on: int(client.state(goes_on)["Pid"])}
        networks = Networked(client, goes_on, "goes-on", idle)
        server.kill()
        server.wipe()
        (tmp_path / "gate").write_text("\n")
        eventually(lambda: census.take(suite).processes["conmon"] == 1, "the end of one container")
        server.start()
        began = time.monotonic()
        suite.whole()
        _as_it_was(client, names, pids)
        took = time.monotonic() - began
        networks.check("used", "made", "unused")  # metadata, which runs on, knows what no node has
        _volumes_are(client, volumes)
        assert client.wait(ends) == 7
        eventually(lambda: client.told(since, ends), "what waited in the outbox", 30)
        assert client.told(since, ends) == ["die"], "what was stored is gone"
        suite.stop()
        server.kill()
        server.wipe()
        server.start()
        suite.start()
        suite.whole()
        _as_it_was(client, names, pids | {ends: 0, idle: 0})
        assert client.history(since) == []
        client.start(idle)
        assert client.wait(idle) == 3 and client.told(since, idle) == ["start", "die"]
        networks.check("used", "made")
        networks.remove(goes_on, idle)
        _volumes_are(client, volumes)
        client.remove(idle)
        for volume in volumes:
            assert client.steadily("DELETE", f"/volumes/{volume['Name']}").status == 204
    figures.show("R5", f"NATS came back empty: all known again after {took:.1f} s, under a running suite")


def _volumes(client: Client) -> list[dict[str, Any]]:
    """What inspect says of volumes: with data and without, with a container and without, with a name and without."""
    fills = client.create(
        "fills", "echo kept > /kept/f", Binds=["kept:/kept"], Mounts=[{"Type": "volume", "Target": "/m"}]
    )
    client.start(fills)
    assert client.wait(fills) == 0
    (nameless,) = (one["Name"] for one in client.inspect(fills)["Mounts"] if one["Destination"] == "/m")
    assert client.steadily("DELETE", f"/containers/{fills}").status == 204
    for name in ("unused", "used"):
        assert client.steadily("POST", "/volumes/create", {"Name": name, "Labels": {"of": name}}).status == 201
    return [client.steadily("GET", f"/volumes/{name}").json() for name in ("kept", "unused", "used", nameless)]


def _volumes_are(client: Client, volumes: list[dict[str, Any]]) -> None:
    """They are as they were, and there are no others."""
    shown = {row["Name"]: row for row in client.steadily("GET", "/volumes").json()["Volumes"]}
    assert shown == {row["Name"]: row for row in volumes}
