"""Nodes at an outside NATS server, whose owner lets them in and out by deploy/nats/make-users."""

import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.integration.cli.bus_users import eventually

from seaway_bus.bus import Bus
from seaway_cli.nats_login import Login
from seaway_contracts import catalogue
from seaway_contracts.base import Empty
from seaway_testing.builders import beat
from seaway_testing.nats_server import NatsServer
from seaway_testing.ports import free_port
from seaway_testing.waiting import until, wait

if TYPE_CHECKING:
    from conftest import TinySuite

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(not (shutil.which("nats-server") and shutil.which("openssl")), reason="a tool is missing"),
]
REPO = Path(__file__).parents[3]


class OutsideServer:
    """A nats-server with deploy's configuration and users, as its owner runs it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.etc = directory / "etc/seaway"
        self.passwords = self.etc / "passwords"
        self.port = free_port()
        self.url = f"nats://127.0.0.1:{self.port}"
        self.there = ("--nats", self.url, "--nats-passwords", str(self.passwords))
        self.make_users("n1", "n3")
        text = (REPO / "deploy/nats/single.conf").read_text().replace("/var/lib/seaway/nats", str(directory / "store"))
        (self.etc / "nats.conf").write_text(text.replace("4222", str(self.port)).replace("8222", "-1"))
        variables = dict(line.split("=", 1) for line in (self.etc / "nats.env").read_text().splitlines())
        words = ["nats-server", "--config", str(self.etc / "nats.conf")]
        self.process = subprocess.Popen(words, env=os.environ | variables, stderr=subprocess.DEVNULL)
        wait(lambda: Login(self.url, "api", self.password("api")).works())

    def password(self, user: str) -> str:
        return (self.passwords / user).read_text().strip()

    def make_users(self, *nodes: str) -> None:
        env = [f"DESTDIR={self.directory}", f"PYTHON={sys.executable}"]
        words = ["env", *env, "deploy/nats/make-users", *nodes]
        done = subprocess.run(words, cwd=REPO, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr

    def reload(self) -> None:
        self.process.send_signal(signal.SIGHUP)

    def close(self) -> None:
        self.process.terminate()
        self.process.wait()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[OutsideServer]:
    made = OutsideServer(tmp_path / "server")
    yield made
    made.close()


@pytest.fixture
def outside(server: OutsideServer, suite: "TinySuite") -> "TinySuite":
    started = suite.up("--node", "n1", *server.there)
    assert started.returncode == 0, started.stderr
    return suite


async def beats(url: str, node: str, *, password: str = "", seed: str = "") -> None:
    """Beat once, as the node's agent does."""
    user = f"agent.{node}" if password or seed else ""
    bus = await Bus.connect(url, name="test", user=user, password=password, seed=seed)
    await bus.publish(catalogue.BEAT, beat(node), node=node)
    await bus.close()


async def nodes_are(server: OutsideServer, *expected: str) -> None:
    api = await Bus.connect(server.url, name="test", user="api", password=server.password("api"))

    async def found() -> list[str]:
        return [record.node for record in (await api.call(catalogue.LIST_NODES, Empty())).nodes]

    try:
        await eventually(found, lambda nodes: nodes == list(expected))
    finally:
        await api.close()


async def test_a_node_joins_and_leaves_by_what_the_owner_is_told(
    server: OutsideServer, outside: "TinySuite", tmp_path: Path
) -> None:
    token = outside.seaway("token", "create").stdout.split("--token ")[1].split()[0]
    places = ["--root", str(tmp_path / "n2/root"), "--run", str(tmp_path / "n2/run")]
    joined: list[subprocess.CompletedProcess[str]] = []
    words = ["join", server.url, "--token", token, "--node", "n2", *places]
    joining = threading.Thread(target=lambda: joined.append(outside.with_places(words)))
    joining.start()
    await until(lambda: outside.seaway("node", "keys").stdout.startswith("n2=U"))
    server.make_users("n1", "n3", *outside.seaway("node", "keys").stdout.split())
    seed = (tmp_path / "n2/root/join/nkey").read_text().strip()
    login = Login(server.url, "agent.n2", seed=seed)
    server.reload()
    await until(login.works)
    server.reload()
    joining.join()
    assert joined[0].returncode == 0, joined[0].stderr
    await beats(server.url, "n2", seed=seed)
    await nodes_are(server, "n2")

    refused = outside.seaway("node", "add", "n4")
    assert (refused.returncode, "its owner makes users there, by deploy/nats/make-users" in refused.stderr) == (1, True)
    removed = outside.seaway("node", "rm", "n2")
    assert removed.returncode == 0, removed.stderr
    assert removed.stdout.startswith("Node n2 was removed. What runs on its machine still runs")
    assert f"The NATS server at {server.url} still lets the agent of n2 in" in removed.stdout
    assert "The server's owner runs deploy/nats/make-users with the nodes that stay" in removed.stdout
    await nodes_are(server)
    assert outside.seaway("node", "keys").stdout == ""
    assert login.works()
    server.make_users("n1", "n3", *outside.seaway("node", "keys").stdout.split())
    server.reload()
    await until(lambda: not login.works())
    again = outside.seaway("node", "rm", "n2")
    assert (again.returncode, again.stderr) == (1, "seaway: no such node: n2\n")


async def test_a_node_with_a_password_leaves(server: OutsideServer, outside: "TinySuite") -> None:
    await beats(server.url, "n3", password=server.password("agent.n3"))
    await nodes_are(server, "n3")
    removed = outside.with_places(["node", "rm", "n3", "--json", *server.there])
    assert (removed.returncode, removed.stdout) == (0, '{"node": "n3", "containers": 0, "login_stays": true}\n')
    await nodes_are(server)
    await beats(server.url, "n3", password=server.password("agent.n3"))
    await nodes_are(server)
    none = outside.seaway("node", "rm", "n3")
    assert (none.returncode, none.stderr) == (1, "seaway: no such node: n3\n")


async def test_a_node_leaves_where_nobody_has_a_password(suite: "TinySuite", tmp_path: Path) -> None:
    nats = NatsServer(tmp_path / "nats").start()
    try:
        assert suite.up("--node", "n1", "--nats", nats.url).returncode == 0
        await beats(nats.url, "n2")
        refused = suite.seaway("token", "create")
        assert (refused.returncode, "nobody could be kept out: nodes can't join" in refused.stderr) == (1, True)
        removed = suite.seaway("node", "rm", "n2")
        assert (removed.returncode, removed.stdout.count("\n")) == (0, 1), removed.stderr
        assert removed.stdout.startswith("Node n2 was removed.")
    finally:
        suite.seaway("down")
        nats.kill()
