"""start, stop, kill, restart, wait, rm, restart policies."""

import json
import threading
import time

import pytest
from e2e_rig.api import Api, EventStream, filters
from e2e_rig.docker_cli import DockerCli
from e2e_rig.waits import eventually

GRACEFUL = "trap 'echo got TERM; exit 3' TERM; echo up; while :; do sleep 0.05; done"
STUBBORN = "trap '' TERM; echo up; while :; do sleep 0.05; done"


def up(cli: DockerCli, *words: str) -> str:
    """Run in the background; returns when it has said `up`."""
    container = cli("run", "-d", *words).out
    eventually(lambda: "up" in cli("logs", container).out, "the container's word")
    return container


def test_stop_asks_first(cli: DockerCli) -> None:
    container = up(cli, "busybox", "sh", "-c", GRACEFUL)
    assert cli("stop", container).out == container
    assert cli("inspect", container, "--format", "{{.State.Status}} {{.State.ExitCode}}").out == "exited 3"
    assert cli("logs", container).lines == ["up", "got TERM"]


@pytest.mark.parametrize("seconds", ["0", "1"])
def test_stop_kills_what_does_not_listen(cli: DockerCli, seconds: str) -> None:
    container = up(cli, "busybox", "sh", "-c", STUBBORN)
    before = time.monotonic()
    cli("stop", "-t", seconds, container)
    assert time.monotonic() - before >= int(seconds)
    assert cli("inspect", container, "--format", "{{.State.ExitCode}}").out == "137"


def test_stop_with_the_image_s_signal_and_with_an_own_one(cli: DockerCli) -> None:
    script = "trap 'exit 10' USR1; trap 'exit 12' USR2; echo up; while :; do sleep 0.05; done"
    first = up(cli, "--entrypoint", "sh", "dressed:1", "-c", script)
    second = up(cli, "--entrypoint", "sh", "--stop-signal", "SIGUSR2", "dressed:1", "-c", script)
    third = up(cli, "--entrypoint", "sh", "dressed:1", "-c", script)
    cli("stop", first, second)
    cli("stop", "-s", "USR2", third)
    codes = [cli("inspect", one, "--format", "{{.State.ExitCode}}").out for one in (first, second, third)]
    assert codes == ["10", "12", "12"]


def test_stop_timeout_of_the_container(cli: DockerCli) -> None:
    container = up(cli, "--stop-timeout", "0", "busybox", "sh", "-c", STUBBORN)
    cli("stop", container)
    assert cli("inspect", container, "--format", "{{.State.ExitCode}}").out == "137"


def test_starting_and_stopping_twice_changes_nothing(api: Api, cli: DockerCli) -> None:
    container = cli("run", "-d", "busybox", "sleep", "60").out
    assert api.request("POST", f"/containers/{container}/start").status == 304
    assert api.request("POST", f"/containers/{container}/stop?t=0").status == 204
    assert api.request("POST", f"/containers/{container}/stop").status == 304
    assert api.request("POST", f"/containers/{container}/start").status == 204


def test_kill(cli: DockerCli, api: Api) -> None:
    container = up(cli, "busybox", "sh", "-c", "trap 'echo usr' USR1; echo up; while :; do sleep 0.05; done")
    assert cli("kill", "-s", "USR1", container).out == container
    eventually(lambda: "usr" in cli("logs", container).out, "the signal")
    assert cli("inspect", container, "--format", "{{.State.Running}}").out == "true"
    cli("kill", container)
    assert cli("wait", container).out == "137"
    reply = api.request("POST", f"/containers/{container}/kill")
    assert reply.status == 409
    assert reply.message == f"cannot kill container: {container}: container {container} is not running"
    reply = api.request("POST", f"/containers/{container}/kill?signal=BOGUS")
    assert (reply.status, reply.message) == (400, f"cannot kill container: {container}: invalid signal: BOGUS")


def test_restart_gives_a_new_process_and_keeps_files(cli: DockerCli) -> None:
    container = up(cli, "busybox", "sh", "-c", "echo run >> /runs; cat /runs; echo up; exec sleep 60")
    pid = cli("inspect", container, "--format", "{{.State.Pid}}").out
    cli("restart", "-t", "0", container)
    assert cli("inspect", container, "--format", "{{.State.Running}}").out == "true"
    assert cli("inspect", container, "--format", "{{.State.Pid}}").out != pid
    eventually(lambda: cli("logs", container).lines == ["run", "up", "run", "run", "up"], "the second run")
    cli("stop", "-t", "0", container)
    cli("restart", container)
    assert cli("inspect", container, "--format", "{{.State.Running}}").out == "true"


def test_wait_gives_the_code_of_running_and_of_ended_ones(cli: DockerCli) -> None:
    first = cli("run", "-d", "busybox", "sh", "-c", "exit 4").out
    second = cli("run", "-d", "busybox", "sh", "-c", "sleep 0.3; exit 5").out
    assert cli("wait", first, second).lines == ["4", "5"]
    assert cli("wait", first).out == "4"


def test_wait_sends_its_headers_at_once(api: Api) -> None:
    container = api.request("POST", "/containers/create", {"Image": "busybox", "Cmd": ["false"]}).json()["Id"]
    request = f"POST /containers/{container}/wait?condition=next-exit HTTP/1.1\r\nHost: d\r\nContent-Length: 0\r\n\r\n"
    early = api.raw(request.encode(), timeout=0.5)
    assert early.startswith(b"HTTP/1.1 200 OK\r\n") and early.endswith(b"\r\n\r\n")
    answers: list[object] = []
    waiter = threading.Thread(
        target=lambda: answers.append(api.request("POST", f"/containers/{container}/wait?condition=removed").json())
    )
    waiter.start()
    api.request("POST", f"/containers/{container}/start")
    assert api.request("POST", f"/containers/{container}/wait?condition=not-running").json()["StatusCode"] == 1
    assert waiter.is_alive()
    api.request("DELETE", f"/containers/{container}")
    waiter.join(10)
    assert answers == [{"StatusCode": 1}]


def test_wait_with_a_bad_condition(api: Api, cli: DockerCli) -> None:
    container = cli("create", "busybox").out
    reply = api.request("POST", f"/containers/{container}/wait?condition=bogus")
    assert (reply.status, reply.message) == (400, 'invalid condition: "bogus"')


def test_remove(cli: DockerCli, api: Api, name: str) -> None:
    container = cli("run", "-d", "--name", name, "busybox", "sleep", "60").out
    result = cli.try_("rm", name)
    assert result.code == 1
    assert f'cannot remove container "/{name}": container is running' in result.err
    assert api.request("DELETE", f"/containers/{container}").status == 409
    assert cli("rm", "-f", name).out == name
    assert api.containers() == []
    assert f"No such container: {name}" in cli.try_("rm", name).err
    assert cli("rm", "-f", name).code == 0


def test_rm_flag_removes_after_the_end(cli: DockerCli, api: Api) -> None:
    container = cli("run", "-d", "--rm", "busybox", "true").out
    eventually(lambda: container not in api.containers(), "its removal")


def test_unknown_container_is_404_everywhere(api: Api) -> None:
    calls = ["GET json", "POST start", "POST stop", "POST kill", "POST restart", "POST wait", "GET logs?stdout=1"]
    calls += ["POST resize?h=1&w=1"]
    for call in calls:
        method, path = call.split()
        reply = api.request(method, f"/containers/nothing/{path}")
        expected = f"{'cannot kill container: nothing: ' if path == 'kill' else ''}No such container: nothing"
        assert (reply.status, reply.message) == (404, expected), call
    reply = api.request("DELETE", "/containers/nothing")
    assert (reply.status, reply.message) == (404, "No such container: nothing")


def test_container_is_found_by_name_id_and_unique_prefix(cli: DockerCli, name: str) -> None:
    container = cli("create", "--name", name, "busybox").out
    for word in (name, f"/{name}", container, container[:12], container[:5]):
        assert cli("inspect", word, "--format", "{{.Id}}").out == container


def test_restart_policy_gives_up_after_its_count(cli: DockerCli, api: Api, name: str) -> None:
    since = str(time.time() - 1)
    container = cli(
        "run", "-d", "--name", name, "--restart", "on-failure:2", "busybox", "sh", "-c", "echo x; exit 1"
    ).out
    shown = "{{.RestartCount}} {{.State.Status}} {{.State.ExitCode}}"
    eventually(lambda: cli("inspect", name, "--format", shown).out == "2 exited 1", "two restarts", 20)
    assert cli("logs", name).lines == ["x", "x", "x"]
    query = f"since={since}&until={time.time()}&" + filters(container=name, event=["start", "die"])
    actions = [json.loads(line)["Action"] for line in api.request("GET", f"/events?{query}").body.splitlines()]
    assert actions == ["start", "die"] * 3
    assert container in api.containers()


def test_restart_policy_leaves_success_and_stopped_ones_alone(cli: DockerCli, name: str) -> None:
    cli("run", "-d", "--name", name, "--restart", "on-failure", "busybox", "true")
    assert cli("wait", name).out == "0"
    assert cli("inspect", name, "--format", "{{.RestartCount}} {{.State.Status}}").out == "0 exited"
    other = up(cli, "--restart", "always", "busybox", "sh", "-c", "echo up; exec sleep 60")
    cli("stop", "-t", "0", other)
    assert cli("inspect", other, "--format", "{{.RestartCount}} {{.State.Status}}").out == "0 exited"


def test_always_starts_again_after_a_kill_from_inside(cli: DockerCli, engine_events: EventStream) -> None:
    container = cli("run", "-d", "--restart", "always", "busybox", "sh", "-c", "sleep 0.2; exit 3").out
    engine_events.until("die", container)
    engine_events.until("start", container)
    shown = cli("inspect", container, "--format", "{{.RestartCount}}").out
    assert int(shown) >= 1


@pytest.fixture
def engine_events(api: Api):  # type: ignore[no-untyped-def]
    """All container events from now on."""
    with EventStream(api, filters(type="container")) as stream:
        yield stream
