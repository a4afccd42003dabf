"""Exit codes and errors of `docker run`."""

import pytest
from e2e_rig.api import Api
from e2e_rig.docker_cli import DockerCli


@pytest.mark.parametrize("code", [0, 1, 42, 255])
def test_the_program_s_own(cli: DockerCli, code: int) -> None:
    assert cli.try_("run", "--rm", "busybox", "sh", "-c", f"exit {code}").code == code


@pytest.mark.parametrize(("signal", "code"), [("KILL", 137), ("TERM", 143), ("USR1", 138)])
def test_killed_by_a_signal(cli: DockerCli, signal: str, code: int) -> None:
    script = f"sh -c 'sleep 30' & p=$!; kill -{signal} $p; wait $p"
    assert cli.try_("run", "--rm", "busybox", "sh", "-c", script).code == code


@pytest.mark.parametrize(("signal", "code"), [("SIGKILL", 137), ("KILL", 137), ("9", 137)])
def test_first_process_killed_from_outside(cli: DockerCli, name: str, signal: str, code: int) -> None:
    with cli.spawn("run", "--name", name, "busybox", "sh", "-c", "echo up; exec sleep 60") as run:
        assert run.stdout is not None and run.stdout.readline() == b"up\n"
        cli("kill", "-s", signal, name)
        assert run.wait(20) == code


@pytest.mark.parametrize("path", ["no-such-command", "/no/such/path"])
def test_command_that_is_not_there(cli: DockerCli, api: Api, path: str) -> None:
    result = cli.try_("run", "--rm", "busybox", path)
    assert result.code == 127
    assert path in result.err
    assert "executable file not found in $PATH" in result.err or "no such file or directory" in result.err.lower()
    assert api.containers() == []


@pytest.mark.parametrize("path", ["/etc/passwd", "/etc"])
def test_command_that_cannot_be_executed(cli: DockerCli, path: str) -> None:
    result = cli.try_("run", "--rm", "busybox", path)
    assert result.code == 126
    assert "permission denied" in result.err.lower() or "is a directory" in result.err.lower()


def test_failed_start_leaves_a_created_container(cli: DockerCli, api: Api, name: str) -> None:
    reply = api.request("POST", f"/containers/create?name={name}", {"Image": "busybox", "Cmd": ["nothing-here"]})
    reply = api.request("POST", f"/containers/{reply.json()['Id']}/start")
    assert reply.status == 400 and "nothing-here" in reply.message
    state = api.get(f"/containers/{name}/json")["State"]
    assert (state["Status"], state["ExitCode"], state["Running"]) == ("created", 127, False)
    assert "nothing-here" in state["Error"]


@pytest.mark.parametrize(
    "words",
    [
        ["--no-such-flag", "busybox"],
        ["-v", "relative/../path:/data:bogus", "busybox"],
        ["--network", "no-such-network", "busybox", "true"],
        ["-p", "70000:80", "busybox", "true"],
    ],
)
def test_wrong_usage_is_125(cli: DockerCli, words: list[str]) -> None:
    assert cli.try_("run", "--rm", *words).code == 125


def test_unknown_network_says_so(cli: DockerCli) -> None:
    result = cli.try_("run", "--rm", "--network", "no-such-network", "busybox", "true")
    assert "network no-such-network not found" in result.err


def test_detached_failure(cli: DockerCli) -> None:
    assert cli.try_("run", "-d", "busybox", "no-such-command").code == 127
