"""What stands on the bus, seen by an ordinary NATS client: services that answer, events that are kept."""

import json
import os
import re
import subprocess
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import nats
import pytest
from e2e_rig import images
from e2e_rig.docker_cli import DockerCli
from e2e_rig.seaway import Seaway
from nats.aio.client import Client
from tests.contract.schemas import unreadable

from seaway_kit.settings import local_actor

pytestmark = pytest.mark.seaway_only
SERVICES = {"api", "metadata", "image", "scheduler"}
"""Not the agent: it may write nothing across accounts that goes to somebody's inbox."""


@pytest.fixture
async def bus(engine: Seaway) -> AsyncIterator[Client]:
    """A connection as the suite's operator."""
    client = await nats.connect(engine.nats_url, user="cli", password=engine.secret("cli"), inbox_prefix="_INBOX.cli")
    yield client
    await client.close()


async def ask_all(bus: Client, subject: str) -> list[dict[str, Any]]:
    """All answers that come within a moment."""
    inbox = bus.new_inbox()
    subscription = await bus.subscribe(inbox)
    await bus.publish(subject, b"", reply=inbox)
    found = []
    try:
        while True:
            found.append(json.loads((await subscription.next_msg(timeout=0.5)).data))
    except nats.errors.TimeoutError:
        return found


@pytest.mark.parametrize("word", ["PING", "INFO", "STATS"])
async def test_services_answer(bus: Client, word: str) -> None:
    answers = await ask_all(bus, f"$SRV.{word}")
    assert {answer["name"].removeprefix("seaway-") for answer in answers} == SERVICES
    for answer in answers:
        assert answer["type"] == f"io.nats.micro.v1.{word.lower()}_response"
        assert answer["id"] and answer["version"]


async def test_image_events_tell_who_asked(bus: Client, cli: DockerCli) -> None:
    heard = await bus.subscribe("seaway.v1.event.*.image.*.*")
    await bus.flush()
    cli("load", input=images.archive([images.busybox_layer()], {"Cmd": ["asked"]}, ["asked:1"]))
    cli("import", "-", "asked:2", input=images.busybox_layer())
    cli("rmi", "asked:1", "asked:2")
    told: dict[str, Mapping[str, str]] = {}
    while not {"load", "import", "delete"} <= told.keys():
        message = await heard.next_msg(timeout=10)
        told[message.subject.split(".")[5]] = message.headers or {}
    assert {action for action, headers in told.items() if not headers["ce-cause"]} == set()
    assert {headers["ce-actor"] for headers in told.values()} == {local_actor(os.getuid())}


async def test_events_are_cloud_events_in_order(bus: Client, cli: DockerCli, name: str) -> None:
    container = cli("run", "-d", "--name", name, "-l", "who=me", "busybox", "sh", "-c", "exit 5").out
    cli("wait", name)
    cli("rm", name)
    stream = bus.jetstream()
    subscription = await stream.subscribe(
        f"seaway.v1.event.*.container.*.{container}", stream="SEAWAY_EVENTS", ordered_consumer=True
    )
    seen = []
    deadline = time.monotonic() + 10
    while (not seen or seen[-1].subject.split(".")[5] != "destroy") and time.monotonic() < deadline:
        seen.append(await subscription.next_msg(timeout=5))
    actions = [message.subject.split(".")[5] for message in seen]
    assert [action for action in actions if action != "status"] == ["create", "start", "die", "destroy"]
    assert {message.subject.split(".")[3] for message in seen} == {"n1"}
    headers = [message.headers or {} for message in seen]
    for one in headers:
        assert one["ce-specversion"] == "1.0" and one["ce-id"] == one["Nats-Msg-Id"]
        assert (one["ce-source"], one["ce-node"], one["ce-subject"]) == ("/seaway/node/n1", "n1", container)
    assert [one["ce-type"] for one in headers] == [f"io.seaway.v1.container.{action}" for action in actions]
    assert len({one["ce-id"] for one in headers}) == len(headers)
    assert [int(one["ce-sequence"]) for one in headers] == list(range(1, len(headers) + 1))
    times = [int(one["ce-timens"]) for one in headers]
    assert times == sorted(times)
    told = dict(zip(actions, headers, strict=True))
    causes = [told[action]["ce-cause"] for action in ("create", "start", "destroy")]
    assert all(causes) and len(set(causes)) == 3, "each is by a command of its own"
    assert {told[action]["ce-actor"] for action in ("create", "start", "destroy")} == {local_actor(os.getuid())}
    assert (told["die"]["ce-cause"], told["die"]["ce-actor"]) == ("", ""), "it ended by itself"
    assert {frozenset(json.loads(message.data)) for message in seen} == {frozenset({"status", "attributes"})}
    body = json.loads(seen[actions.index("die")].data)
    assert (body["attributes"]["exitCode"], body["status"]["exit_code"]) == ("5", 5)
    assert body["attributes"]["name"] == name and body["attributes"]["who"] == "me"


async def test_private_parts_of_a_container_are_not_published(bus: Client, cli: DockerCli, name: str) -> None:
    """Environment, arguments and mounts of a container, what is run in it, and what its probes print."""
    heard = await bus.subscribe("seaway.v1.event.>")
    await bus.flush()
    probe = ["--health-cmd", "echo hush-probe", "--health-interval", "100ms"]
    program = ["busybox", "sh", "-c", "sleep 1000; : hush-argument"]
    cli("run", "-d", "--name", name, "-e", "K=hush-env", "--tmpfs", "/hush-mount", *probe, *program)
    cli("exec", name, "echo", "hush-exec")
    cli("update", "--restart", "no", name)
    cli("rename", name, f"{name}-2")
    bodies: dict[str, dict[str, Any]] = {}
    for last in ("container.health_status", "container.destroy"):
        while last not in bodies:
            message = await heard.next_msg(timeout=10)
            bodies[(message.headers or {})["ce-type"].removeprefix("io.seaway.v1.")] = json.loads(message.data)
        if last != "container.destroy":
            cli("rm", "-f", f"{name}-2")
    assert {f"container.{word}" for word in ("create", "exec_create", "exec_start", "update", "rename")} <= set(bodies)
    assert bodies["container.exec_create"]["attributes"]["execID"]
    assert bodies["container.rename"]["attributes"]["name"] == f"{name}-2"
    assert bodies["container.health_status"]["status"]["health"] == {"status": "healthy"}
    for kind, body in bodies.items():
        assert "hush" not in json.dumps(body), kind


async def test_a_subscriber_to_every_exit(bus: Client, cli: DockerCli) -> None:
    subscription = await bus.subscribe("seaway.v1.event.*.container.die.*")
    await bus.flush()
    container = cli("run", "-d", "busybox", "false").out
    message = await subscription.next_msg(timeout=10)
    assert message.subject.endswith(container)


async def test_what_is_told_is_as_the_published_document_says(bus: Client, cli: DockerCli) -> None:
    document = json.loads((Path(__file__).parents[2] / "docs" / "asyncapi.json").read_text())
    messages, schemas = document["components"]["messages"], document["components"]["schemas"]
    channels = {name: one for name, one in document["channels"].items() if name.startswith("event.")}
    heard = await bus.subscribe("seaway.v1.event.>")
    await bus.flush()
    cli("run", "--rm", "-v", "/data", "busybox", "true")
    told: dict[str, str] = {}
    while "container.destroy" not in told:
        message = await heard.next_msg(timeout=10)
        (name,) = [
            name
            for name, channel in channels.items()
            if re.fullmatch(re.sub(r"\\{\w+\\}", "[^.]+", re.escape(channel["address"])), message.subject)
        ]
        headers = message.headers or {}
        ours = {word for word in headers if word == "Nats-Msg-Id" or not word.startswith("Nats-")}
        assert ours == set(messages[name]["headers"]["properties"])
        assert not unreadable(json.loads(message.data), messages[name]["payload"], schemas)
        told[headers["ce-type"].removeprefix("io.seaway.v1.")] = name
    assert told == {kind: f"event.{kind}" for kind in told}
    assert {"container.create", "network.connect", "volume.mount", "container.start", "container.die"} <= set(told)


def test_nats_is_only_on_loopback(engine: Seaway) -> None:
    port = engine.nats_url.rpartition(":")[2]
    listening = subprocess.run(["ss", "-Hltn", f"sport = :{port}"], capture_output=True, text=True, check=True).stdout
    assert [line.split()[3] for line in listening.splitlines()] == [f"127.0.0.1:{port}"]
