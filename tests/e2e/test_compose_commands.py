"""Each command of `docker compose`."""

import json
import subprocess

import pytest
from e2e_rig.api import Api
from e2e_rig.compose import CLEARED, SLEEP, Project, script, service
from e2e_rig.registry import Registry
from e2e_rig.waits import eventually

from seaway_testing.ports import free_port

RUNNING = {"a-1": "running", "b-1": "running"}


@pytest.fixture
def two(compose: Project) -> Project:
    """Two services that run; b depends on a."""
    compose.services(a=service(), b=service(depends_on=["a"])).up()
    return compose


# --- up and down


def test_up_twice_changes_nothing(two: Project) -> None:
    before = two.inspect("a", "{{.Id}}")
    two.up()
    assert two.inspect("a", "{{.Id}}") == before and two.states() == RUNNING


def test_a_changed_service_is_made_again_and_the_others_stay(two: Project) -> None:
    before = {name: two.inspect(name, "{{.Id}}") for name in "ab"}
    two.services(a=service(), b=service(depends_on=["a"], environment={"NEW": "1"})).up()
    assert two.inspect("a", "{{.Id}}") == before["a"] and two.inspect("b", "{{.Id}}") != before["b"]
    assert two.inside("b", "echo $NEW") == "1"
    two.up("--force-recreate")
    assert two.inspect("a", "{{.Id}}") != before["a"] and two.states() == RUNNING


def test_scale(compose: Project) -> None:
    compose.services(a=service(scale=2), b=service()).up()
    assert sorted(compose.states()) == ["a-1", "a-2", "b-1"]
    compose.up("--scale", "a=4")
    assert sorted(compose.states()) == ["a-1", "a-2", "a-3", "a-4", "b-1"]
    compose("scale", "a=1")
    assert compose.states() == RUNNING


def test_orphans(two: Project) -> None:
    two.services(a=service())
    assert "Found orphan containers" in two.up().err and two.states() == RUNNING
    two.up("--remove-orphans")
    assert two.states() == {"a-1": "running"}


def test_up_in_the_foreground_ends_with_the_service_s_code(compose: Project) -> None:
    compose.services(a=script("echo from a; exit 3"), b=script("sleep 600"))
    done = compose.try_("up", "--exit-code-from", "a", "--no-color")
    assert done.code == 3 and "a-1  | from a" in done.out
    assert compose.states() == {"a-1": "exited", "b-1": "exited"}


def test_up_waits_for_health(compose: Project) -> None:
    check = {"test": ["CMD", "test", "-e", "/ready"], "interval": "100ms", "retries": 600}
    compose.services(a=script("sleep 1; touch /ready; sleep 600", healthcheck=check))
    compose("up", "--wait")
    assert compose.inspect("a", "{{.State.Health.Status}}") == "healthy"


@pytest.mark.parametrize("command", ["exit 2", "sleep 600"])
def test_up_waits_in_vain(compose: Project, command: str) -> None:
    check = {"test": ["CMD", "false"], "interval": "100ms", "retries": 1}
    compose.services(a=script(command, healthcheck=check))
    assert compose.try_("up", "--wait").code == 1


def test_down_leaves_nothing(two: Project, api: Api) -> None:
    two("run", "-d", "--name", f"{two.name}-more", "b")
    two.down("--remove-orphans")
    assert api.containers() == []
    assert not [one for one in api.get("/networks") if one["Name"].startswith(two.name)]
    assert two.down().code == 0, "once more"


def test_down_removes_images(compose: Project) -> None:
    compose.cli("tag", "busybox", f"{compose.name}:1")
    compose.services(a=service(image=f"{compose.name}:1")).up()
    compose.down("--rmi", "all")
    assert compose.cli("images", "-q", compose.name).out == ""


def test_pull(compose: Project, registry: Registry) -> None:
    image = f"{registry.address}/lib/busybox:1"
    compose.services(a=service(image=image), b=service())
    compose("pull", "--quiet", "a")
    assert compose.cli("images", "-q", image).out
    compose.cli("rmi", image)
    compose.up("--quiet-pull")
    assert compose.states() == RUNNING
    compose.down()
    compose.cli("rmi", image)


def test_create_and_rm(compose: Project) -> None:
    compose.services(a=service(), b=service())("create")
    assert compose.states() == {"a-1": "created", "b-1": "created"}
    compose("start", "a")
    assert compose.states() == {"a-1": "running", "b-1": "created"}
    compose("rm", "-f")
    assert compose.states() == {"a-1": "running"}
    compose("rm", "-f", "-s", "a")
    assert compose.states() == {}


# --- states


def test_stop_start_restart_pause_kill(two: Project) -> None:
    two("stop", "b")
    assert two.states() == RUNNING | {"b-1": "exited"}
    two("start")
    first = two.inspect("b", "{{.State.StartedAt}}")
    two("restart", "-t", "0")
    assert two.states() == RUNNING and two.inspect("b", "{{.State.StartedAt}}") != first
    two("pause", "a")
    assert two.states() == RUNNING | {"a-1": "paused"}
    two("unpause", "a")
    two("kill", "-s", "KILL", "a")
    assert two.states() == RUNNING | {"a-1": "exited"} and two.inspect("a", "{{.State.ExitCode}}") == "137"


@pytest.mark.parametrize("option", [(), ("--down-project",)])
def test_wait(compose: Project, option: tuple[str, ...]) -> None:
    compose.services(a=script("sleep 1; exit 7"), b=service())

    def waited() -> bool:
        """Compose waits for containers that still run when it looks."""
        compose.up()
        return compose.try_("wait", *option, "a").code == 7

    eventually(waited, "the exit code")
    assert bool(option) == (compose.states() == {})


# --- what is seen


def test_listings(two: Project) -> None:
    ours = [row for row in json.loads(two.cli("compose", "ls", "--format", "json").out) if row["Name"] == two.name]
    assert [(row["Status"], row["ConfigFiles"]) for row in ours] == [
        ("running(2)", str(two.directory / "compose.yaml"))
    ]
    assert sorted(two("ps", "--services").lines) == ["a", "b"]
    assert len(two("ps", "-q", "a").out) == 64
    assert [row["Repository"] for row in json.loads(two("images", "--format", "json").out)] == ["busybox"] * 2
    assert two("top", "a").out.strip().endswith("sleep 600")
    assert two("stats", "--no-stream", "--format", "{{.Name}}", "a").lines == [two.box("a")]
    two.down()
    assert two.cli("compose", "ls", "--all", "--format", "json").out == "[]"


def test_ports(compose: Project) -> None:
    port = free_port()
    compose.services(a=service(ports=[f"127.0.0.1:{port}:80", "53/udp"])).up()
    assert compose("port", "a", "80").out == f"127.0.0.1:{port}"
    assert compose("port", "--protocol", "udp", "a", "53").out.startswith("0.0.0.0:")
    (row,) = (json.loads(line) for line in compose("ps", "--format", "json").lines)
    assert {one["TargetPort"] for one in row["Publishers"]} == {80, 53}


def test_logs(compose: Project) -> None:
    compose.services(a=script("echo one; echo two >&2"), b=script("echo three")).up()
    compose.ended("a", "b")
    assert sorted(compose("logs", "--no-color").lines) == ["a-1  | one", "a-1  | two", "b-1  | three"]
    assert compose("logs", "--no-log-prefix", "--tail", "1", "b").lines == ["three"]


def test_logs_are_followed_into_a_restart(compose: Project) -> None:
    """As long as another container runs: compose leaves with the last one."""
    compose.services(a=script("echo up; sleep 600"), b=service()).up()
    with compose.cli.spawn(*compose.words("logs", "-f", "--no-log-prefix")) as following:
        assert following.stdout is not None and following.stdout.readline() == CLEARED + b"up\n"
        compose("restart", "-t", "0", "a")
        assert any(line == CLEARED + b"up\n" for line in iter(following.stdout.readline, b"")), "behind the exit"
        compose("stop")
        assert following.wait(30) == 0


def test_events(compose: Project) -> None:
    compose.services(a=service())
    with compose.cli.spawn(*compose.words("events", "--json")) as events:
        assert events.stdout is not None
        eventually(lambda: _heard(compose, events), "the first event")
        compose("kill")
        seen = []
        while not seen or seen[-1]["action"] != "die":
            seen.append(json.loads(events.stdout.readline()))
        assert {one["service"] for one in seen} == {"a"} and seen[-1]["attributes"]["name"] == compose.box("a")


def _heard(compose: Project, events: "subprocess.Popen[bytes]") -> bool:
    """Whether it listens by now: it says nothing of what was before."""
    compose.up("--force-recreate")
    return bool(events.stdout and events.stdout.peek(1))  # type: ignore[attr-defined]


def test_config(compose: Project) -> None:
    compose.file(".env", "TAG=latest\n").services(a=SLEEP | {"image": "busybox:${TAG}"}, b=service(profiles=["x"]))
    assert compose("config", "--services").out == "a"
    assert sorted(compose("--profile", "x", "config", "--images").lines) == ["busybox", "busybox:latest"]
    assert json.loads(compose("config", "--format", "json").out)["services"]["a"]["image"] == "busybox:latest"
