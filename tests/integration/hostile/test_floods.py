"""A node that was taken over sends as much as it can: it takes neither history nor present from another."""

import asyncio
import json
import secrets
import time

import nats.errors
import orjson
import pytest
from tests.integration.cli.bus_users import settled
from tests.integration.hostile.taken_over import (
    Hostile,
    Suite,
    container_body,
    event_to_store,
)

from seaway_contracts import catalogue
from seaway_contracts.lifecycle import MOST_BYTES, MOST_EVENTS, Envelope, StoreEvents, volume_subject
from seaway_testing.waiting import GUARD_S, until, wait

pytestmark = [pytest.mark.root, pytest.mark.timeout(240)]


async def test_large_events_are_not_stored_and_the_history_stays(suite: Suite, victim: str, n2: Hostile) -> None:
    """60 events of 4 MB: told, and handed over."""
    before = await suite.stored_start("n1", victim)
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
                "volume",
                "create",
                volume_subject(f"f{number}"),
                {"name": f"f{number}", "attributes": {"a": "x" * (MOST_BYTES - 1024)}},
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
            except nats.errors.Error:
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
    before = await suite.stored_start("n1", victim)
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
    before = await suite.stored_start("n1", victim)
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
