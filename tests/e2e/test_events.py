"""docker events: contents, order, filters, replay."""

import json
import time
from typing import Any

import pytest
from e2e_rig.api import Api, EventStream, filters
from e2e_rig.docker_cli import DockerCli
from e2e_rig.registry import Registry
from e2e_rig.waits import eventually


def past(api: Api, since: float, **wanted: str | list[str]) -> list[dict[str, Any]]:
    """Events since then and until now."""
    query = f"since={since:.9f}&until={time.time() + 0.001:.9f}&{filters(**wanted)}"
    return [json.loads(line) for line in api.request("GET", f"/events?{query}").body.splitlines()]


def told(events: list[dict[str, Any]]) -> list[str]:
    return [f"{event['Type']} {event['Action']}" for event in events]


def test_a_whole_life_in_order(cli: DockerCli, api: Api, name: str) -> None:
    with EventStream(api) as stream:
        container = cli("create", "--name", name, "-l", "who=me", "busybox", "sh", "-c", "exit 3").out
        cli("start", name)
        cli("wait", name)
        cli("rm", name)
        events = stream.until("destroy", container)
    expected = ["container create", "network connect", "container start", "network disconnect", "container die"]
    assert told(events) == [*expected, "container destroy"]
    die = events[4]
    assert die["id"] == die["Actor"]["ID"] == container
    assert (die["status"], die["from"], die["scope"]) == ("die", "busybox", "local")
    attributes = die["Actor"]["Attributes"]
    assert attributes["exitCode"] == "3" and attributes["name"] == name and attributes["image"] == "busybox"
    assert attributes["who"] == "me" and attributes["execDuration"] == "0"
    assert die["timeNano"] // 1_000_000_000 == die["time"]
    assert [event["timeNano"] for event in events] == sorted(event["timeNano"] for event in events)
    network = events[1]["Actor"]["Attributes"]
    assert (network["container"], network["name"], network["type"]) == (container, "bridge", "bridge")


def test_stop_and_restart_in_docker_s_order(cli: DockerCli, api: Api) -> None:
    container = cli("run", "-d", "busybox", "sh", "-c", "trap '' TERM; while :; do sleep 0.05; done").out
    since = time.time()
    cli("restart", "-t", "1", container)
    cli("stop", "-t", "0", container)
    events = past(api, since, container=container, type="container")
    actions = [event["Action"] for event in events]
    assert sorted(actions[:4]) == ["die", "kill", "kill", "stop"] and actions[4:6] == ["start", "restart"]
    assert sorted(set(actions[6:])) == ["die", "kill", "stop"]
    signals = [event["Actor"]["Attributes"]["signal"] for event in events if event["Action"] == "kill"]
    assert signals[:2] == ["15", "9"] and signals[-1] == "9"


def test_forced_removal(cli: DockerCli, api: Api) -> None:
    container = cli("run", "-d", "busybox", "sleep", "60").out
    since = time.time()
    cli("rm", "-f", container)
    assert told(past(api, since)) == ["container kill", "network disconnect", "container die", "container destroy"]


def test_image_events(cli: DockerCli, api: Api, registry: Registry) -> None:
    since = time.time()
    cli("pull", "-q", f"{registry.address}/lib/dressed:1")
    cli("tag", "busybox", "evented:1")
    cli("rmi", "evented:1", f"{registry.address}/lib/dressed:1")
    events = eventually(lambda: len(seen := past(api, since, type="image")) >= 4 and seen, "the last untag")
    assert events and told(events)[:4] == ["image pull", "image tag", "image untag", "image untag"]
    assert events[0]["Actor"]["ID"] == f"{registry.address}/lib/dressed:1"
    assert events[1]["Actor"]["Attributes"]["name"] == "evented:1"


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({"event": "die"}, ["container die"]),
        ({"event": ["create", "start"]}, ["container create", "container start"]),
        ({"type": "network"}, ["network connect", "network disconnect"]),
        ({"label": "colour=red", "event": "die"}, ["container die"]),
        ({"label": "colour=blue"}, []),
        ({"image": "busybox", "event": "start"}, ["container start"]),
        ({"container": "filtered-one", "type": "container", "event": "destroy"}, ["container destroy"]),
        ({"volume": "nothing"}, []),
    ],
)
def test_filters(cli: DockerCli, api: Api, wanted: dict[str, str | list[str]], expected: list[str]) -> None:
    since = time.time()
    cli("run", "--rm", "--name", "filtered-one", "-l", "colour=red", "busybox", "true")
    _until_destroyed(api, since)
    assert told(past(api, since, **wanted)) == expected


def _until_destroyed(api: Api, since: float) -> None:
    with EventStream(api, f"since={since:.9f}") as stream:
        stream.until("destroy")


def test_filters_as_a_map(cli: DockerCli, api: Api) -> None:
    since = time.time()
    cli("create", "busybox")
    query = f"since={since}&until={time.time() + 0.001}&filters=%7B%22event%22%3A%7B%22create%22%3Atrue%7D%7D"
    assert len(api.request("GET", f"/events?{query}").body.splitlines()) == 1


def test_cli_formats(cli: DockerCli) -> None:
    since = str(time.time())
    container = cli("create", "-l", "a=b", "busybox").out
    words = ["events", "--since", since, "--until", str(time.time() + 0.01)]
    (line,) = cli(*words).lines
    assert f" container create {container} (a=b, image=busybox, name=" in line
    assert cli(*words, "--format", "{{.Type}}/{{.Action}}/{{.ID}}").lines == [f"container/create/{container}"]
    assert json.loads(cli(*words, "--format", "{{json .}}").out)["Action"] == "create"
    assert cli(*words, "--filter", "event=start").lines == []


def test_until_in_the_future_ends_the_stream(cli: DockerCli) -> None:
    now = time.time()
    container = cli("create", "busybox").out
    lines = cli("events", "--since", str(now), "--until", str(now + 1.0), "--format", "{{.ID}}").lines
    assert lines == [container]
    assert time.time() >= now + 1.0


def test_live_headers_come_at_once(cli: DockerCli, api: Api) -> None:
    """Before there is anything to tell; and what happens once they are there is told."""
    asked = time.monotonic()
    with EventStream(api, filters(event="create")) as stream:
        assert time.monotonic() - asked < 3.0
        assert stream.headers["content-type"] == "application/json"
        assert stream.headers["transfer-encoding"] == "chunked"
        container = cli("create", "busybox").out
        assert [event["Actor"]["ID"] for event in stream.until("create")] == [container]


def test_past_joins_the_present_without_gap_or_double(cli: DockerCli, api: Api) -> None:
    since = time.time()
    first = [cli("create", "busybox").out for _ in range(3)]
    with EventStream(api, f"since={since:.9f}&" + filters(event="create")) as stream:
        second = [cli("create", "busybox").out for _ in range(3)]
        events = stream.until("create", second[-1])
    assert [event["Actor"]["ID"] for event in events] == first + second


def test_bad_times_and_filters(api: Api) -> None:
    assert api.request("GET", "/events?since=yesterday").status in (400, 500)
    assert api.request("GET", "/events?filters=%7B").status == 400


@pytest.mark.seaway_only
def test_a_cursor_goes_on_where_it_was(cli: DockerCli, api: Api, name: str) -> None:
    """All come from the stream with their numbers: a program that begins again misses none, and sees none twice."""
    cli("create", "--name", name, "busybox", "true")
    cli("start", name)
    cli("wait", name)
    cli("rm", name)
    query = filters(container=name, type="container")

    def read(after: int) -> list[dict[str, Any]]:
        until = f"{time.time():.9f}"
        reply = api.request("GET", f"/events?since=seq:{after}&until={until}&{query}")
        return [json.loads(line) for line in reply.body.splitlines()]

    whole = eventually(lambda: len(seen := read(0)) >= 4 and seen, "the whole life")
    assert whole and told(whole) == [f"container {action}" for action in ("create", "start", "die", "destroy")]
    numbers = [event["seq"] for event in whole]
    assert numbers == sorted(set(numbers))
    for place, number in enumerate(numbers, 1):
        assert read(number) == whole[place:]
    beyond = api.request("GET", "/events?since=seq:999999999")
    assert beyond.status == 400 and b"since=seq:0" in beyond.body
