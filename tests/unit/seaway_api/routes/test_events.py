"""GET /events: past and present, each once; filters; what clients get to see."""

import asyncio
import urllib.parse
from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest

from seaway_api.cache import readers
from seaway_api.cache.readers import CutOff, Reader
from seaway_api.routes import events as events_route
from seaway_api.translate.events import DockerEvent, docker_event, shown_by_default
from seaway_bus import events
from seaway_bus.events import history
from seaway_contracts.catalogue import EVENT_STREAM
from seaway_contracts.containers import ContainerStatus, State
from seaway_contracts.lifecycle import Envelope
from seaway_docker.event_filters import EventFacts
from seaway_testing import builders
from seaway_testing.builders import START_NS
from seaway_testing.waiting import until

ID = builders.container_id(1)
RUNNING = ContainerStatus(state=State.RUNNING, seq=2)


async def listening(rig: Any, query: str = "") -> Any:
    wire = await rig.wire()
    wire.send(f"GET /v1.45/events?{query} HTTP/1.1\r\nHost: d\r\n\r\n".encode())
    status, headers = await wire.head()
    assert (status, headers["transfer-encoding"], headers["content-type"]) == (200, "chunked", "application/json")
    return wire


async def test_an_event_has_the_old_and_the_new_fields(rig: Any) -> None:
    wire = await listening(rig)
    envelope = await rig.suite.emit("start", ID, RUNNING, image="busybox", name="box1")
    line = await wire.chunk()
    assert line.endswith(b"\n")
    assert orjson.loads(line) == {
        "status": "start",
        "id": ID,
        "from": "busybox",
        "Type": "container",
        "Action": "start",
        "Actor": {"ID": ID, "Attributes": {"image": "busybox", "name": "box1"}},
        "scope": "local",
        "time": envelope.time_ns // 10**9,
        "timeNano": envelope.time_ns,
    }


@pytest.mark.parametrize(
    ("kind", "mark"), [("application/jsonl", b""), ("application/x-ndjson", b""), ("application/json-seq", b"\x1e")]
)
async def test_the_form_is_the_one_that_the_client_accepts(rig: Any, kind: str, mark: bytes) -> None:
    wire = await rig.wire()
    wire.send(f"GET /events HTTP/1.1\r\nHost: d\r\nAccept: {kind}\r\n\r\n".encode())
    assert (await wire.head())[1]["content-type"] == kind
    await rig.suite.emit("start", ID, RUNNING)
    line = await wire.chunk()
    assert line.startswith(mark + b"{") and line.endswith(b"}\n")


def lines(answer: Any) -> list[dict[str, Any]]:
    return [orjson.loads(line) for line in answer.body.splitlines()]


@pytest.mark.parametrize("query", ["until=0", "since=0&until=0", "since=-1&until=0"])
async def test_until_without_since_or_with_0_begins_with_the_past(rig: Any, query: str) -> None:
    """As dockerd: 0 is 1970, and `until` alone asks for all that it remembers; `until=0` ends behind that."""
    await rig.suite.emit("create", ID, RUNNING)
    await rig.suite.emit("start", ID, RUNNING)
    assert [one["Action"] for one in lines(await rig.call("GET", f"/events?{query}"))] == ["create", "start"]


async def test_until_without_since_is_of_no_more_than_dockerd_remembers(rig: Any) -> None:
    for _ in range(300):
        await rig.suite.emit("start", ID, RUNNING)
    assert len(lines(await rig.call("GET", "/events?until=0"))) == 256
    assert len(lines(await rig.call("GET", "/events?since=0&until=0"))) == 300


async def test_since_0_without_until_continues_with_what_happens(rig: Any) -> None:
    await rig.suite.emit("create", ID, RUNNING)
    wire = await listening(rig, "since=0")
    assert orjson.loads(await wire.chunk())["Action"] == "create"
    await rig.suite.emit("start", ID, RUNNING)
    assert orjson.loads(await wire.chunk())["Action"] == "start"


async def test_without_since_and_until_there_is_no_past(rig: Any) -> None:
    await rig.suite.emit("create", ID, RUNNING)
    wire = await listening(rig)
    await rig.suite.emit("start", ID, RUNNING)
    assert orjson.loads(await wire.chunk())["Action"] == "start"


async def test_events_of_the_stream_have_their_sequence_number(rig: Any) -> None:
    await rig.suite.emit("create", ID, RUNNING)
    await rig.suite.emit("start", ID, RUNNING)
    assert [one["seq"] for one in lines(await rig.call("GET", "/events?until=0"))] == [1, 2]


async def test_a_cursor_continues_behind_the_last_event_and_follows_the_stream(rig: Any) -> None:
    for action in ("create", "start", "kill"):
        await rig.suite.emit(action, ID, RUNNING)
    wire = await listening(rig, "since=seq:1")
    got = [orjson.loads(await wire.chunk()) for _ in range(2)]
    assert [(one["Action"], one["seq"]) for one in got] == [("start", 2), ("kill", 3)]
    rig.api.hub.remember(ID, "n1")
    envelope = await rig.suite.tell("die", ID, RUNNING.model_copy(update={"seq": 5}))
    await until(lambda: rig.api.hub.unstored)
    await rig.suite.emit("status", ID, RUNNING)
    await rig.suite.store(*rig.suite.told[envelope.id])
    last = orjson.loads(await wire.chunk())
    assert (last["Action"], last["seq"]) == ("die", 5), "it comes once it is stored, in the stream's order"
    assert rig.api.hub.reader_count == 0, "nothing waits in memory for this client: it can't fall behind"


async def test_a_cursor_with_until_ends_and_one_behind_the_stream_is_refused(rig: Any) -> None:
    await rig.suite.emit("create", ID, RUNNING)
    await rig.suite.emit("start", ID, RUNNING)
    assert [one["Action"] for one in lines(await rig.call("GET", "/events?since=seq:1&until=0"))] == ["start"]
    assert (await rig.call("GET", "/events?since=seq:2&until=0")).body == b""
    refused = await rig.call("GET", "/events?since=seq:3")
    assert refused.status == 400 and "the newest event is seq:2" in refused.json["message"]
    for wrong in ("seq:", "seq:x", "seq:-1"):
        assert (await rig.call("GET", f"/events?since={wrong}")).status == 400


async def test_a_cursor_survives_a_lost_connection(rig: Any) -> None:
    await rig.suite.emit("create", ID, RUNNING)
    wire = await listening(rig, "since=seq:0")
    assert orjson.loads(await wire.chunk())["seq"] == 1
    rig.api.bus.transport.cut()
    rig.api.hub.next_stored.set()
    await rig.quiet()
    rig.api.bus.transport.mend()
    await rig.suite.emit("start", ID, RUNNING)
    assert orjson.loads(await wire.chunk())["seq"] == 2


async def test_a_cursor_ends_when_the_stream_is_begun_anew(rig: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its events would get numbers that the client has seen already."""
    monkeypatch.setattr(events_route, "_LOOK_AGAIN_S", 0.01)
    for action in ("create", "start"):
        await rig.suite.emit(action, ID, RUNNING)
    wire = await listening(rig, "since=seq:0")
    assert [orjson.loads(await wire.chunk())["seq"] for _ in range(2)] == [1, 2]
    del rig.server.streams[EVENT_STREAM.name]
    await rig.api.bus.transport.ensure_stream(EVENT_STREAM)
    await rig.suite.emit("kill", ID, RUNNING)
    with pytest.raises(asyncio.IncompleteReadError):
        await wire.chunk()


async def test_internal_events_are_not_shown(rig: Any) -> None:
    wire = await listening(rig)
    await rig.suite.emit("status", ID, RUNNING)
    await rig.suite.emit("die", ID, RUNNING, exitCode="3")
    assert orjson.loads(await wire.chunk())["Action"] == "die"


async def test_the_past_and_the_present_join_without_gap_or_double(rig: Any) -> None:
    for action in ("create", "start"):
        await rig.suite.emit(action, ID, RUNNING)
    wire = await listening(rig, f"since={START_NS // 10**9}")
    for action in ("kill", "die"):
        await rig.suite.emit(action, ID, RUNNING)
    got: list[str] = []
    while len(got) < 4:
        got += [orjson.loads(line)["Action"] for line in (await wire.chunk()).splitlines()]
    assert got == ["create", "start", "kill", "die"]


async def test_what_was_told_and_is_not_stored_yet_is_part_of_the_past(rig: Any) -> None:
    """Whoever has a command's answer finds its events, though metadata may store them a moment later, or much later."""
    await rig.suite.emit("create", ID, RUNNING)
    rig.api.hub.remember(ID, "n1")
    envelope = await rig.suite.tell("start", ID, RUNNING.model_copy(update={"seq": 3}))
    await until(lambda: rig.api.hub.unstored)
    wire = await listening(rig, f"since={START_NS // 10**9}")
    got: list[str] = []
    while len(got) < 2:
        got += [orjson.loads(line)["Action"] for line in (await wire.chunk()).splitlines()]
    assert got == ["create", "start"]
    await rig.suite.store(*rig.suite.told[envelope.id])
    await rig.suite.emit("die", ID, RUNNING)
    assert orjson.loads(await wire.chunk())["Action"] == "die", "stored, it does not come again"
    assert rig.api.hub.unstored == []


async def test_a_long_past_is_not_remembered_to_join_the_present(rig: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of it only the newest may come once more; and that comes once."""
    count, remembered = 3000, Remembering()
    for _ in range(count):
        await rig.suite.emit("start", ID, RUNNING)
    rig.api.hub._feed._wake.set()
    await until(lambda: rig.api.hub._feed.horizon == count)
    monkeypatch.setattr(events_route, "set", lambda: remembered, raising=False)
    wire = await listening(rig, f"since={START_NS // 10**9}")
    await rig.suite.emit("die", ID, RUNNING)
    lines: list[bytes] = []
    while len(lines) < count + 1:
        lines += (await wire.chunk()).splitlines()
    times = [orjson.loads(line)["timeNano"] for line in lines]
    assert times == sorted(set(times))
    assert len(remembered) < count // 2


class Remembering(set[str]):
    """What is remembered of one reading."""


async def test_until_in_the_past_ends_at_once(rig: Any) -> None:
    first = await rig.suite.emit("create", ID, RUNNING)
    await rig.suite.emit("start", ID, RUNNING)
    seconds, fraction = divmod(first.time_ns, 10**9)
    span = f"since={seconds}&until={seconds}.{fraction:09d}"
    answer = await rig.call("GET", f"/events?{span}")
    assert [orjson.loads(line)["Action"] for line in answer.body.splitlines()] == ["create"]
    assert (await rig.call("GET", "/events?until=1")).body == b""


async def test_a_past_that_can_not_be_read_is_refused_or_waited_for(rig: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    await rig.suite.emit("start", ID, RUNNING)
    asked = f"/events?since=1&until={START_NS // 10**9 + 10**6}"
    rig.api.bus.transport.cut()
    waiting = asyncio.create_task(rig.call("GET", asked))
    await rig.quiet()
    rig.api.bus.transport.mend()
    assert orjson.loads((await waiting).body)["Action"] == "start"
    monkeypatch.setattr(events, "_AWAY_S", 0.05)
    rig.api.bus.transport.cut()
    refused = await rig.call("GET", asked)
    assert refused.status == 503 and refused.json["message"].startswith("the bus is away: "), refused.body
    assert rig.api.hub.reader_count == 0


async def test_filters(rig: Any) -> None:
    filters = urllib.parse.quote('{"event":{"die":true},"container":{"box1":true}}')
    wire = await listening(rig, f"filters={filters}")
    await rig.suite.emit("start", ID, RUNNING, name="box1")
    await rig.suite.emit("die", builders.container_id(2), RUNNING, name="other")
    await rig.suite.emit("die", ID, RUNNING, name="box1", exitCode="0")
    assert orjson.loads(await wire.chunk())["Actor"]["Attributes"]["name"] == "box1"


async def test_refusals(rig: Any) -> None:
    assert (await rig.call("GET", "/events?since=x")).status == 400
    assert (await rig.call("GET", "/events?filters=x")).status == 400
    assert (await rig.call("GET", "/events?since=20&until=10")).status == 400


async def test_a_reader_that_hangs_up_is_forgotten(rig: Any) -> None:
    wire = await listening(rig)
    assert rig.api.hub.reader_count == 1
    wire.writer.transport.abort()
    await until(lambda: rig.api.hub.reader_count == 0)


async def test_a_reader_that_does_not_read_is_cut_off_and_others_are_not() -> None:
    slow, quick = Reader(), Reader()
    event = DockerEvent("e", EventFacts("container", "start", ID), 1, b"{}\n")
    for _ in range(16_384):
        slow.feed(event)
        quick.feed(event)
    assert len(await quick.next()) == 256, "an answer holds a copy of what is taken at once"
    assert len(await slow.next()) == 256
    for _ in range(257):
        slow.feed(event)
    with pytest.raises(CutOff):
        await slow.next()
    for _ in range(63):
        assert len(await quick.next(0)) == 256
    with pytest.raises(TimeoutError):
        await quick.next(0)
    quick.feed(event)
    assert len(await quick.next(0)) == 1


async def test_one_that_is_cut_off_sees_that_this_is_no_end_and_goes_on_since_the_last(
    rig: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readers, "_MOST_BEHIND", 16)
    wire, count = await listening(rig), 0
    while not cut_off(rig):
        await rig.suite.emit("start", ID, RUNNING, long="x" * 100_000)
        count += 1
    got: list[bytes] = []
    with pytest.raises(asyncio.IncompleteReadError):
        while True:
            got += (await wire.chunk()).splitlines()
    assert 1 <= len(got) < count
    await until(lambda: rig.api.hub.reader_count == 0)
    seconds, fraction = divmod(orjson.loads(got[-1])["timeNano"], 10**9)
    again = await rig.call("GET", f"/events?since={seconds}.{fraction:09d}&until={seconds + 1}")
    rest = [json_without_seq(line) for line in again.body.splitlines()[1:]]
    assert [*map(json_without_seq, got), *rest] == [json_without_seq(line) async for line in told(rig)]


def json_without_seq(line: bytes) -> dict[str, Any]:
    return {key: value for key, value in orjson.loads(line).items() if key != "seq"}


def cut_off(rig: Any) -> bool:
    return any(reader._cut_off for reader in rig.api.hub._readers)


async def told(rig: Any) -> AsyncIterator[bytes]:
    """All that the stream holds, as clients are told of it."""
    async for event in history(rig.api.bus.transport, start_ns=0):
        shown = docker_event(event.envelope, event.data)
        assert shown is not None
        yield shown.line.rstrip(b"\n")


def envelope(noun: str, action: str, subject: str = "s") -> Envelope:
    return Envelope(id="e1", node="n1", noun=noun, action=action, subject_id=subject, time_ns=1_500_000_000)


def test_an_image_event_names_the_image_as_the_user_did() -> None:
    body = b'{"image_id":"sha256:1","ref":"busybox:latest","attributes":{"name":"busybox"}}'
    shown = docker_event(envelope("image", "pull"), body)
    assert shown is not None
    fields = orjson.loads(shown.line)
    assert (fields["id"], fields["status"], fields["Actor"]["ID"]) == ("busybox:latest", "pull", "busybox:latest")
    assert "from" not in fields


def test_a_network_event_has_no_old_fields() -> None:
    shown = docker_event(envelope("network", "connect"), b'{"network_id":"abc","attributes":{"container":"c"}}')
    assert shown is not None
    fields = orjson.loads(shown.line)
    assert fields["Actor"] == {"ID": "abc", "Attributes": {"container": "c"}}
    assert "id" not in fields and "status" not in fields


def test_a_volume_is_called_by_its_name() -> None:
    body = b'{"name":"data.1","attributes":{"driver":"local"}}'
    shown = docker_event(envelope("volume", "create", "f" * 64), body)
    assert shown is not None and shown_by_default(shown)
    fields = orjson.loads(shown.line)
    assert fields["Actor"] == {"ID": "data.1", "Attributes": {"driver": "local"}}
    assert "id" not in fields and "status" not in fields


def test_a_prune_is_of_the_kind_that_was_pruned() -> None:
    shown = docker_event(envelope("cluster", "prune"), b'{"kind":"container","attributes":{"reclaimed":"42"}}')
    assert shown is not None and shown_by_default(shown)
    fields = orjson.loads(shown.line)
    assert (fields["Type"], fields["Action"], fields["status"]) == ("container", "prune", "prune")
    assert fields["Actor"] == {"ID": "", "Attributes": {"reclaimed": "42"}}
    assert "id" not in fields


def test_nodes_are_shown_only_to_those_who_ask() -> None:
    shown = docker_event(envelope("node", "down", "n1"), b'{"node":"n1","reason":"no beat"}')
    assert shown is not None
    assert not shown_by_default(shown)
    assert shown.facts.attributes == {"name": "n1", "reason": "no beat"}


def test_users_are_shown_only_to_those_who_ask() -> None:
    shown = docker_event(
        envelope("user", "remove", "bob"), b'{"user":"bob","reason":"expired","attributes":{"name":"bob"}}'
    )
    assert shown is not None
    assert not shown_by_default(shown)
    assert (shown.facts.actor_id, shown.facts.attributes) == ("bob", {"name": "bob", "reason": "expired"})


def test_an_unreadable_body_is_dropped() -> None:
    assert docker_event(envelope("container", "die"), b"{") is None
    assert docker_event(envelope("container", "die"), b"[]") is not None
