"""Health checks: from flags and images, in inspect, ps, filters and events; over pauses, restarts and a dead agent."""

import json
import os
import signal
import time
from typing import Any

import pytest
from e2e_rig.api import Api, filters
from e2e_rig.docker_cli import DockerCli
from e2e_rig.seaway import Seaway
from e2e_rig.waits import eventually

QUICK = ("--health-interval", "200ms", "--health-timeout", "5s", "--health-retries", "2")
SLEEP = ("busybox", "sleep", "1000")
SECOND_NS = 1_000_000_000


def health(api: Api, container: str) -> dict[str, Any]:
    found = api.get(f"/containers/{container}/json")["State"]["Health"]
    assert isinstance(found, dict)
    return found


def until(api: Api, container: str, status: str) -> dict[str, Any]:
    eventually(lambda: health(api, container)["Status"] == status, status, 20)
    return health(api, container)


def test_a_check_turns_healthy_and_unhealthy_and_tells(cli: DockerCli, api: Api, name: str) -> None:
    began = str(time.time() - 1)
    cli("run", "-d", "--name", name, *QUICK, "--health-cmd", "echo looked; test -e /ok", *SLEEP)
    assert health(api, name)["Status"] in ("starting", "unhealthy")
    found = until(api, name, "unhealthy")
    assert found["FailingStreak"] >= 2
    assert {(one["ExitCode"], one["Output"]) for one in found["Log"]} == {(1, "looked\n")}
    assert found["Log"][0]["Start"] < found["Log"][0]["End"] < found["Log"][1]["Start"]
    cli("exec", name, "touch", "/ok")
    found = until(api, name, "healthy")
    assert (found["FailingStreak"], found["Log"][-1]["ExitCode"]) == (0, 0)
    assert cli("ps", "--filter", f"name={name}", "--format", "{{.Status}}").out.endswith(" (healthy)")
    eventually(lambda: len(health(api, name)["Log"]) == 5, "five probes")
    query = f"since={began}&until={time.time()}&" + filters(container=name, event="health_status")
    lines = [json.loads(line) for line in api.request("GET", f"/events?{query}").body.splitlines()]
    assert [line["Action"] for line in lines] == ["health_status: unhealthy", "health_status: healthy"]
    assert [line["status"] for line in lines] == [line["Action"] for line in lines]
    assert lines[0]["Actor"]["Attributes"] == {"image": "busybox", "name": name}


def test_filters_by_health(cli: DockerCli, api: Api) -> None:
    good = cli("run", "-d", *QUICK, "--health-cmd", "true", *SLEEP).out
    bad = cli("run", "-d", *QUICK, "--health-cmd", "false", *SLEEP).out
    new = cli("run", "-d", "--health-interval", "1h", "--health-cmd", "true", *SLEEP).out
    none = cli("run", "-d", *SLEEP).out
    until(api, good, "healthy")
    until(api, bad, "unhealthy")
    for word, container in (("healthy", good), ("unhealthy", bad), ("starting", new), ("none", none)):
        assert cli("ps", "-q", "--no-trunc", "--filter", f"health={word}").lines == [container]
    assert "(health: starting)" in cli("ps", "--filter", "health=starting", "--format", "{{.Status}}").out
    assert api.request("GET", "/containers/json?" + filters(health="well")).status == 400


def test_the_start_period_forgives(cli: DockerCli, api: Api, name: str) -> None:
    flags = ("--health-interval", "1h", "--health-start-interval", "100ms", "--health-start-period", "1h")
    cli("run", "-d", "--name", name, *flags, "--health-retries", "1", "--health-cmd", "test -e /ok", *SLEEP)
    eventually(lambda: len(health(api, name)["Log"]) >= 2, "two probes in the start period", 20)
    found = health(api, name)
    assert (found["Status"], found["FailingStreak"]) == ("starting", 0)
    cli("exec", name, "touch", "/ok")
    until(api, name, "healthy")


def test_a_probe_that_takes_too_long(cli: DockerCli, api: Api, name: str) -> None:
    flags = ("--health-interval", "100ms", "--health-timeout", "500ms", "--health-retries", "1")
    cli("run", "-d", "--name", name, *flags, "--health-cmd", "echo begun; sleep 999", *SLEEP)
    found = until(api, name, "unhealthy")
    assert found["Log"][0]["ExitCode"] == -1
    assert found["Log"][0]["Output"].startswith("Health check exceeded timeout (500ms)")
    eventually(lambda: cli("top", name).out.count("sleep 999") <= 1, "the end of the probe's processes")


def test_a_long_output_is_cut_and_bad_commands_fail(cli: DockerCli, api: Api, name: str) -> None:
    cli("run", "-d", "--name", name, *QUICK, "--health-cmd", "yes | head -c 9999", *SLEEP)
    output = until(api, name, "healthy")["Log"][0]["Output"]
    assert (len(output), output[-5:]) == (4099, "\ny..." if output[-4] == "y" else "y\n...")
    body = {"Image": "busybox", "Cmd": ["sleep", "99"], "Healthcheck": {"Test": ["CMD", "/nope"], "Retries": 1}}
    body["Healthcheck"]["Interval"] = SECOND_NS // 5  # type: ignore[index]
    other = api.request("POST", "/containers/create", body).json()["Id"]
    api.request("POST", f"/containers/{other}/start")
    assert "/nope" in until(api, other, "unhealthy")["Log"][0]["Output"]


@pytest.mark.parametrize("check", [None, {"Test": ["NONE"]}, {"Interval": SECOND_NS}, {"Test": ["HUH", "x"]}])
def test_without_a_test_there_is_no_health(api: Api, check: Any) -> None:
    body = {"Image": "busybox", "Cmd": ["sleep", "99"], "Healthcheck": check}
    container = api.request("POST", "/containers/create", body).json()["Id"]
    api.request("POST", f"/containers/{container}/start")
    assert "Health" not in api.get(f"/containers/{container}/json")["State"]
    assert "health" not in api.get("/containers/json")[0]["Status"]


def test_pause_suspends_stop_ends_and_a_new_run_starts_anew(cli: DockerCli, api: Api, name: str) -> None:
    cli("run", "-d", "--name", name, *QUICK, "--health-cmd", "true", *SLEEP)
    until(api, name, "healthy")
    cli("pause", name)
    before = health(api, name)
    assert before["Status"] == "unhealthy"
    time.sleep(0.5)
    assert health(api, name)["Log"] == before["Log"]
    cli("unpause", name)
    until(api, name, "healthy")
    cli("stop", "-t", "0", name)
    stopped = health(api, name)
    assert stopped["Status"] == "unhealthy"
    cli("start", name)
    again = health(api, name)
    assert again["Status"] in ("starting", "healthy")
    assert again["Log"][0]["Start"] >= stopped["Log"][0]["Start"]
    until(api, name, "healthy")


def test_the_image_s_check_and_no_healthcheck(cli: DockerCli, api: Api, name: str) -> None:
    cli("load", input=checked_image("checked:1"))
    cli("run", "-d", "--name", name, "checked:1", "sleep", "1000")
    assert until(api, name, "healthy")["Log"][0]["Output"] == "from the image\n"
    shown = api.get(f"/containers/{name}/json")["Config"]["Healthcheck"]
    assert shown["Test"] == ["CMD-SHELL", "echo from the image"]
    other = cli("run", "-d", "--no-healthcheck", "checked:1", "sleep", "1000").out
    assert "Health" not in api.get(f"/containers/{other}/json")["State"]
    third = cli("run", "-d", "--health-retries", "7", "checked:1", "sleep", "1000").out
    assert api.get(f"/containers/{third}/json")["Config"]["Healthcheck"] == {**shown, "Retries": 7}
    cli("rm", "-f", name, other, third)
    cli("rmi", "checked:1")


def checked_image(tag: str) -> bytes:
    from e2e_rig import images

    check = {"Test": ["CMD-SHELL", "echo from the image"], "Interval": SECOND_NS // 5}
    return images.archive([images.busybox_layer()], {"Cmd": ["sh"], "Healthcheck": check}, [tag])


@pytest.mark.seaway_only
def test_goes_on_after_a_kill_of_the_agent(engine: Seaway, cli: DockerCli, api: Api, name: str) -> None:
    cli("run", "-d", "--name", name, *QUICK, "--health-cmd", "test ! -e /bad", *SLEEP)
    until(api, name, "healthy")
    agent = engine.processes()["agent"]
    os.kill(agent, signal.SIGKILL)
    engine.restarted("agent", agent)
    assert health(api, name)["Status"] == "healthy"
    cli("exec", name, "touch", "/bad")
    until(api, name, "unhealthy")
