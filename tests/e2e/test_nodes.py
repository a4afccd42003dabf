"""A second agent joins: containers spread, every command finds its container, a dead node is told of."""

import asyncio
import json
import os
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nats
import pytest
from e2e_rig import images
from e2e_rig.docker_cli import DockerCli
from e2e_rig.engine import Daemon
from e2e_rig.seaway import COMMANDS, Seaway, seaway
from e2e_rig.waits import eventually
from test_events import past

from seaway_contracts.catalogue import BEAT

pytestmark = [pytest.mark.seaway_only, pytest.mark.own_engines]
NODES = ("n1", "n2")


@pytest.fixture(scope="module")
def suite(e2e_directory: Path) -> Iterator[Seaway]:
    """A suite of its own, with node n1."""
    made = Seaway(e2e_directory / "two")
    made.start()
    yield made
    made.purge()


class Second:
    """Node n2: an agent alone, with directories of its own."""

    def __init__(self, suite: Seaway, place: Path, *more: str) -> None:
        """`more`: further options of its agent."""
        self.place = place
        words = [str(COMMANDS / "seaway-agent"), "--node", "n2", "--root", f"{place}/root", "--run", f"{place}/run"]
        added = seaway("node", "add", "n2", "--root", str(suite.root), "--run", str(suite.run))
        assert added.returncode == 0, added.stderr
        words += ["--nats", suite.nats_url, "--nats-user", "agent.n2"]
        self._words = [*words, "--nats-password-file", f"{suite.root}/secrets/agent.n2", *more]
        self._daemon: Daemon | None = None
        self._starts = 0

    def start(self) -> None:
        """Start its agent; returns when it is ready."""
        self._starts += 1
        self._daemon = daemon = Daemon(self._words, self.place / f"agent{self._starts}.log")
        daemon.until(lambda: "is ready" in daemon.log.read_text(), "the second agent")

    def start_another(self, *words: str) -> tuple[int, str]:
        """Start one more agent with the same words and these; its exit code and last line."""
        done = subprocess.run([*self._words, *words], capture_output=True, text=True, timeout=60)
        refusal = next(line for line in done.stderr.splitlines() if "can't run" in line)
        return done.returncode, refusal

    @property
    def log(self) -> str:
        """What its agent has logged since its last start."""
        return (self.place / f"agent{self._starts}.log").read_text()

    def kill(self) -> None:
        """kill -9."""
        assert self._daemon is not None
        self._daemon.process.kill()
        self._daemon.process.wait()
        self._daemon = None

    def stop(self) -> None:
        """SIGTERM, if it runs."""
        if self._daemon is not None:
            assert self._daemon.stop() == 0
            self._daemon = None


@pytest.fixture(scope="module")
def second(suite: Seaway, e2e_directory: Path) -> Iterator[Second]:
    """The second node; it is cleaned at the end."""
    place = Path(tempfile.mkdtemp(prefix="n2-", dir=e2e_directory))  # other modules use this fixture too
    made = Second(suite, place)
    made.start()
    yield made
    made.stop()
    done = seaway("purge", "--root", f"{place}/root", "--run", f"{place}/run")
    assert done.returncode == 0, done.stderr


@pytest.fixture
def on_two(suite: Seaway, second: Second, docker_config: Path) -> Iterator[DockerCli]:
    """The docker CLI, with the image loaded and both nodes up."""
    cli = DockerCli(suite.host, docker_config)
    cli("load", "-q", input=images.busybox_archive())
    eventually(lambda: spread(cli, suite) == set(NODES), "containers on both nodes", 20)
    suite.api.remove_all()
    yield cli
    suite.api.remove_all()


def node_of(suite: Seaway, container: str) -> str:
    """On which node a container is."""
    return str(suite.api.get(f"/containers/{container}/json")["Node"]["Name"])


def spread(cli: DockerCli, suite: Seaway) -> set[str]:
    return {node_of(suite, cli("create", "busybox", "sleep", "60").out) for _ in range(4)}


async def both_empty(suite: Seaway) -> None:
    """Wait until the beats of both nodes say that they hold no container; placement rests on what beats say."""
    client = await nats.connect(suite.nats_url, user="cli", password=suite.secret("cli"), inbox_prefix="_INBOX.cli")
    subscription = await client.subscribe(BEAT.template.wildcard())
    empty: set[str] = set()
    while empty != set(NODES):
        beat = json.loads((await subscription.next_msg(timeout=10)).data)
        if not beat["containers"]:
            empty.add(beat["node"])
    await client.close()


class DownListener:
    """Hears of the next node that is marked down, on the bus."""

    def __init__(self, suite: Seaway) -> None:
        self._suite = suite
        self._heard: list[tuple[str, str]] = []
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._listen()))
        self._thread.start()
        assert self._ready.wait(10)

    async def _listen(self) -> None:
        client = await nats.connect(self._suite.nats_url, user="cli", password=self._suite.secret("cli"))
        subscription = await client.subscribe("seaway.v1.event.*.node.down.*")
        await client.flush()
        self._ready.set()
        message = await subscription.next_msg(timeout=30)
        self._heard.append((message.subject, json.loads(message.data)["reason"]))
        await client.close()

    def heard(self) -> tuple[str, str]:
        """The event's subject, and the reason that it gives."""
        self._thread.join(40)
        return self._heard[0]


def test_constraints_and_affinities_choose_the_node(on_two: DockerCli, suite: Seaway) -> None:
    def create(*words: str) -> str:
        return on_two("create", *words, "busybox", "env").out

    for node in NODES:
        assert node_of(suite, create("-e", f"constraint:node=={node}")) == node
        assert node_of(suite, create("-e", f"constraint:node!=/^[^{node[-1]}]*$/")) == node
        assert (
            node_of(suite, create("--label", f'com.docker.swarm.constraints=["node=={node[:1]}*","node=={node}"]'))
            == node
        )
        create("--name", f"db-{node}", "-e", f"constraint:node=={node}")
        web = create("-e", f"affinity:container==db-{node}", "-e", "constraint:node==~n9", "-e", "A=1")
        assert node_of(suite, web) == node
        env = suite.api.get(f"/containers/{web}/json")["Config"]["Env"]
        assert "A=1" in env and not any(variable.startswith(("affinity", "constraint")) for variable in env)
    assert node_of(suite, create("-e", "affinity:container!=db-n1")) == "n2"
    for words, text in (
        ("constraint:node==n9", "no node fits: 2 nodes: constraint node==n9 not met"),
        ("affinity:container==nobody", "no node fits: 2 nodes: affinity container==nobody not met"),
        ("constraint:node>=n1", "is not valid: write key==value or key!=value"),
    ):
        failed = on_two.try_("create", "-e", words, "busybox")
        assert failed.code != 0 and text in failed.err


def test_containers_spread(on_two: DockerCli, suite: Seaway) -> None:
    asyncio.run(both_empty(suite))
    made = [on_two("run", "-d", "-m", "64m", "busybox", "sleep", "60").out for _ in range(4)]
    where = [node_of(suite, container) for container in made]
    assert sorted(where) == ["n1", "n1", "n2", "n2"]
    assert set(on_two("ps", "-q", "--no-trunc").lines) == set(made)


def test_every_command_finds_its_container(on_two: DockerCli, suite: Seaway) -> None:
    made: dict[str, str] = {}
    while set(made) != set(NODES):
        container = on_two("run", "-di", "busybox", "sh", "-c", "echo up; read line; echo got $line; exit 4").out
        made[node_of(suite, container)] = container
    for container in made.values():
        eventually(lambda container=container: on_two("logs", container).out == "up", "its log")  # type: ignore[misc]
        with on_two.spawn("attach", container) as attached:
            assert attached.stdin is not None and attached.stdout is not None
            attached.stdin.write(b"words\n")
            attached.stdin.flush()
            assert attached.stdout.readline() == b"got words\n"
            assert attached.wait(20) == 4
        assert on_two("wait", container).out == "4"
        on_two("start", container)
        on_two("kill", container)
        on_two("restart", "-t", "0", container)
        on_two("stop", "-t", "0", container)
        on_two("rm", container)


def test_info_counts_both_nodes(on_two: DockerCli) -> None:
    for _ in range(4):
        on_two("create", "busybox")
    assert on_two("info", "--format", "{{.Containers}}").out == "4"


def node(suite: Seaway, *words: str) -> str:
    """`seaway node`; what it prints."""
    done = seaway("node", *words, "--root", str(suite.root), "--run", str(suite.run))
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_drained_node_gets_nothing_new_and_keeps_what_it_has(on_two: DockerCli, suite: Seaway) -> None:
    before = [on_two("run", "-d", "busybox", "sleep", "60").out for _ in range(4)]
    node(suite, "drain", "n2")
    try:
        eventually(lambda: spread(on_two, suite) == {"n1"}, "only n1 to get containers", 20)
        assert set(on_two("ps", "-q", "--no-trunc").out.split()) == set(before)
        listed = {one["node"]: one for one in json.loads(node(suite, "ls", "--json"))}
        assert (listed["n1"]["availability"], listed["n2"]["availability"]) == ("active", "drain")
        assert listed["n2"]["facts"]["kernel_version"] and listed["n2"]["capacity"]["disk"]
    finally:
        node(suite, "activate", "n2")
    eventually(lambda: spread(on_two, suite) == set(NODES), "containers on both nodes", 20)


def test_reservations_are_hard(on_two: DockerCli, suite: Seaway) -> None:
    """Two of these fit on each node, whoever asks at the same time."""
    (whole,) = {one["capacity"]["memory"] for one in json.loads(node(suite, "ls", "--json"))}
    size = str(whole * 2 // 5)
    with ThreadPoolExecutor(8) as threads:
        words = ("create", "--memory-reservation", size, "busybox", "true")
        made = list(threads.map(lambda _: on_two.try_(*words), range(8)))
    refused = [one for one in made if one.code]
    assert (len(made) - len(refused), len(refused)) == (4, 4)
    assert all("no node fits: 2 nodes: not enough memory" in one.err for one in refused)
    assert sorted(node_of(suite, one.out) for one in made if not one.code) == ["n1", "n1", "n2", "n2"]


def test_a_second_agent_of_the_same_place_or_name_is_refused(on_two: DockerCli, second: Second, tmp_path: Path) -> None:
    made = [on_two("run", "-d", "busybox", "sleep", "60").out for _ in range(4)]
    code, said = second.start_another()
    assert code == 1
    assert f"another agent already runs in {second.place}/root/agent/n2" in said
    code, said = second.start_another("--root", f"{tmp_path}/root")
    assert code == 1
    assert "another agent already answers for node n2" in said
    assert set(on_two("ps", "-q", "--no-trunc").lines) == set(made)


def test_dead_node_is_told_of_and_comes_back(on_two: DockerCli, suite: Seaway, second: Second) -> None:
    since = time.time()
    told = DownListener(suite)
    there = ""
    while not there or node_of(suite, there) != "n2":
        there = on_two("run", "-d", "busybox", "sleep", "600").out
    second.kill()
    subject, reason = told.heard()
    assert subject == "seaway.v1.event.n2.node.down.n2" and reason.startswith("no beat for")
    for _ in range(3):
        assert node_of(suite, on_two("run", "-d", "busybox", "sleep", "60").out) == "n1"
    before = time.monotonic()
    result = on_two.try_("stop", "-t", "0", there)
    assert result.code == 1 and "n2" in result.err and time.monotonic() - before < 15
    second.start()
    eventually(lambda: on_two.try_("stop", "-t", "0", there).code == 0, "the node's return", 20)
    assert on_two("inspect", there, "--format", "{{.State.ExitCode}}").out == "137"
    dies = past(suite.api, since, container=there, event="die")
    assert len(dies) == 1


def test_node_whose_agent_is_stopped_is_down_at_once_and_its_containers_go_on(
    on_two: DockerCli, suite: Seaway, second: Second
) -> None:
    told = DownListener(suite)
    there = ""
    while not there or node_of(suite, there) != "n2":
        there = on_two("run", "-d", "busybox", "sleep", "600").out
    pid = on_two("inspect", there, "--format", "{{.State.Pid}}").out
    second.stop()
    assert told.heard() == ("seaway.v1.event.n2.node.down.n2", "its agent was stopped")
    for _ in range(3):
        assert node_of(suite, on_two("run", "-d", "busybox", "sleep", "60").out) == "n1"
    assert os.path.exists(f"/proc/{pid}")
    second.start()
    assert on_two("inspect", there, "--format", "{{.State.Status}} {{.State.Pid}}").out == f"running {pid}"
    eventually(lambda: spread(on_two, suite) == set(NODES), "containers on both nodes", 20)
