"""Commands to a container, list, inspect, prune."""

import time
import urllib.parse
from typing import Any

import orjson
import pytest

from seaway_bus import bus
from seaway_contracts import catalogue as cat
from seaway_contracts.archives import ContainerSize, ContainerSizes, MeasureContainers
from seaway_contracts.containers import (
    Command,
    ContainerRecord,
    ContainerStatus,
    Endpoint,
    EndpointSpec,
    Health,
    Link,
    Probe,
    PublishedPort,
    Resources,
    RestartPolicy,
    State,
)
from seaway_contracts.errors import Code, Reason, conflict, not_modified, unavailable
from seaway_contracts.networks import network_id
from seaway_testing import builders
from seaway_testing.builders import START_NS, container_id

ID = builders.container_id(1)


def box(seed: int, state: State = State.CREATED, **status: Any) -> ContainerRecord:
    return ContainerRecord(spec=builders.spec(seed), node="n1", status=ContainerStatus(state=state, **status))


def filtered(**filters: list[str]) -> str:
    return "filters=" + urllib.parse.quote(orjson.dumps(filters).decode())


@pytest.mark.parametrize("ref", ["box1", builders.container_id(1), builders.container_id(1)[:12]])
async def test_start_goes_to_the_node_by_any_reference(rig: Any, ref: str) -> None:
    record = rig.suite.add(box(1))
    assert (await rig.call("POST", f"/containers/{ref}/start")).status == 204
    assert rig.suite.named("start")[0].id == record.id


async def test_the_node_of_a_whole_id_is_asked_for_once(rig: Any) -> None:
    record = rig.suite.add(box(1))
    for verb in ("start", "stop", "start"):
        await rig.call("POST", f"/containers/{record.id}/{verb}")
    assert len(rig.suite.named("resolve")) == 1


async def test_started_already_is_304_without_a_body(rig: Any) -> None:
    rig.suite.add(box(1, State.RUNNING))
    answer = await rig.call("POST", "/containers/box1/start")
    assert (answer.status, answer.body) == (304, b"")


async def test_who_is_told_that_it_runs_already_sees_it_run(rig: Any) -> None:
    """An answer was lost with a connection, and metadata has not heard yet."""
    record = rig.suite.add(box(1, seq=1))
    rig.suite.fail["start"] = not_modified()
    rig.suite.held[record.id] = ContainerStatus(state=State.RUNNING, seq=2)
    assert (await rig.call("POST", "/containers/box1/start")).status == 304
    assert (await rig.call("GET", "/containers/box1/json")).json["State"]["Running"]
    assert rig.suite.named("get")[-1].basis == {record.id: 2}


@pytest.mark.parametrize(
    ("path", "least_s"),
    [("stop", 86_400), ("restart", 86_400), ("stop?t=300", 400), ("stop?t=-1", 86_400)],
)
async def test_a_stop_may_take_as_long_as_its_container_has(rig: Any, path: str, least_s: int) -> None:
    rig.suite.add(box(1, State.PAUSED))
    assert (await rig.call("POST", f"/containers/box1/{path}")).status == 204
    assert rig.suite.commands[-1].deadline_ns / 1e9 - time.time() > least_s


async def test_stop_passes_time_and_signal_on(rig: Any) -> None:
    rig.suite.add(box(1, State.RUNNING))
    assert (await rig.call("POST", "/containers/box1/stop?t=3&signal=SIGINT")).status == 204
    request = rig.suite.named("stop")[0]
    assert (request.timeout_s, request.signal) == (3, "SIGINT")


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/containers/box1/kill?signal=NOPE", 400),
        ("/containers/box1/stop?t=x", 400),
        ("/containers/box1/resize?h=x&w=1", 400),
        ("/containers/box1/resize?h=1&w=70000", 400),
        ("/containers/nobody/start", 404),
        ("/containers/box1/start", 204),
        ("/containers/box1/kill", 204),
        ("/containers/box1/pause", 204),
        ("/containers/box1/unpause", 204),
        ("/containers/box1/restart?t=1", 204),
        ("/containers/box1/resize?h=24&w=80", 200),
    ],
)
async def test_statuses(rig: Any, path: str, status: int) -> None:
    rig.suite.add(box(1))
    assert (await rig.call("POST", path)).status == status


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        (Reason.NOT_RUNNING, f"cannot kill container: box1: container {container_id(1)} is not running"),
        (None, "the node's own words"),
    ],
)
async def test_a_refused_kill_is_told_by_the_name_that_was_given(rig: Any, reason: Reason | None, words: str) -> None:
    rig.suite.add(box(1))
    rig.suite.fail["kill"] = conflict("the node's own words", reason)
    answer = await rig.call("POST", "/containers/box1/kill")
    assert (answer.status, answer.json["message"]) == (409, words)


@pytest.mark.parametrize(
    ("code", "status", "words"),
    [
        (Code.NOT_FOUND, 500, "Cannot restart container box1: the node's own words"),
        (Code.UNAVAILABLE, 503, "the node's own words"),
    ],
)
async def test_a_refused_restart(rig: Any, failure: Any, code: Code, status: int, words: str) -> None:
    rig.suite.add(box(1))
    rig.suite.fail["restart"] = failure(code, "the node's own words")
    answer = await rig.call("POST", "/containers/box1/restart")
    assert (answer.status, answer.json["message"]) == (status, words)


async def test_a_start_error_passes_through_word_for_word(rig: Any, failure: Any) -> None:
    """The CLI makes 127 of it."""
    rig.suite.add(box(1))
    text = 'failed to create task: exec: "nope": executable file not found in $PATH'
    rig.suite.fail["start"] = failure(Code.BAD_REQUEST, text)
    answer = await rig.call("POST", "/containers/box1/start")
    assert (answer.status, answer.json["message"]) == (400, text)


async def test_remove(rig: Any) -> None:
    rig.suite.add(box(1))
    assert (await rig.call("DELETE", "/containers/box1?force=1&v=true")).status == 204
    request = rig.suite.named("remove")[0]
    assert (request.force, request.volumes) == (True, True)
    assert (await rig.call("DELETE", "/containers/box1")).status == 404


@pytest.mark.parametrize("code", [Code.NOT_FOUND, Code.UNAVAILABLE, Code.TIMEOUT])
async def test_remove_what_its_node_has_never_told_of(rig: Any, failure: Any, code: Code) -> None:
    """Whoever began to make it, or the node, died meanwhile; where the node can't be asked, it is told later."""
    rig.suite.add(box(1, seq=0))
    rig.suite.fail["remove"] = failure(code, "no")
    assert (await rig.call("DELETE", f"/containers/{container_id(1)}")).status == 204
    [forgotten] = rig.suite.named("forget")
    assert (forgotten.id, forgotten.unheard) == (container_id(1), code is not Code.NOT_FOUND)
    assert (await rig.call("DELETE", f"/containers/{container_id(1)}")).status == 404


async def test_what_was_made_on_a_node_that_is_away_is_not_removed(rig: Any, failure: Any) -> None:
    rig.suite.add(box(1, seq=1))
    rig.suite.fail["remove"] = failure(Code.UNAVAILABLE, "node n1 is not there")
    answer = await rig.call("DELETE", "/containers/box1?force=1")
    assert (answer.status, answer.json["message"]) == (503, "node n1 is not there")
    assert not rig.suite.named("forget") and len(rig.suite.records) == 1


async def test_the_list_is_newest_first_over_all_pages(rig: Any) -> None:
    for seed in range(1, 6):
        rig.suite.add(box(seed, State.RUNNING if seed % 2 else State.EXITED, started_ns=START_NS))
    running = (await rig.call("GET", "/containers/json")).json
    assert [one["Names"] for one in running] == [["/box5"], ["/box3"], ["/box1"]]
    shown = (await rig.call("GET", "/containers/json?all=1")).json
    assert [one["Names"][0] for one in shown] == ["/box5", "/box4", "/box3", "/box2", "/box1"]
    assert len((await rig.call("GET", "/containers/json?limit=2")).json) == 2


async def test_list_filters(rig: Any) -> None:
    rig.suite.add(box(1, State.RUNNING, started_ns=START_NS))
    rig.suite.add(box(2, State.EXITED, started_ns=START_NS, exit_code=3))
    rig.suite.add(box(3))

    async def names(query: str) -> list[str]:
        return [one["Names"][0] for one in (await rig.call("GET", f"/containers/json?{query}")).json]

    assert await names(filtered(status=["exited"])) == ["/box2"]
    assert await names("all=1&" + filtered(exited=["3"])) == ["/box2"]
    assert await names(filtered(exited=["3"])) == []
    assert await names("all=1&" + filtered(name=["box[13]"])) == ["/box3", "/box1"]
    assert await names(filtered(before=["box2"])) == ["/box1"]
    assert await names("all=1&" + filtered(since=["box2"])) == ["/box3"]
    assert await names("all=1&" + filtered(ancestor=["nope"])) == []
    assert (await rig.call("GET", "/containers/json?" + filtered(bogus=["x"]))).status == 400
    assert (await rig.call("GET", "/containers/json?" + filtered(before=["nobody"]))).status == 404


async def test_a_filter_that_names_one_container_reads_that_one_alone(rig: Any) -> None:
    """A list of all would be read from metadata, page by page, for each `docker ps --filter id=…`."""
    runs = rig.suite.add(box(1, State.RUNNING, seq=3, started_ns=START_NS))
    ended = rig.suite.add(box(2, State.EXITED, seq=3, started_ns=START_NS))
    rig.suite.add(box(3))

    async def names(query: str) -> list[str]:
        return [one["Names"][0] for one in (await rig.call("GET", f"/containers/json?{query}")).json]

    assert await names(filtered(id=[runs.id])) == await names(filtered(name=["^/box1$"])) == ["/box1"]
    assert await names(filtered(id=[ended.id])) == await names(filtered(name=["^box2$"])) == []
    assert await names("all=1&" + filtered(id=[ended.id])) == await names("all=1&" + filtered(name=["^box2$"]))
    assert await names(filtered(id=[ended.id], status=["exited"])) == ["/box2"]
    assert await names(filtered(id=[runs.id], name=["box2"])) == await names(filtered(name=["^nobody$"])) == []
    assert await names("all=1&" + filtered(name=["^box3$"])) == [], "it is registered, and not made yet"
    assert rig.suite.named("list") == []
    assert await names("all=1&" + filtered(name=["^/bo.1$"])) == await names(filtered(id=[runs.id[:12]])) == ["/box1"]
    assert rig.suite.named("list") != []


async def test_what_a_list_has_shown_is_inspected_without_asking_until_something_happens(rig: Any) -> None:
    record = rig.suite.add(box(1, State.RUNNING, seq=3))
    rig.suite.add(box(2))
    await rig.call("GET", "/containers/json?all=1")
    for ref in ("box1", record.id):
        assert (await rig.call("GET", f"/containers/{ref}/json")).json["State"]["Status"] == "running"
    assert rig.suite.named("get") == []
    await rig.call("GET", "/containers/box2/json")
    assert len(rig.suite.named("get")) == 1, "a registration, of whose end no event would tell"
    ended = ContainerStatus(state=State.EXITED, seq=4)
    await rig.suite.emit("die", record.id, ended)
    rig.suite.add(record.model_copy(update={"status": ended}))
    for _ in range(2):
        assert (await rig.call("GET", "/containers/box1/json")).json["State"]["Status"] == "exited"
    assert len(rig.suite.named("get")) == 2
    await rig.call("DELETE", "/containers/box1")
    assert (await rig.call("GET", f"/containers/{record.id}/json")).status == 404


async def test_inspect_of_a_running_container(rig: Any) -> None:
    spec = builders.spec(
        1,
        command=Command(cmd=("sh", "-c", "true"), env=("A=1",), tty=True),
        network=builders.networking(hostname="h", exposed_ports=("80/tcp", "90/udp")),
    )
    endpoint = Endpoint(network="bridge", network_id=network_id("bridge"), address="10.0.0.2", prefix_len=24)
    status = ContainerStatus(
        state=State.RUNNING,
        pid=42,
        started_ns=START_NS,
        endpoints=(endpoint,),
        ports=(PublishedPort(container_port=80, protocol="tcp", host_ip="0.0.0.0", host_port=8080),),
    )
    rig.suite.add(ContainerRecord(spec=spec, node="n1", status=status))
    shown = (await rig.call("GET", "/v1.45/containers/box1/json")).json
    assert (shown["Path"], shown["Args"]) == ("sh", ["-c", "true"])
    assert (shown["State"]["Status"], shown["State"]["Running"], shown["State"]["Pid"]) == ("running", True, 42)
    assert shown["State"]["FinishedAt"] == "0001-01-01T00:00:00Z"
    assert shown["NetworkSettings"]["Ports"] == {"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}], "90/udp": None}
    assert shown["NetworkSettings"]["IPAddress"] == "10.0.0.2"
    assert shown["NetworkSettings"]["Networks"]["bridge"]["IPPrefixLen"] == 24
    assert (shown["Config"]["Tty"], shown["Config"]["Hostname"]) == (True, "h")
    assert shown["Config"]["ExposedPorts"] == {"80/tcp": {}, "90/udp": {}}


async def serve_sizes(rig: Any) -> None:
    """A node whose containers have written five bytes each."""

    async def sizes(request: MeasureContainers, _: bus.Command) -> ContainerSizes:
        return ContainerSizes(sizes=tuple(ContainerSize(id=one, rw=5, root_fs=9) for one in request.ids))

    await rig.suite.bus.serve(cat.SIZES, sizes, node="n1")


async def test_prune_takes_those_that_do_not_run(rig: Any) -> None:
    await serve_sizes(rig)
    rig.suite.add(box(1, State.RUNNING))
    rig.suite.add(box(2, State.EXITED))
    rig.suite.add(box(3))
    done = (await rig.call("POST", "/containers/prune")).json
    assert set(done["ContainersDeleted"]) == {builders.container_id(2), builders.container_id(3)}
    assert done["SpaceReclaimed"] == 10
    assert (await rig.call("POST", "/containers/prune")).json == {"ContainersDeleted": None, "SpaceReclaimed": 0}
    assert [asked.kind for name, asked in rig.suite.calls if name == "pruned"] == ["container"] * 2


async def test_a_prune_that_can_not_be_told_of_has_been_done(rig: Any) -> None:
    await serve_sizes(rig)
    rig.suite.add(box(1))
    rig.suite.fail["pruned"] = unavailable("metadata is away")
    answer = await rig.call("POST", "/containers/prune")
    assert (answer.status, answer.json["ContainersDeleted"]) == (200, [builders.container_id(1)])


@pytest.mark.parametrize("mode", ["none", "host", "container:x"])
async def test_only_a_bridge_tells_of_ports(rig: Any, mode: str) -> None:
    spec = builders.spec(1, network=builders.networking(mode, exposed_ports=("80/tcp",)))
    ends = (Endpoint(network="container" if mode == "container:x" else mode, network_id="n"),)
    status = ContainerStatus(state=State.RUNNING, pid=7, endpoints=ends)
    rig.suite.add(ContainerRecord(spec=spec, node="n1", status=status))
    settings = (await rig.call("GET", "/containers/box1/json")).json["NetworkSettings"]
    assert settings["Ports"] == {} and (await rig.call("GET", "/containers/json")).json[0]["Ports"] == []
    joined = mode == "container:x"
    assert (settings["SandboxID"] == "") is joined and (settings["Networks"] == {}) is joined


async def test_of_networks_and_builds_none_is_there_to_be_pruned(rig: Any) -> None:
    assert (await rig.call("POST", "/networks/prune")).json == {"NetworksDeleted": None}
    done = await rig.call("POST", "/build/prune?all=1&keep-storage=1")
    assert done.json == {"CachesDeleted": None, "SpaceReclaimed": 0}
    assert [asked.kind for name, asked in rig.suite.calls if name == "pruned"] == ["network", "builder"]
    assert (await rig.call("POST", f"/networks/prune?{filtered(driver=['bridge'])}")).status == 400


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("keep-storage=x", "keep-storage is in bytes and expects an integer, got x: strconv.Atoi: "),
        (filtered(until=["1h", "2h"]), "failed to prune build cache: filters expect only one value"),
        (filtered(until=["x"]), "failed to prune build cache: \"until\" filter expects a duration (e.g., '24h')"),
    ],
)
async def test_how_builds_are_not_pruned(rig: Any, query: str, message: str) -> None:
    answer = await rig.call("POST", f"/build/prune?{query}")
    assert (answer.status, answer.json["message"][: len(message)]) == (400, message)


async def test_disk_usage_counts_layers_once(rig: Any) -> None:
    rig.suite.images["twin"] = builders.image(1, id=builders.digest("twin"))
    usage = (await rig.call("GET", "/system/df")).json
    assert usage["LayersSize"] == 1234
    assert len(usage["Images"]) == 2


@pytest.fixture
def held(rig: Any) -> Any:
    """One container, called box1."""
    return rig.suite.add(builders.record(1, seq=3, state=State.RUNNING))


async def test_update_passes_on_what_changes(rig: Any, held: Any) -> None:
    body = {"CpuShares": 300, "PidsLimit": 0, "RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 2}}
    answer = await rig.call("POST", "/containers/box1/update", body)
    assert (answer.status, answer.json) == (200, {"Warnings": None})
    (asked,) = rig.suite.named("update")
    assert asked.id == ID
    assert asked.limits == Resources(cpu_shares=300, pids_limit=0)
    assert asked.restart == RestartPolicy(name="on-failure", max_retries=2)


async def test_update_shows_warnings_and_takes_swap_alone(rig: Any, held: Any) -> None:
    rig.suite.warnings = ("weight discarded",)
    answer = await rig.call("POST", "/containers/box1/update", {"MemorySwap": 1 << 30})
    assert answer.json == {"Warnings": ["weight discarded"]}
    (asked,) = rig.suite.named("update")
    assert (asked.limits, asked.restart) == (Resources(memory_swap=1 << 30), None)


@pytest.mark.parametrize(
    ("body", "part"),
    [
        ({"Memory": 5}, "Minimum memory limit"),
        ({"BlkioWeight": 5}, "Range of blkio weight"),
        ({"RestartPolicy": {"Name": "x"}}, "unknown policy 'x'"),
        ({"CpuPeriod": 1}, "CPU cfs period"),
    ],
)
async def test_bad_updates_do_not_reach_the_node(rig: Any, held: Any, body: Any, part: str) -> None:
    answer = await rig.call("POST", "/containers/box1/update", body)
    assert answer.status == 400 and part in answer.json["message"]
    assert rig.suite.named("update") == []


async def test_rename(rig: Any, held: Any) -> None:
    answer = await rig.call("POST", "/containers/box1/rename?name=/other")
    assert answer.status == 204
    assert (await rig.call("GET", "/containers/other/json")).json["Name"] == "/other"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("", "Neither old nor new names may be empty"),
        ("box1", "Renaming a container with the same name as its current name"),
        ("x", "Error when allocating new name: Invalid container name (/x)"),
    ],
)
async def test_bad_names(rig: Any, held: Any, name: str, text: str) -> None:
    answer = await rig.call("POST", f"/containers/box1/rename?name={name}")
    assert answer.status == 400 and answer.json["message"].startswith(text)
    assert rig.suite.named("rename") == []


async def test_top(rig: Any, held: Any) -> None:
    answer = await rig.call("GET", "/containers/box1/top")
    assert answer.json == {"Processes": [["7", "sleep 9"]], "Titles": ["PID", "CMD"]}
    await rig.call("GET", "/containers/box1/top?ps_args=aux")
    assert [asked.ps_args for asked in rig.suite.named("top")] == ["-ef", "aux"]


async def test_inspect_has_the_node_s_last_probes(rig: Any) -> None:
    old, new = Health(status="starting"), Health(status="starting", failing_streak=1, log=(Probe(exit_code=1),))
    record = builders.record(1, seq=3, state=State.RUNNING)
    rig.suite.add(record.model_copy(update={"status": record.status.model_copy(update={"health": old})}))
    rig.suite.health = new
    shown = (await rig.call("GET", "/containers/box1/json")).json["State"]["Health"]
    assert (shown["FailingStreak"], shown["Log"][0]["ExitCode"]) == (1, 1)
    assert (await rig.call("GET", "/containers/json")).json[0]["Status"].endswith("(health: starting)")
    rig.suite.fail["health"] = unavailable("away")
    assert (await rig.call("GET", "/containers/box1/json")).json["State"]["Health"]["FailingStreak"] == 0


async def test_without_a_check_the_node_is_not_asked(rig: Any, held: Any) -> None:
    assert "Health" not in (await rig.call("GET", "/containers/box1/json")).json["State"]
    assert rig.suite.named("health") == []


async def test_a_change_of_health_in_docker_s_words(rig: Any, held: Any) -> None:
    wire = await rig.wire()
    wire.send(b'GET /events?filters={"event":["health_status"]} HTTP/1.1\r\nHost: d\r\n\r\n')
    await wire.head()
    await rig.suite.emit("health_status", ID, held.status, health="healthy", name="box1")
    assert b'"Action":"health_status: healthy","Actor":{"ID":"%b","Attributes":{"name":"box1"}}' % ID.encode() in (
        await wire.chunk()
    )


async def test_a_link_names_its_container(rig: Any) -> None:
    link = Link(container=container_id(1), name="box1", alias="db")
    endpoint = EndpointSpec(network="bridge", links=(link,))
    rig.suite.add(box(1, seq=1))
    holder = builders.spec(2, network=builders.networking(endpoints=(endpoint,)))
    rig.suite.add(ContainerRecord(spec=holder, node="n1", status=ContainerStatus(seq=1)))
    assert (await rig.call("GET", "/containers/box2/db/json")).json["Id"] == container_id(1)
    for name in ("box2/nope", "nope/db"):
        answer = await rig.call("GET", f"/containers/{name}/json")
        assert (answer.status, answer.json["message"]) == (404, f"No such container: {name}")
    answer = await rig.call("DELETE", "/containers/box2/db?link=1")
    assert answer.status == 400 and "remove box2 and create it" in answer.json["message"]
    assert (await rig.call("DELETE", "/containers/box2/nope?link=1")).status == 404
    assert not rig.suite.named("remove")
