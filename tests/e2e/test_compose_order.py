"""`docker compose`: what waits for what, what is started again, and which services there are at all."""

import json

import pytest
from e2e_rig.compose import Project, script, service
from e2e_rig.waits import eventually

READY = {"test": ["CMD", "test", "-e", "/ready"], "interval": "100ms", "retries": 600}


def after(**conditions: str) -> dict[str, dict[str, str]]:
    """`depends_on`, by service."""
    return {name: {"condition": f"service_{condition}"} for name, condition in conditions.items()}


def begun(compose: Project, name: str) -> str:
    return compose.inspect(name, "{{.State.StartedAt}}")


def test_services_start_one_after_another_and_stop_in_reverse(compose: Project) -> None:
    compose.services(c=service(depends_on=["b"]), b=service(depends_on=["a"]), a=service()).up()
    assert sorted("abc", key=lambda name: begun(compose, name)) == ["a", "b", "c"]
    compose("stop")
    ends = {name: compose.inspect(name, "{{.State.FinishedAt}}") for name in "abc"}
    assert sorted("abc", key=ends.__getitem__) == ["c", "b", "a"]


def test_after_a_healthy_one(compose: Project) -> None:
    slow = script("sleep 1; touch /ready; sleep 600", healthcheck=READY)
    compose.services(a=slow, b=service(depends_on=after(a="healthy"))).up()
    log = json.loads(compose.inspect("a", "{{json .State.Health.Log}}"))
    assert log[-1]["ExitCode"] == 0 and compose.states() == {"a-1": "running", "b-1": "running"}
    assert begun(compose, "b")[:19] > begun(compose, "a")[:19]


def test_after_one_that_is_not_healthy(compose: Project) -> None:
    ill = service(healthcheck={"test": "exit 1", "interval": "100ms", "retries": 2})
    compose.services(a=ill, b=service(depends_on=after(a="healthy")))
    done = compose.try_("up", "-d")
    assert done.code == 1 and f"dependency failed to start: container {compose.box('a')} is unhealthy" in done.err
    assert compose.states() == {"a-1": "running", "b-1": "created"}


def test_after_one_that_has_done_its_work(compose: Project) -> None:
    compose.services(a=script("sleep 0.5"), b=service(depends_on=after(a="completed_successfully"))).up()
    assert compose.states() == {"a-1": "exited", "b-1": "running"}
    assert begun(compose, "b") > compose.inspect("a", "{{.State.FinishedAt}}")


def test_after_one_that_has_failed(compose: Project) -> None:
    compose.services(a=script("exit 3"), b=service(depends_on=after(a="completed_successfully")))
    done = compose.try_("up", "-d")
    assert done.code == 1 and 'service "a" didn\'t complete successfully: exit 3' in done.err
    assert compose.states() == {"a-1": "exited", "b-1": "created"}


def test_with_one_that_restarts(compose: Project) -> None:
    tied = {"a": {"condition": "service_started", "restart": True}}
    compose.services(a=service(), b=service(depends_on=tied)).up()
    before = begun(compose, "b")
    compose("restart", "-t", "0", "a")
    assert begun(compose, "b") != before


def test_an_optional_one_that_fails(compose: Project) -> None:
    optional = {"a": {"condition": "service_completed_successfully", "required": False}}
    compose.services(a=script("exit 3"), b=service(depends_on=optional)).up()
    assert compose.states() == {"a-1": "exited", "b-1": "running"}


@pytest.mark.parametrize("command", ["start", "restart"])
def test_only_what_is_named_and_what_that_needs(compose: Project, command: str) -> None:
    compose.services(a=service(), b=service(depends_on=["a"]), c=service()).up("b")
    assert compose.states() == {"a-1": "running", "b-1": "running"}
    compose("stop")
    compose(command, "b")
    assert compose.states()["b-1"] == "running" and "c-1" not in compose.states()


def test_profiles(compose: Project) -> None:
    compose.services(a=service(), b=service(profiles=["x"]), c=service(profiles=["y"])).up()
    assert list(compose.states()) == ["a-1"]
    compose("--profile", "x", "up", "-d")
    assert sorted(compose.states()) == ["a-1", "b-1"]
    compose.up(COMPOSE_PROFILES="y")
    assert sorted(compose.states()) == ["a-1", "b-1", "c-1"]
    compose("--profile", "*", "down", "-t", "0")
    assert compose.states() == {}


def test_restart_policies(compose: Project) -> None:
    compose.services(a=script("exit 1", restart="on-failure:2"), b=service(restart="unless-stopped")).up()
    eventually(lambda: compose.inspect("a", "{{.RestartCount}} {{.State.Status}}") == "2 exited", "two more runs")
    compose("kill", "b")
    assert compose.states()["b-1"] == "exited", "a kill is meant"
    compose("start", "b")
    compose.cli("exec", compose.box("b"), "kill", "-9", "1")
    assert compose.states()["b-1"] in ("running", "restarting")


def test_replicas_are_made_at_once(compose: Project) -> None:
    compose.services(a=service(deploy={"replicas": 12})).up()
    assert set(compose.states().values()) == {"running"} and len(compose.states()) == 12
    compose.down()
    assert compose.states() == {}
