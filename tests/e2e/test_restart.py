"""Restart policies: backoff, counts, manual stops, changes, and an agent that dies."""

import itertools
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

FAILS = ("busybox", "sh", "-c", "exit 3")
SLEEP = ("busybox", "sleep", "1000")


def state(api: Api, container: str) -> dict[str, Any]:
    found = api.get(f"/containers/{container}/json")
    return {**found["State"], "RestartCount": found["RestartCount"]}


def starts(api: Api, container: str, since: float) -> list[float]:
    query = f"since={since}&until={time.time()}&" + filters(container=container, event="start")
    lines = api.request("GET", f"/events?{query}").body.splitlines()
    return [json.loads(line)["timeNano"] / 1e9 for line in lines]


def kill_agent(engine: Seaway) -> int:
    agent = engine.processes()["agent"]
    os.kill(agent, signal.SIGKILL)
    return engine.restarted("agent", agent)


def test_the_waits_double(cli: DockerCli, api: Api) -> None:
    began = time.time() - 1
    container = cli("run", "-d", "--restart", "always", *FAILS).out
    times = eventually(lambda: starts(api, container, began)[4:] and starts(api, container, began), "five starts", 30)
    gaps = [later - earlier for earlier, later in itertools.pairwise(times[:5])]
    for number, gap in enumerate(gaps):
        assert gap >= 0.1 * 2**number
    assert gaps[3] < 0.8 + 2
    shown = cli("ps", "-a", "--format", "{{.Status}}").out
    assert shown.startswith(("Restarting (3)", "Up "))


@pytest.mark.parametrize(("policy", "count"), [("on-failure:1", 1), ("on-failure:3", 3), ("no", 0)])
def test_counts(cli: DockerCli, api: Api, policy: str, count: int) -> None:
    container = cli("run", "-d", "--restart", policy, *FAILS).out
    eventually(lambda: state(api, container)["Status"] == "exited", "its end", 30)
    assert (state(api, container)["RestartCount"], state(api, container)["ExitCode"]) == (count, 3)


def test_success_ends_on_failure_and_a_start_counts_anew(cli: DockerCli, api: Api) -> None:
    script = "test -e /tried && exit 0; touch /tried; exit 1"
    container = cli("run", "-d", "--restart", "on-failure:5", "busybox", "sh", "-c", script).out
    eventually(lambda: state(api, container)["Status"] == "exited", "its end", 20)
    assert (state(api, container)["RestartCount"], state(api, container)["ExitCode"]) == (1, 0)
    cli("start", container)
    eventually(lambda: state(api, container)["Status"] == "exited", "its end", 20)
    assert state(api, container)["RestartCount"] == 0


@pytest.mark.parametrize("policy", ["always", "unless-stopped", "on-failure"])
@pytest.mark.parametrize("how", ["stop", "kill"])
def test_what_was_stopped_by_hand_stays(cli: DockerCli, api: Api, policy: str, how: str) -> None:
    container = cli("run", "-d", "--restart", policy, *SLEEP).out
    cli(*{"stop": ("stop", "-t", "0"), "kill": ("kill",)}[how], container)
    eventually(lambda: state(api, container)["Status"] == "exited", "its end")
    time.sleep(0.5)
    assert (state(api, container)["Status"], state(api, container)["RestartCount"]) == ("exited", 0)


def test_stop_while_it_waits_to_be_restarted(cli: DockerCli, api: Api) -> None:
    container = cli("run", "-d", "--restart", "always", *FAILS).out
    eventually(lambda: state(api, container)["RestartCount"] >= 3, "a long wait", 20)
    cli("stop", container)
    assert state(api, container)["Status"] == "exited"
    count = state(api, container)["RestartCount"]
    time.sleep(1.2)
    assert (state(api, container)["Status"], state(api, container)["RestartCount"]) == ("exited", count)


def test_wait_and_rm_of_a_restarting_one(cli: DockerCli, api: Api) -> None:
    container = cli("run", "-d", "--restart", "always", *FAILS).out
    eventually(lambda: state(api, container)["Status"] == "restarting", "a wait", 20)
    assert cli.try_("rm", container).code == 1
    assert cli("rm", "-f", container).out == container
    assert api.containers() == []


def test_a_policy_that_is_given_later_holds(cli: DockerCli, api: Api) -> None:
    container = cli("run", "-d", "busybox", "sh", "-c", "sleep 0.5; exit 1").out
    cli("update", "--restart", "on-failure:1", container)
    eventually(lambda: state(api, container)["RestartCount"] == 1, "its restart", 20)
    eventually(lambda: state(api, container)["Status"] == "exited", "its end", 20)
    cli("update", "--restart", "no", container)
    cli("start", container)
    eventually(lambda: state(api, container)["Status"] == "exited", "its end", 20)
    assert state(api, container)["RestartCount"] == 0


def test_auto_remove_and_policies_do_not_mix(cli: DockerCli) -> None:
    result = cli.try_("run", "-d", "--rm", "--restart", "always", *SLEEP)
    assert (result.code, "onflicting options" in result.err) == (125, True)


@pytest.mark.seaway_only
def test_a_manual_stop_is_remembered_over_an_agent_s_death(engine: Seaway, cli: DockerCli, api: Api) -> None:
    stopped = cli("run", "-d", "--restart", "unless-stopped", *SLEEP).out
    running = cli("run", "-d", "--restart", "unless-stopped", *SLEEP).out
    cli("stop", "-t", "0", stopped)
    pid = state(api, running)["Pid"]
    kill_agent(engine)
    assert (state(api, stopped)["Status"], state(api, running)["Pid"]) == ("exited", pid)
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: state(api, running)["RestartCount"] == 1, "its restart", 20)
    assert state(api, stopped)["Status"] == "exited"


@pytest.mark.seaway_only
def test_what_ends_while_the_agent_is_away_is_restarted(engine: Seaway, cli: DockerCli, api: Api) -> None:
    container = cli("run", "-d", "--restart", "on-failure:2", *SLEEP).out
    pid, agent = state(api, container)["Pid"], engine.processes()["agent"]
    os.kill(agent, signal.SIGKILL)
    os.kill(pid, signal.SIGKILL)
    engine.restarted("agent", agent)
    eventually(lambda: state(api, container)["Running"] and state(api, container)["Pid"] not in (0, pid), "a run", 20)
    assert state(api, container)["RestartCount"] == 1


@pytest.mark.seaway_only
def test_a_policy_goes_on_after_an_agent_s_death(engine: Seaway, cli: DockerCli, api: Api) -> None:
    container = cli("run", "-d", "--restart", "always", *FAILS).out
    eventually(lambda: state(api, container)["RestartCount"] >= 2, "two restarts", 20)
    kill_agent(engine)
    before = state(api, container)["RestartCount"]
    eventually(lambda: state(api, container)["RestartCount"] > before, "a further one", 20)
