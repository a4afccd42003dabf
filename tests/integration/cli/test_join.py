"""`seaway token`, `seaway join`, `seaway doctor`: a machine gets an identity of its own, at a real NATS server."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.integration.cli.bus_users import bus_of, foreign, hearing, nats_url

from seaway_bus.bus import Bus
from seaway_bus.node_keys import new_seed, public_key
from seaway_bus.transport import NotConnected
from seaway_cli import control
from seaway_cli.nats_login import Login
from seaway_contracts import catalogue
from seaway_contracts.base import Empty
from seaway_contracts.joining import NodeIdentity
from seaway_contracts.nodes import NodeEvent
from seaway_metadata.store.stored import encode
from seaway_testing.builders import beat
from seaway_testing.waiting import GUARD_S, until

if TYPE_CHECKING:
    from conftest import TinySuite

pytestmark = pytest.mark.root
COMMANDS = Path(sys.executable).parent


_OF_NODE = ("nats", "login", "metadata", "clock", "version", "images")


@dataclass
class Machine:
    """Another machine's directories."""

    base: Path
    suite: "TinySuite"

    @property
    def places(self) -> list[str]:
        return ["--root", str(self.base / "root"), "--run", str(self.base / "run")]

    @property
    def joined(self) -> Path:
        return self.base / "root" / "join"

    def join(self, token: str, *words: str) -> subprocess.CompletedProcess[str]:
        return self.suite.with_places(["join", nats_url(self.suite), "--token", token, *words, *self.places])

    def doctor(self) -> tuple[int, dict[str, bool]]:
        """The exit code of `seaway doctor`, and what of the node is well."""
        done = self.suite.with_places(["doctor", "--json", *self.places])
        findings = {finding["what"]: finding["level"] != "fail" for finding in json.loads(done.stdout)}
        return done.returncode, {what: findings[what] for what in _OF_NODE if what in findings}

    @property
    def seed(self) -> str:
        return (self.joined / "nkey").read_text().strip()

    async def bus(self, node: str) -> Bus:
        """A connection as its agent makes it. Raises NotConnected."""
        return await Bus.connect(nats_url(self.suite), name="test", user=f"agent.{node}", seed=self.seed)


@pytest.fixture
def machine(suite: "TinySuite", tmp_path: Path) -> Machine:
    return Machine(tmp_path / "machine", suite)


def created(suite: "TinySuite", *words: str) -> str:
    """A new token."""
    done = suite.seaway("token", "create", *words)
    assert done.returncode == 0, done.stderr
    words_of_join = done.stdout.split()
    return words_of_join[words_of_join.index("--token") + 1]


async def test_a_machine_joins_and_its_key_is_its_login(suite: "TinySuite", machine: Machine) -> None:
    assert suite.up("--node", "n1").returncode == 0
    token = created(suite, "--label", "disk=ssd")
    done = machine.join(token, "--node", "n2")
    assert done.returncode == 0, done.stderr
    assert f"seaway-agent --config {machine.joined}/agent.toml" in done.stdout
    config = tomllib.loads((machine.joined / "agent.toml").read_text())
    assert (config["node"], config["nats_user"], config["label"]) == ("n2", "agent.n2", ["disk=ssd"])
    assert machine.joined.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in machine.joined.iterdir()} == {0o600}
    assert machine.seed not in (suite.run / "nats" / "nats.conf").read_text()

    agent = await machine.bus("n2")
    async with bus_of(suite, "api") as api, asyncio.timeout(GUARD_S):
        while [one.node for one in (await api.call(catalogue.LIST_NODES, Empty())).nodes] != ["n2"]:
            await agent.publish(catalogue.BEAT, beat("n2"), node="n2")
            await asyncio.sleep(0.05)
    assert suite.seaway("node", "keys").stdout == f"n2={public_key(machine.seed)}\n"
    (listed,) = json.loads(suite.seaway("token", "ls", "--json").stdout)
    assert (listed["joined"], listed["uses"], listed["labels"]) == (["n2"], 1, {"disk": "ssd"})

    added = suite.seaway("node", "add", "n2")
    assert (added.returncode, "n2 has joined by a token, and has a key" in added.stderr) == (1, True)

    code, well = machine.doctor()
    assert (code, well) == (
        1,
        {"nats": True, "login": True, "metadata": True, "clock": True, "version": True, "images": False},
    ), "there is no image service in this suite"
    again = machine.join(token, "--node", "n2")
    assert (again.returncode, "this machine has joined already" in again.stderr) == (1, True)

    assert suite.seaway("down").returncode == 0
    assert suite.up("--node", "n1").returncode == 0
    login = Login(nats_url(suite), "agent.n2", seed=machine.seed)
    assert login.works(), "its key is in the configuration of the next start too"
    await agent.close()

    removed = suite.seaway("node", "rm", "n2")
    assert removed.returncode == 0, removed.stderr
    await until(lambda: not login.works())
    with pytest.raises(NotConnected):
        await machine.bus("n2")
    assert machine.doctor() == (1, {"nats": True, "login": False})


async def test_tokens_that_admit_nobody_leave_nothing(suite: "TinySuite", machine: Machine, tmp_path: Path) -> None:
    assert suite.up("--node", "n1").returncode == 0
    token = created(suite)
    other = Machine(tmp_path / "other", suite)
    async with foreign(suite, "cli") as listener:
        heard = await hearing(listener, catalogue.NODE_REFUSE.template.wildcard())
        assert machine.join(token, "--node", "n2").returncode == 0
        foreign_token = token[:-4] + ("AAAA" if not token.endswith("AAAA") else "BBBB")
        made_up = token.replace(token.split("-")[2], "0" * 32)
        removed = created(suite)
        assert suite.seaway("token", "rm", removed).returncode == 0
        spent = created(suite, "--ttl", "1s")
        await until(lambda: "expired" in suite.seaway("token", "ls").stdout)
        for word, node, sentence in (
            (token, "n3", "n3 was refused: the token was used as often as it may be"),
            (made_up, "n3", "n3 was refused: this cluster has no such token"),
            (removed, "n3", "n3 was refused: this cluster has no such token"),
            (spent, "n3", "n3 was refused: the token has expired"),
            (created(suite), "n2", "n2 was refused: the cluster has a node n2 already"),
            (foreign_token, "n3", "this machine can't join: the NATS server at 127.0.0.1:"),
            ("secret", "n3", "this is no token"),
            (token, "all", "no node may be called 'all'"),
        ):
            refused = other.join(word, "--node", node)
            assert refused.returncode != 0 and sentence in refused.stderr, (sentence, refused.stderr)
            assert refused.stderr.count("\n") == 1
            assert not (other.base / "root").exists()
        await until(lambda: len(heard) == 5)
        reasons = [NodeEvent.model_validate_json(message.data).reason for message in heard]
        assert reasons == ["used", "unknown", "unknown", "expired", "name"]


async def test_a_machine_that_joins_can_do_nothing_else(suite: "TinySuite") -> None:
    assert suite.up("--node", "n1").returncode == 0
    async with foreign(suite, "join") as client, bus_of(suite, "api"):
        heard = await hearing(client, ">")
        for subject in ("seaway.v1.metadata.node.list", "$JS.API.INFO", "seaway.v1.node.n1.do.container.start"):
            await client.publish(subject, b"{}", reply="_INBOX.join.x")
        await client.flush()
        assert heard == []


def test_tokens_of_a_cluster_without_a_suite_here(suite: "TinySuite", machine: Machine) -> None:
    assert suite.up("--node", "n1").returncode == 0
    there = ("--nats", nats_url(suite), "--nats-passwords", str(suite.root / "secrets"))
    made = suite.with_places(["token", "create", *there])
    assert made.returncode == 0, made.stderr
    assert machine.join(made.stdout.split("--token ")[1].split()[0], "--node", "n2").returncode == 0
    assert suite.with_places(["node", "keys", *there]).stdout == f"n2={public_key(machine.seed)}\n"
    (listed,) = json.loads(suite.with_places(["token", "ls", "--json", *there]).stdout)
    removed = suite.with_places(["token", "rm", listed["id"], *there])
    assert removed.stdout == f"The token {listed['id']} was removed. Nodes that joined by it stay: n2.\n"
    without = suite.with_places(["token", "ls", *there[:2]])
    assert (without.returncode, "--nats needs --nats-passwords" in without.stderr) == (2, True)


async def test_a_removed_node_is_disconnected_also_where_its_name_is_given_anew(
    suite: "TinySuite", machine: Machine, tmp_path: Path
) -> None:
    assert suite.up("--node", "n1").returncode == 0
    assert machine.join(created(suite), "--node", "n2").returncode == 0
    agent = await machine.bus("n2")
    assert suite.seaway("node", "rm", "n2").returncode == 0
    await until(lambda: not agent.transport.connected)
    other = Machine(tmp_path / "other", suite)
    done = other.join(created(suite), "--node", "n2")
    assert done.returncode == 0, done.stderr
    assert not agent.transport.connected
    successor = await other.bus("n2")

    def rekeyed() -> None:  # n2 with another key, in one reload
        found = json.loads((suite.root / "node_keys.json").read_text())
        found["nodes"]["n2"] = public_key(new_seed())
        (suite.root / "node_keys.json").write_text(json.dumps(found))
        assert control.ask(suite.run / "control.sock", "reload") == {"reloaded": True}

    rekeyed()
    await until(lambda: not successor.transport.connected)
    for bus in (agent, successor):
        await bus.close()


async def test_a_key_under_a_second_name_is_refused_and_ends_nothing(
    suite: "TinySuite", machine: Machine, tmp_path: Path
) -> None:
    assert suite.up("--node", "n1").returncode == 0
    token = created(suite, "--uses", "3")
    assert machine.join(token, "--node", "n2").returncode == 0
    seed = machine.seed
    (machine.joined / "agent.toml").unlink()
    second = machine.join(token, "--node", "n3")
    assert (second.returncode, "n3 was refused: this machine's key is another node's" in second.stderr) == (1, True)
    assert machine.seed == seed, "it is n2's still"
    other = Machine(tmp_path / "other", suite)
    assert other.join(token, "--node", "n4").returncode == 0
    assert suite.seaway("node", "keys").stdout.count("\n") == 2


def test_a_token_is_no_way_to_a_node_that_was_added(suite: "TinySuite", machine: Machine) -> None:
    assert suite.up("--node", "n1").returncode == 0
    assert suite.seaway("node", "add", "n2").returncode == 0
    refused = machine.join(created(suite), "--node", "n2", "--wait", "0.5")
    assert refused.returncode == 1
    assert "n2 is admitted, but the NATS server does not let it in yet" in refused.stderr
    assert f"adds n2={public_key(machine.seed)}" in refused.stderr
    assert not (machine.joined / "agent.toml").exists()
    assert not Login(nats_url(suite), "agent.n2", seed=machine.seed).works()


def test_an_interrupted_join_goes_on_with_the_same_key(suite: "TinySuite", machine: Machine) -> None:
    assert suite.up("--node", "n1").returncode == 0
    token = created(suite)
    assert machine.join(token, "--node", "n2").returncode == 0
    seed = machine.seed
    (machine.joined / "agent.toml").unlink()  # as if it had been killed before
    again = machine.join(token, "--node", "n2")
    assert again.returncode == 0, again.stderr
    assert machine.seed == seed and (machine.joined / "agent.toml").exists()


def test_after_metadata_was_killed_a_machine_joins(suite: "TinySuite", machine: Machine) -> None:
    assert suite.up("--node", "n1").returncode == 0
    token = created(suite)
    os.kill(suite.rows()["metadata"]["pid"], signal.SIGKILL)
    done = machine.join(token, "--node", "n2")
    assert done.returncode == 0, done.stderr


async def test_a_join_with_a_thousand_nodes_known(suite: "TinySuite", machine: Machine) -> None:
    assert suite.up("--node", "n1").returncode == 0
    token = created(suite)
    async with bus_of(suite, "metadata") as records:
        bucket = await records.transport.bucket(catalogue.IDENTITIES_BUCKET)
        for number in range(1000):
            one = NodeIdentity(node=f"known{number}", public_key=public_key(new_seed()), since_ns=1)
            await bucket.create(one.node, encode(one))
    began = time.monotonic()
    done = await asyncio.to_thread(machine.join, token, "--node", "n2")
    assert done.returncode == 0, done.stderr
    print(f"a join with 1,000 nodes known, all of them new to the server: {time.monotonic() - began:.2f} s")
    other, token = Machine(machine.base.with_name("other"), suite), created(suite)
    began = time.monotonic()
    done = await asyncio.to_thread(other.join, token, "--node", "n3")
    assert done.returncode == 0, done.stderr
    print(f"the next one: {time.monotonic() - began:.2f} s")
    assert (suite.run / "nats" / "nats.conf").read_text().count('"nkey"') == 1002
