"""A node that was taken over has its own password on the bus, and knows the id of a container of another node.

With that it can take nothing from the other node: no command, no secret, no state, no event, no name, no history.
"""

import asyncio
import time
from pathlib import Path

import docker
import pytest
from tests.integration.cli.bus_users import foreign, hearing, refusals, settled
from tests.integration.hostile.taken_over import (
    SECRET,
    Hostile,
    Suite,
    commands,
    container_body,
    event_to_store,
    inspect,
    restart_api,
    works,
)

from seaway_contracts import catalogue
from seaway_contracts.containers import State
from seaway_contracts.lifecycle import volume_subject
from seaway_testing.waiting import GUARD_S, until, wait

pytestmark = [pytest.mark.root, pytest.mark.timeout(240)]


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
    own = event_to_store("volume", "create", volume_subject("own"), {"name": "own"})
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
        assert not any(message.data == b"{}" for message in heard), "others tell of the victim's start meanwhile"
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
