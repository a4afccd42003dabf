"""Update, rename, top, and the health in inspect."""

from typing import Any

import pytest

from seaway_contracts.containers import Health, Probe, Resources, RestartPolicy, State
from seaway_contracts.errors import unavailable
from seaway_testing import builders

ID = builders.container_id(1)


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
