"""A node that was taken over has its own password on the bus, and knows the id of a container of another node.

With that it can take nothing from the other node: no command, no secret, no state, no event, no name, no history.
"""

import asyncio
import json
import os
import secrets
import signal
import time
from pathlib import Path
from typing import Any, Final

import docker
import orjson
import pytest
from nats.aio.msg import Msg
from tests.integration.cli.bus_users import bus_of, foreign, hearing, refusals, settled
from tests.integration.hostile.taken_over import (
    Hostile,
    Suite,
    container_body,
    event_to_store,
    taken_over,
    wait,
)

from seaway_bus.bus import Bus, Command
from seaway_contracts import catalogue
from seaway_contracts.commands import Inventory, InventoryItem, ListInventory, ListKnown
from seaway_contracts.containers import State
from seaway_contracts.errors import Code, SeawayError
from seaway_contracts.lifecycle import Envelope
from seaway_contracts.logs import LogLine, LogLines, PublishLines
from seaway_contracts.nodes import Capacity
from seaway_contracts.stored_events import MOST_BYTES, MOST_EVENTS, StoreEvents
from seaway_testing.builders import beat, spec, status
from seaway_testing.waiting import GUARD_S, until

pytestmark = [pytest.mark.root, pytest.mark.timeout(240)]
SECRET: Final = "hunter2-not-for-n2"


def works(suite: Suite, victim: str, tmp_path: Path) -> None:
    """All that goes to the container arrives in it, on n1."""
    out = suite.docker("exec", "-e", f"TOKEN={SECRET}", victim, "sh", "-c", "echo $TOKEN-$HOSTNAME")
    assert out == f"{SECRET}-{victim[:12]}"
    (tmp_path / "secret").write_text(SECRET)
    suite.docker("cp", str(tmp_path / "secret"), f"{victim}:/secret")
    suite.docker("cp", f"{victim}:/secret", str(tmp_path / "back"))
    assert (tmp_path / "back").read_text() == SECRET
    assert suite.docker("exec", "victim", "cat", "/secret") == SECRET
    suite.docker("kill", "-s", "USR2", victim)
    suite.docker("pause", victim)
    suite.docker("unpause", victim)


def commands(hostile: Hostile) -> list[str]:
    """What came to the node that is more than the server's own discovery, or news to all nodes."""
    to_all = catalogue.IMAGES_DELETED.subject()
    return [one.subject for one in hostile.heard if not one.subject.startswith("$SRV.") and one.subject != to_all]


def restart_api(suite: Suite) -> None:
    """The next one has nothing in memory."""
    before = suite.rows()["api"]
    os.kill(before["pid"], signal.SIGKILL)

    def back() -> bool:
        row = suite.rows()["api"]
        return bool(row["pid"] != before["pid"] and row["state"] == "ready")

    wait(back, "the next API")


def inspect(suite: Suite, name: str) -> dict[str, Any]:
    return dict(json.loads(suite.docker("inspect", name))[0])


# --- a. commands


@pytest.mark.parametrize("api", ["knows", "has just started"])
async def test_commands_go_on_to_the_node_that_holds_the_container(
    suite: Suite, victim: str, n2: Hostile, tmp_path: Path, api: str
) -> None:
    """n2 says that the container runs there, in all the words that there are for that."""
    if api == "has just started":
        restart_api(suite)
    for action in ("create", "start", "status", "restart", "unpause", "rename", "exec_create"):
        await n2.tell(action, victim)
    works(suite, victim, tmp_path)
    for action in ("status", "start"):
        await n2.tell(action, victim)
    assert inspect(suite, victim)["Node"]["Name"] == "n1"
    suite.docker("stop", victim)
    assert inspect(suite, victim)["State"]["ExitCode"] == 7, "its own program ended, by n1's SIGTERM"
    suite.docker("start", victim)
    await settled(n2.client)
    assert commands(n2) == []
    assert not any(SECRET.encode() in message.data for message in n2.heard)


# --- b, c. state


async def test_the_container_does_not_die_by_anothers_word(suite: Suite, victim: str, n2: Hostile) -> None:
    with (
        suite.docker_beside("wait", victim) as waiting,
        suite.docker_beside("attach", "--no-stdin", victim) as attached,
    ):
        wait(lambda: suite.docker("ps", "-q", "--no-trunc") == victim)
        for _ in range(3):
            await n2.tell("die", victim, State.EXITED, exit_code=42, finished_ns=time.time_ns())
            await n2.tell("status", victim, State.DEAD, exit_code=42)
        assert suite.docker("ps", "--format", "{{.Names}} {{.State}}") == "victim running"
        state = inspect(suite, victim)["State"]
        assert (state["Running"], state["ExitCode"]) == (True, 0)
        suite.docker("exec", victim, "true")
        assert (waiting.poll(), attached.poll()) == (None, None)
        suite.docker("stop", victim)
        out, _ = waiting.communicate(timeout=GUARD_S)
        assert out == "7\n"


async def test_the_container_is_not_destroyed_by_anothers_word(
    suite: Suite, victim: str, n2: Hostile, tmp_path: Path
) -> None:
    for _ in range(2):
        await n2.tell("destroy", victim, State.REMOVING)
    assert suite.docker("ps", "-q", "--no-trunc") == victim
    assert inspect(suite, victim)["Id"] == inspect(suite, "victim")["Id"] == victim
    refused = suite.try_docker("create", "--name", "victim", "busybox")
    assert refused.returncode == 1 and "is already in use" in refused.stderr
    works(suite, victim, tmp_path)


# --- d. events


async def test_metadata_publishes_no_event_of_anothers_container(suite: Suite, victim: str, n2: Hostile) -> None:
    """Neither the stream nor who listens gets it; what is n2's own is published under its own name."""
    attributes = {"container": victim, "name": "bridge"}
    forged = [
        *(event_to_store("container", action, victim, container_body(action)) for action in ("die", "destroy", "oom")),
        event_to_store("network", "disconnect", "net", {"network_id": "net", "attributes": attributes}),
        event_to_store("volume", "mount", "ab" * 32, {"name": "v", "attributes": attributes}),
        event_to_store("node", "down", "n1", {"node": "n1", "attributes": {}}),
        event_to_store("node", "remove", "n1", {"node": "n1", "attributes": {}}),
        event_to_store("image", "delete", "sha256-x", {"image_id": "x"}),
        event_to_store("cluster", "prune", "image", {"kind": "image", "attributes": {}}),
        event_to_store("volume", "create", "cd" * 32, {"name": "v"}, id="node-n1-down-first"),
    ]
    own = event_to_store("volume", "create", "ef" * 32, {"name": "own"})
    while ("start", victim) not in (before := await suite.stored("n1")):  # noqa: ASYNC110
        await asyncio.sleep(0.02)  # told at once, stored a moment later
    async with foreign(suite, "cli") as reader:
        heard = await hearing(reader, catalogue.ALL_EVENTS)
        refused = await n2.store(*forged, own)
        assert refused.keys() == {event.id for event in forged}
        assert "another node's" in refused[forged[0].id]
        await until(lambda: catalogue.VOLUME_CREATE.subject("n2", own.subject_id) in {one.subject for one in heard})
        await settled(reader)
    told = {tuple(message.subject.split(".")[4:]) for message in heard}
    assert not told & {(event.noun, event.action, event.subject_id) for event in forged}
    assert await suite.stored("n1") == before
    assert ("create", own.subject_id) in await suite.stored("n2")
    assert not any(subject == victim for _, subject in await suite.stored("n2"))


async def test_it_reaches_nobody_but_by_its_own_words(suite: Suite, victim: str, n2: Hostile) -> None:
    """On subjects of events, of another node, of services, of JetStream: the server refuses it all."""
    wrong = [
        *(channel.subject(node, victim) for node in ("n1", "n2") for channel in catalogue.EVENTS.values()),
        *(channel.told_subject("n1", victim) for channel in catalogue.EVENTS.values()),
        *(channel.subject("n1") for channel in catalogue.CALLS if channel.template.fields),
        *(channel.subject() for channel in catalogue.CALLS if not channel.template.fields),
        catalogue.BEAT.subject(node="n1"),
        catalogue.LOG_LINES.subject(node="n1", id=victim),
        catalogue.LOG_LINES.subject(node="n2", id=victim),
        catalogue.stream_subject("n1.s", catalogue.TO_SERVER),
        catalogue.stream_subject("n1.s", catalogue.FROM_SERVER),
        catalogue.stream_subject("s", catalogue.FROM_SERVER),
        catalogue.IMAGES_DELETED.subject(),
        "seaway.v1.node.all.tell.beat",
        "seaway.v1.node.n1.x",
        "seaway.v1.event.n2",
        "$KV.seaway_containers.x",
    ]
    async with foreign(suite, "cli") as reader:
        heard = await hearing(reader, catalogue.ALL_EVENTS)
        assert await refusals(suite, "agent.n2", publish=wrong) == wrong
        await settled(reader)
        assert heard == []
    assert suite.docker("exec", victim, "echo", "well") == "well"


async def test_who_reads_dockers_events_sees_nothing_that_is_forged(suite: Suite, victim: str, n2: Hostile) -> None:
    """What a node tells is its own containers', networks' and volumes' alone; of the rest others tell."""
    client = docker.DockerClient(base_url=suite.host, timeout=60)
    since = time.time()
    kinds = ["container", "image", "network", "volume", "node", "builder"]
    stream = client.events(decode=True, since=since, filters={"type": kinds})
    for action in ("die", "destroy", "kill", "exec_create"):
        await n2.tell(action, victim, State.EXITED)
    await n2.tell_event("network", "disconnect", "net", {"network_id": "net", "attributes": {"container": victim}})
    await n2.tell_event("volume", "unmount", "ab" * 32, {"name": "v", "attributes": {"container": victim}})
    for action in ("down", "remove", "join", "up"):
        await n2.tell_event("node", action, "n1", {"node": "n1", "attributes": {"name": "n1"}})
    await n2.tell_event("image", "delete", "x", {"image_id": "sha256:x", "ref": "busybox:latest", "attributes": {}})
    await n2.tell_event("cluster", "prune", "image", {"kind": "image", "attributes": {"reclaimed": "1"}})
    suite.docker("kill", "-s", "USR2", victim)
    seen = []
    for event in stream:
        seen.append((event["Type"], event["Action"], event["Actor"]["ID"]))
        if event["Action"] == "kill" and event["Actor"]["Attributes"].get("signal") == "12":
            break
    client.close()
    assert seen == [("container", "kill", victim)]
    assert suite.docker("exec", victim, "echo", "well") == "well"


# --- e. floods


async def test_large_events_are_not_stored_and_the_history_stays(suite: Suite, victim: str, n2: Hostile) -> None:
    """60 events of 4 MB: told, and handed over."""
    before = await suite.stored("n1")
    assert ("start", victim) in before
    body = {"name": "flood", "attributes": {"label": "x" * 4_000_000}}
    for number in range(60):
        identifier = f"{number:064x}"
        await n2.tell_event("volume", "create", identifier, body)
        event = event_to_store("volume", "create", identifier, body)
        assert (await n2.store(event)).keys() == {event.id}
        container = event_to_store("container", "start", identifier, container_body("start") | body)
        await n2.tell_event("container", "start", identifier, container_body("start") | body)
        assert (await n2.store(container)).keys() == {container.id}
    assert (await suite.stored("n1"))[: len(before)] == before
    assert suite.docker("exec", victim, "echo", "well") == "well"
    assert {row["restarts"] for name, row in suite.rows().items() if name != "api"} == {0}


class Flood:
    """Hands over 10,000 events of the largest size, as fast as the bus takes them, and again what is refused."""

    def __init__(self, hostile: Hostile) -> None:
        self._hostile = hostile
        self._requests = [self._request(range(first, first + MOST_EVENTS)) for first in range(0, 10_000, MOST_EVENTS)]
        self.stored = 0
        self.refused = 0

    def _request(self, numbers: range) -> bytes:
        events = [
            event_to_store(
                "volume", "create", f"{number:064x}", {"name": "f", "attributes": {"a": "x" * (MOST_BYTES - 1024)}}
            )
            for number in numbers
        ]
        return orjson.dumps({"events": [event.model_dump() for event in events]})

    async def run(self) -> None:
        await asyncio.gather(*(self._hand_over() for _ in range(8)))

    async def _hand_over(self) -> None:
        client = self._hostile.client
        # The client may swallow the cancellation; closed, it refuses at once and for ever.
        while self._requests and not client.is_closed:
            request = self._requests.pop()
            try:
                reply = await client.request(catalogue.STORE_EVENTS.subject("n2"), request, timeout=30)
            except Exception:
                reply = None
            if reply is None or (reply.headers and "Nats-Service-Error" in reply.headers):
                self.refused += 1
                self._requests.append(request)
            else:
                assert b"larger" not in reply.data, reply.data[:200]
                self.stored += MOST_EVENTS


async def test_a_flood_of_one_node_takes_neither_history_nor_present_of_another(
    suite: Suite, victim: str, n2: Hostile
) -> None:
    before = await suite.stored("n1")
    flood = Flood(n2)
    flooding = asyncio.ensure_future(flood.run())
    await until(lambda: flood.stored >= 4 * MOST_EVENTS and flood.refused, what="a flood")
    names = [f"meanwhile{number}" for number in range(5)]
    for name in names:
        words = ("--rm", "--network", "none", "--name", name, "busybox", "echo", name)
        assert await asyncio.to_thread(suite.docker, "run", *words) == name
        listed = await asyncio.to_thread(suite.docker, "ps", "-q", "--no-trunc")
        assert listed == victim
    assert not flooding.done(), "it has not ended before"
    limit = time.monotonic() + GUARD_S
    while True:
        stored = await suite.stored("n1")
        if [action for action, _ in stored[len(before) :]].count("destroy") == len(names):
            break
        assert time.monotonic() < limit, stored[len(before) :]
    assert not flooding.done()
    flooding.cancel()
    assert stored[: len(before)] == before
    per_life = ["create", "start", "die", "destroy"]
    lives: dict[str, list[str]] = {}
    for action, container in stored[len(before) :]:
        if action in per_life:
            lives.setdefault(container, []).append(action)
    assert list(lives.values()) == [per_life] * len(names)
    assert (await suite.stored("n2")).count(("create", f"{9_999:064x}")) <= 1
    assert {row["restarts"] for name, row in suite.rows().items() if name != "api"} == {0}


def run_until_it_works(suite: Suite, word: str) -> None:
    """What is asked while metadata is overwhelmed may be refused; the same again works."""

    def works() -> bool:
        return suite.try_docker("run", "--rm", "--network", "none", "busybox", "echo", word).stdout == f"{word}\n"

    wait(works, "docker run")


async def test_what_nobody_waits_for_takes_nothing_from_others(suite: Suite, victim: str, n2: Hostile) -> None:
    """10,000 requests, each with an event of nearly the largest size, sent as fast as the bus takes them."""
    before = await suite.stored("n1")
    body = {"name": "v", "attributes": {"a": "x" * (MOST_BYTES - 1024)}}
    events = [event_to_store("volume", "create", f"{number:064x}", body) for number in range(100)]
    requests = [catalogue.STORE_EVENTS.encode(StoreEvents(events=(event,))) for event in events]
    flooding = asyncio.ensure_future(send_all(n2, [requests[number % 100] for number in range(10_000)]))
    for _ in range(5):
        await asyncio.to_thread(suite.docker, "exec", victim, "true")
        await asyncio.sleep(0.1)
    await flooding
    await asyncio.to_thread(run_until_it_works, suite, "well")
    limit = time.monotonic() + GUARD_S
    stored = before
    while stored[len(before) :].count(("exec_die", victim)) < 5:
        assert time.monotonic() < limit, stored[len(before) :]
        stored = await suite.stored("n1")
    assert stored[: len(before)] == before
    assert suite.docker("ps", "-q", "--no-trunc") == victim
    assert {row["restarts"] for name, row in suite.rows().items() if name != "api"} == {0}


async def send_all(hostile: Hostile, requests: list[bytes]) -> None:
    subject = catalogue.STORE_EVENTS.subject(hostile.node)
    for request in requests:
        await hostile.client.publish(subject, request, reply=f"_INBOX.agent.{hostile.node}.x")
        await asyncio.sleep(0)
    await settled(hostile.client)


async def test_words_of_containers_that_nobody_knows_are_no_ones_burden(suite: Suite, victim: str, n2: Hostile) -> None:
    """Each is looked up, and held back until it is known whose container it is: which it never is."""
    body = json.dumps(container_body("start")).encode()
    for number in range(20_000):
        identifier = secrets.token_hex(32)
        envelope = Envelope(secrets.token_hex(12), "n2", "container", "start", identifier, time.time_ns(), 9)
        subject = catalogue.CONTAINER_START.told_subject("n2", identifier)
        await n2.client.publish(subject, body, headers=envelope.headers())
        if number % 5_000 == 0:
            assert await asyncio.to_thread(suite.docker, "ps", "-q", "--no-trunc") == victim
    await settled(n2.client)
    await asyncio.to_thread(run_until_it_works, suite, "well")
    assert suite.docker("ps", "-q", "--no-trunc") == victim
    assert suite.docker("exec", victim, "echo", "well") == "well"
    assert {row["restarts"] for name, row in suite.rows().items() if name != "api"} == {0}


# --- f. names and records


class Liar:
    """Beats as a node without room, and says that it holds what it doesn't."""

    def __init__(self, bus: Bus, node: str, items: list[InventoryItem]) -> None:
        self.bus = bus
        self.node = node
        self.items = items
        self.asked = 0
        self.epoch = 0

    async def start(self) -> None:
        await self.bus.serve(catalogue.INVENTORY, self.inventory, node=self.node)
        await self.bus.flush()

    async def inventory(self, request: ListInventory, command: Command) -> Inventory:
        self.asked += 1
        return Inventory(node=self.node, epoch=str(self.epoch), revision=1, containers=tuple(self.items))

    async def lie(self) -> None:
        """Until metadata has asked it anew."""
        self.epoch += 1
        asked = self.asked
        limit = time.monotonic() + GUARD_S
        none = Capacity(nano_cpus=0, memory=0)
        while self.asked == asked:
            assert time.monotonic() < limit, "metadata asks nothing"
            one = beat(self.node, epoch=str(self.epoch), capacity=none, free=none, time_ns=time.time_ns())
            await self.bus.publish(catalogue.BEAT, one, node=self.node)
            await self.bus.publish(catalogue.BEAT, one.model_copy(update={"node": "n1"}), node=self.node)
            await asyncio.sleep(0.1)


async def test_names_and_records_stay_with_the_node_that_has_them(suite: Suite, victim: str, tmp_path: Path) -> None:
    """n3 claims the container itself, a second `victim`, and some of its own invention; then it is removed."""
    assert suite.seaway("node", "add", "n3").returncode == 0
    claimed = spec(1).model_copy(update={"id": victim, "name": "victim"})
    second = spec(2).model_copy(update={"id": secrets.token_hex(32), "name": "victim"})
    invented = spec(3).model_copy(update={"id": secrets.token_hex(32), "name": "invented"})
    running = status(State.RUNNING, 1 << 40, run=9, started_ns=time.time_ns())
    items = [InventoryItem(spec=one, status=running) for one in (claimed, second, invented)]
    truth = inspect(suite, victim)
    async with taken_over(suite, "n3") as hostile:
        liar = Liar(hostile.bus, "n3", items)
        await liar.start()
        for _ in range(3):
            await liar.lie()
            await hostile.tell("rename", victim)
            await hostile.tell("create", second.id)
        await until(lambda: "invented" in suite.docker("ps", "-a", "--format", "{{.Names}}"))
        shown = dict(
            line.split()
            for line in suite.docker("ps", "-a", "--no-trunc", "--format", "{{.Names}} {{.ID}}").splitlines()
        )
        assert shown == {"victim": victim, "invented": invented.id}
        for name in (victim, "victim"):
            assert inspect(suite, name) == truth
        works(suite, victim, tmp_path)
        assert commands(hostile) != [], "metadata has asked what it holds"
        assert not any(SECRET.encode() in message.data for message in hostile.heard)

        removed = await asyncio.to_thread(suite.seaway, "node", "rm", "n3", "--force")
        assert removed.returncode == 0, removed.stderr
        assert suite.docker("ps", "-aq", "--no-trunc") == victim
        with pytest.raises(SeawayError):
            await hostile.bus.call(catalogue.STORE_EVENTS, StoreEvents(), node="n3", timeout_s=1)
    named = suite.docker("create", "--network", "none", "--name", "invented", "busybox", "true")
    assert set(suite.docker("ps", "-aq", "--no-trunc").splitlines()) == {victim, named}
    assert inspect(suite, "invented")["Node"]["Name"] == "n1"
    assert [action for action, subject in await suite.stored("n3") if subject == invented.id][-1] == "destroy"


async def test_a_name_that_is_just_being_given_is_not_taken(suite: Suite, victim: str) -> None:
    """A container comes and goes by one name, and n4 claims that without end: no command meant for it goes to n4."""
    assert suite.seaway("node", "add", "n4").returncode == 0
    async with taken_over(suite, "n4") as hostile:
        invented = spec(5).model_copy(update={"id": secrets.token_hex(32), "name": "again"})
        liar = Liar(hostile.bus, "n4", [InventoryItem(spec=invented, status=status(State.RUNNING, 9))])
        await liar.start()
        suite.docker("run", "-d", "--network", "none", "--name", "again", "busybox", "sleep", "1000")
        for _ in range(5):
            await liar.lie()
            assert suite.docker("exec", "-e", f"TOKEN={SECRET}", "again", "sh", "-c", "echo $TOKEN") == SECRET
        suite.docker("rm", "-f", "again")
        removed = await asyncio.to_thread(suite.seaway, "node", "rm", "n4", "--force")
        assert removed.returncode == 0, removed.stderr
        assert not any(SECRET.encode() in message.data for message in hostile.heard)
    suite.docker("run", "-d", "--network", "none", "--name", "again", "busybox", "sleep", "1000")
    assert suite.docker("exec", "again", "echo", "well") == "well"


# --- g. hearing and answering


async def test_it_can_not_listen_to_anybody(suite: Suite, victim: str, n2: Hostile, tmp_path: Path) -> None:
    wrong = [
        ">",
        "*",
        "seaway.>",
        "seaway.v1.node.>",
        "seaway.v1.node.*.do.>",
        "seaway.v1.node.n1.>",
        catalogue.START.subject("n1"),
        catalogue.ALL_EVENTS,
        catalogue.events_of("n1"),
        catalogue.events_of("n2"),
        catalogue.ALL_TOLD,
        catalogue.BEAT.template.wildcard(),
        catalogue.LOG_LINES.template.wildcard(),
        catalogue.TO_NODE.wildcard(),
        catalogue.FROM_NODE.wildcard(),
        catalogue.STREAM_TEMPLATE.wildcard(),
        *(channel.subject() for channel in catalogue.CALLS if not channel.template.fields),
        *(channel.subject("n2") for channel in catalogue.CALLS if channel.from_nodes),
        "_INBOX.>",
        "_INBOX.api.>",
        "_INBOX.metadata.>",
        "_INBOX.agent.n1.>",
        "_R_.>",
        "$JS.>",
        "$KV.>",
        "$SYS.>",
    ]
    assert await refusals(suite, "agent.n2", subscribe=wrong) == wrong
    works(suite, victim, tmp_path)
    await settled(n2.client)
    assert commands(n2) == []


async def test_it_can_not_use_jetstream(suite: Suite, victim: str, n2: Hostile) -> None:
    stream, bucket = catalogue.EVENT_STREAM.name, catalogue.CONTAINERS_BUCKET.name
    wrong = [
        "$JS.API.INFO",
        f"$JS.API.STREAM.INFO.{stream}",
        f"$JS.API.STREAM.PURGE.{stream}",
        f"$JS.API.STREAM.DELETE.{stream}",
        f"$JS.API.STREAM.MSG.GET.{stream}",
        f"$JS.API.STREAM.MSG.DELETE.{stream}",
        f"$JS.API.DIRECT.GET.KV_{bucket}.$KV.{bucket}.{victim}",
        f"$JS.API.CONSUMER.CREATE.{stream}",
        f"$JS.API.STREAM.PURGE.KV_{bucket}",
        "$JS.API.STREAM.CREATE.MINE",
        f"$JS.ACK.{stream}.x.1.1.1.1.1",
        f"$KV.{bucket}.{victim}",
    ]
    assert await refusals(suite, "agent.n2", publish=wrong) == wrong
    before = await suite.stored("n1")
    for reply in wrong:
        await n2.client.publish(catalogue.STORE_EVENTS.subject("n2"), b"{}", reply=reply)
        await n2.client.publish(catalogue.CONTAINER_START.told_subject("n2", victim), b"{}", reply=reply)
        await n2.client.publish(catalogue.BEAT.subject(node="n2"), b"{}", reply=reply)
    await settled(n2.client)
    assert suite.docker("exec", victim, "echo", "well") == "well"
    assert (await suite.stored("n1"))[: len(before)] == before
    assert inspect(suite, victim)["Id"] == victim


async def test_it_can_not_answer_for_another(suite: Suite, victim: str, n2: Hostile) -> None:
    """n1's agent stands still with a request in hand, and n2 answers it in all ways that it has."""
    wrong = [
        *(f"_INBOX.{user}.x.1" for user in ("api", "metadata", "scheduler", "image", "cli", "agent.n1")),
        *(f"seaway.v1.node.n1.tell.reply.{user}.x.1" for user in ("api", "metadata", "agent.n1")),
        "_R_.x.1",
    ]
    assert await refusals(suite, "agent.n2", publish=wrong) == wrong
    agent = suite.rows()["agent"]["pid"]
    requests: list[Msg] = []
    async with foreign(suite, "agent.n1") as twin:
        # Only to show that even who knows the reply's subject can't answer: n2 hears none of this.
        requests = await hearing(twin, catalogue.UNPAUSE.subject("n1"))
        suite.docker("pause", victim)
        os.kill(agent, signal.SIGSTOP)
        try:
            asking = asyncio.ensure_future(asyncio.to_thread(suite.try_docker, "unpause", victim))
            await until(lambda: requests)
            reply = requests[0].reply
            assert reply.startswith("seaway.v1.node.n1.tell.reply.api.")
            forged = b'{"status":{"state":"running","seq":99}}'
            for subject in (
                reply,
                reply.replace(".n1.", ".n2."),
                reply.replace("seaway.v1.node.n1.tell.reply", "_INBOX"),
            ):
                for _ in range(3):
                    await n2.client.publish(subject, forged)
            await settled(n2.client, twin)
            assert not asking.done()
        finally:
            os.kill(agent, signal.SIGCONT)
        done = await asking
    assert done.returncode == 0, done.stderr
    assert inspect(suite, victim)["State"]["Paused"] is False
    assert commands(n2) == []


async def test_it_learns_nothing_of_anothers_container(suite: Suite, victim: str, n2: Hostile) -> None:
    """Metadata answers what a node asks of its own containers; log lines it publishes of these alone."""
    known = await n2.bus.call(catalogue.KNOWN_CONTAINERS, ListKnown(ids=(victim, victim[:12])), node="n2")
    assert (known.containers, known.removed) == ((), ())
    async with foreign(suite, "cli") as reader:
        heard = await hearing(reader, catalogue.LOG_LINES.template.wildcard())
        lines = LogLines(lines=(LogLine(stream="stdout", time="2026-01-01T00:00:00Z", text="forged"),))
        request = PublishLines(container=victim, message_id="m", lines=lines)
        with pytest.raises(SeawayError) as caught:
            await n2.bus.call(catalogue.PUBLISH_LINES, request, node="n2")
        assert caught.value.code is Code.FORBIDDEN
        await settled(reader)
        assert heard == []
    async with bus_of(suite, "agent.n2") as bus:
        with pytest.raises(SeawayError):
            await bus.call(catalogue.KNOWN_CONTAINERS, ListKnown(ids=(victim,)), node="n1", timeout_s=0.3)
        with pytest.raises(SeawayError):
            await bus.call(catalogue.PUBLISH_LINES, request, node="n1", timeout_s=0.3)


# --- h. images: what a node may fetch, and with what, belongs here
