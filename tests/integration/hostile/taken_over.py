"""A whole suite, and a node that was taken over: nothing but its password on the bus, and what it may know."""

import asyncio
import contextlib
import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from nats.aio.client import Client
from nats.aio.msg import Msg
from tests.integration.cli.bus_users import bus_of, foreign, hearing, settled

from seaway_bus.bus import Bus
from seaway_bus.events import history
from seaway_contracts import catalogue
from seaway_contracts.channels import EventChannel
from seaway_contracts.containers import State
from seaway_contracts.errors import SeawayError
from seaway_contracts.lifecycle import Envelope, EventToStore, StoreEvents
from seaway_testing.waiting import GUARD_S, wait

COMMANDS = Path(sys.executable).parent
SECRET: Final = "hunter2-not-for-n2"


@dataclass
class Suite:
    """A suite with the node n1, in directories of its own."""

    base: Path

    @property
    def root(self) -> Path:
        return self.base / "root"

    @property
    def run(self) -> Path:
        return self.base / "run"

    @property
    def host(self) -> str:
        return f"unix://{self.run}/docker.sock"

    def seaway(self, *words: str) -> subprocess.CompletedProcess[str]:
        places = ["--run", str(self.run)]
        if words[0] != "status":
            places += ["--root", str(self.root)]
        return subprocess.run(
            [str(COMMANDS / "seaway"), *words, *places], capture_output=True, text=True, timeout=GUARD_S * 2
        )

    def rows(self) -> dict[str, dict[str, Any]]:
        """What `seaway status` says of each service."""
        return {row["service"]: row for row in json.loads(self.seaway("status", "--json").stdout)}

    def docker(self, *words: str) -> str:
        """The output of a `docker` command that succeeds."""
        done = self.try_docker(*words)
        assert done.returncode == 0, done.stderr
        return done.stdout.removesuffix("\n")

    def try_docker(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(["docker", "-H", self.host, *words], capture_output=True, text=True, timeout=GUARD_S)

    @contextlib.contextmanager
    def docker_beside(self, *words: str) -> Iterator[subprocess.Popen[str]]:
        """A `docker` command that goes on beside the test."""
        with subprocess.Popen(["docker", "-H", self.host, *words], stdout=subprocess.PIPE, text=True) as process:
            try:
                yield process
            finally:
                process.kill()

    async def stored(self, node: str) -> list[tuple[str, str]]:
        """Action and subject of the events in the stream that are one node's."""
        async with bus_of(self, "cli") as bus:
            subject = catalogue.events_of(node)
            return [
                (event.envelope.action, event.envelope.subject_id)
                async for event in history(bus.transport, start_ns=0, subject=subject)
            ]

    async def stored_start(self, node: str, container: str) -> list[tuple[str, str]]:
        """The same, once a container's start is among them: an agent hands its events over a moment after the start."""
        found: list[tuple[str, str]] = []

        async def is_there() -> bool:
            found[:] = await self.stored(node)
            return ("start", container) in found

        limit = time.monotonic() + GUARD_S
        while not await is_there():
            assert time.monotonic() < limit, f"the start is not stored: {found}"
            await asyncio.sleep(0.05)
        return found


class Hostile:
    """Node n2, as who has its password may speak: with a NATS client of its own, and with Seaway's bus."""

    def __init__(self, client: Client, bus: Bus, heard: list[Msg], node: str = "n2") -> None:
        self.client = client
        self.bus = bus
        self.heard = heard
        """All that comes to it."""
        self.node = node

    async def tell(self, action: str, container: str, state: State = State.RUNNING, **status: Any) -> None:
        """Tell the services of a container at once, with a later status than its own node's."""
        await self.tell_event("container", action, container, container_body(action, state, **status))

    async def tell_event(self, noun: str, action: str, subject_id: str, body: dict[str, Any]) -> None:
        envelope = Envelope(
            id=secrets.token_hex(12),
            node=self.node,
            noun=noun,
            action=action,
            subject_id=subject_id,
            time_ns=time.time_ns(),
            seq=1 << 40,
            actor="n2",
        )
        subject = channel_of(noun, action).told_subject(self.node, subject_id)
        await self.client.publish(subject, json.dumps(body).encode(), headers=envelope.headers())
        await settled(self.client)

    async def store(self, *events: EventToStore) -> dict[str, str]:
        """Ask metadata to publish these, again while it is too busy; why it refuses some."""
        limit, request = time.monotonic() + GUARD_S, StoreEvents(events=events)
        while True:
            try:
                return (await self.bus.call(catalogue.STORE_EVENTS, request, node=self.node)).refused
            except SeawayError as error:
                if not error.retryable or time.monotonic() > limit:
                    raise
            await asyncio.sleep(0.1)


@contextlib.asynccontextmanager
async def taken_over(suite: Suite, node: str = "n2") -> AsyncIterator[Hostile]:
    """That node hears all that it may."""
    user = f"agent.{node}"
    async with foreign(suite, user) as client, bus_of(suite, user) as bus:
        heard = await hearing(
            client,
            f"seaway.v1.node.{node}.do.>",
            "seaway.v1.node.all.do.>",
            f"seaway.v1.node.*.tell.reply.{user}.>",
            f"_INBOX.{user}.>",
            "$SRV.>",
        )
        yield Hostile(client, bus, heard, node)


def channel_of(noun: str, action: str) -> EventChannel[Any]:
    return catalogue.EVENTS[noun, action]


def container_body(action: str, state: State = State.RUNNING, **status: Any) -> dict[str, Any]:
    full = {"state": state.value, "seq": 1 << 40, "run": 99} | status
    return {"status": full, "attributes": {"name": "victim", "image": "busybox", "exitCode": "42"}}


def event_to_store(noun: str, action: str, subject_id: str, body: dict[str, Any], **changes: Any) -> EventToStore:
    plain: dict[str, Any] = {
        "id": secrets.token_hex(12),
        "key": subject_id,
        "noun": noun,
        "action": action,
        "subject_id": subject_id,
        "time_ns": time.time_ns(),
        "seq": 1 << 40,
        "body": body,
    }
    return EventToStore(**(plain | changes))


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
    to_all = (catalogue.IMAGES_DELETED.subject(), catalogue.TO_NODES.subject())
    return [one.subject for one in hostile.heard if not one.subject.startswith(("$SRV.", *to_all))]


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
