"""Each runtime that the machine has, chosen per container: what runs in it can't tell but by its kernel."""

import shutil

import pytest
from e2e_rig.docker_cli import DockerCli

RUNTIMES = [name for name in ("crun", "runc", "runsc") if shutil.which(name)]
pytestmark = [pytest.mark.seaway_only, pytest.mark.parametrize("runtime", RUNTIMES)]


def test_streams_code_limits_and_network(cli: DockerCli, runtime: str) -> None:
    script = "read word; echo got $word; echo problem >&2; grep -c Gentoo /proc/version; ls /sys/class/net; exit 7"
    result = cli.try_(
        "run", "--rm", "-i", "--runtime", runtime, "-m", "64m", "busybox", "sh", "-c", script, input="it\n"
    )
    assert result.code == 7 and result.out.splitlines()[0] == "got it" and "problem" in result.err
    shown = cli("run", "--rm", "--runtime", runtime, "busybox", "ip", "addr", "show", "eth0").out
    assert "inet 172." in shown or "inet 10." in shown


def test_stop_and_kill(cli: DockerCli, name: str, runtime: str) -> None:
    script = "trap 'echo bye; exit 9' TERM; echo up; while true; do sleep 0.05; done"
    cli("run", "-d", "--name", name, "--runtime", runtime, "busybox", "sh", "-c", script)
    assert cli("exec", name, "cat", "/proc/1/comm").out == "sh"
    cli("stop", "-t", "10", name)
    assert cli("inspect", name, "--format", "{{.State.ExitCode}} {{.HostConfig.Runtime}}").out == f"9 {runtime}"
    assert cli("logs", name).lines == ["up", "bye"]
    cli("start", name)
    cli("pause", name)
    cli("unpause", name)
    cli("kill", name)
    assert cli("wait", name).out == "137"


def test_mounts_and_root(cli: DockerCli, name: str, runtime: str) -> None:
    words = ["--read-only", "--tmpfs", "/t", "-w", "/t", "-e", "A=b", "-h", "box", "--group-add", "77"]
    script = "echo $A; hostname; id -G; touch /t/x; touch /y"
    result = cli.try_("run", "--rm", "--runtime", runtime, *words, "busybox", "sh", "-c", script)
    assert result.out.splitlines() == ["b", "box", "0 77"]
    assert "/y: Read-only file system" in result.err and "/t/x" not in result.err


def test_what_was_written_is_there_again(cli: DockerCli, name: str, runtime: str) -> None:
    cli("create", "--name", name, "--runtime", runtime, "busybox", "sh", "-c", "cat /kept || echo first > /kept")
    assert cli.try_("start", "-a", name).out == ""
    assert cli("start", "-a", name).out == "first"


@pytest.mark.parametrize(("program", "code"), [("nope", 127), ("/no/where", 127), ("/etc/data", 126)])
def test_bad_commands(cli: DockerCli, runtime: str, program: str, code: int) -> None:
    result = cli.try_("run", "--rm", "--runtime", runtime, "busybox", program)
    assert result.code == code and program in result.err


def test_docker_info_knows_it(cli: DockerCli, runtime: str) -> None:
    assert f'"{runtime}":' in cli("info", "--format", "{{json .Runtimes}}").out
