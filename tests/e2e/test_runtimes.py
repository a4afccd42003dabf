"""Each runtime that the machine has, chosen per container: what runs in it can't tell but by its kernel."""

import json
import os
import shutil
import time
from pathlib import Path

import pytest
from e2e_rig import images
from e2e_rig.api import Api
from e2e_rig.docker_cli import DockerCli
from e2e_rig.engine import Engine
from e2e_rig.waits import eventually
from test_events import past
from test_image_mounts import layer
from test_logging import disk_of, files_of

pytestmark = [pytest.mark.seaway_only, pytest.mark.parametrize("runtime", ["crun", "runc", "runsc"])]
SANDBOXED = "runsc"


@pytest.fixture(autouse=True)
def installed(runtime: str) -> None:
    """A runtime that isn't there must not go unnoticed: its package is one of those that the tests need."""
    if shutil.which(runtime) is None:
        pytest.fail(f"the package {runtime} is missing: ./dev test installs it", pytrace=False)


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


def test_an_image_that_is_mounted(api: Api, cli: DockerCli, name: str, runtime: str) -> None:
    """Read-only, whatever the runtime makes of it, and a part of it as well as the whole."""
    cli("load", input=images.archive([layer({"sub/file": "below", "top": "top"})], {}, [f"{name}:1"]))
    mounts = [
        {"Type": "image", "Source": f"{name}:1", "Target": "/i"},
        {"Type": "image", "Source": f"{name}:1", "Target": "/part", "ImageOptions": {"Subpath": "sub"}},
    ]
    script = "cat /i/top /part/file; touch /i/x || echo refused; ls /i; touch /part/x || echo refused"
    host = {"NetworkMode": "none", "Runtime": runtime, "Mounts": mounts}
    made = api.request(
        "POST", "/containers/create", {"Image": "busybox", "Cmd": ["sh", "-c", script], "HostConfig": host}
    )
    said = cli("start", "-a", made.json()["Id"]).out
    assert said.split() == ["topbelowrefused", "sub", "top", "refused"]
    cli("rm", made.json()["Id"])
    cli("rmi", f"{name}:1")


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


# --- streams


def test_attach_and_its_half_close(cli: DockerCli, name: str, runtime: str) -> None:
    script = "read line; echo got $line; cat; echo end; exit 3"
    cli("run", "-di", "--name", name, "--runtime", runtime, "busybox", "sh", "-c", script)
    with cli.spawn("attach", name) as attached:
        assert attached.stdin is not None and attached.stdout is not None
        attached.stdin.write(b"words\n")
        attached.stdin.flush()
        assert attached.stdout.readline() == b"got words\n"
        cli("kill", name)
        assert attached.wait(20) == 137
    ran = cli.try_("run", "-i", "--rm", "--runtime", runtime, "busybox", "sh", "-c", script, input="a\nb\n")
    assert (ran.lines, ran.err, ran.code) == (["got a", "b", "end"], "", 3)


def test_a_terminal(cli: DockerCli, name: str, runtime: str) -> None:
    with cli.terminal("run", "-it", "--name", name, "--runtime", runtime, "busybox", "sh") as terminal:
        terminal.expect("# ")
        terminal.type("stty size; exit 5\n")
        terminal.expect(r"33 99\r\n")
        assert terminal.wait() == 5


def test_execs(cli: DockerCli, name: str, runtime: str) -> None:
    script = "echo someone:x:77:77::/:/bin/sh >> /etc/passwd; exec sleep 600"
    cli("run", "-d", "--name", name, "--runtime", runtime, "busybox", "sh", "-c", script)
    result = cli.try_("exec", "-i", name, "sh", "-c", "cat; echo problem >&2; exit 4", input="in\n")
    assert (result.code, result.out, result.err) == (4, "in", "problem")
    assert cli("exec", "-u", "someone", "-w", "/tmp", "-e", "A=b", name, "sh", "-c", "id -un; pwd; echo $A").lines == [
        "someone",
        "/tmp",
        "b",
    ]
    with cli.terminal("exec", "-it", name, "sh") as terminal:
        terminal.expect("# ")
        terminal.type("stty size; exit 6\n")
        terminal.expect(r"33 99\r\n")
        assert terminal.wait() == 6
    cli("exec", "-d", name, "touch", "/made")
    eventually(lambda: cli.try_("exec", name, "test", "-e", "/made").code == 0, "the detached exec")


def test_logs_follow_over_rotations(cli: DockerCli, engine: Engine, name: str, runtime: str) -> None:
    opts = ("--log-opt", "max-size=100k", "--log-opt", "max-file=3")
    script = "echo up; read go; for n in $(seq 1 30); do seq ${n}00001 ${n}01000; sleep 0.01; done"
    container = cli("run", "-di", "--name", name, "--runtime", runtime, *opts, "busybox", "sh", "-c", script).out
    with cli.spawn("logs", "-f", name) as follower:
        assert follower.stdout is not None and follower.stdout.readline() == b"up\n"
        cli("attach", "--detach-keys", "x", name, input="go\n")
        expected = [str(n * 100000 + i) for n in range(1, 31) for i in range(1, 1001)]
        assert follower.stdout.read().decode().splitlines() == expected
    eventually(lambda: 1 < len(files_of(engine, container)) <= 3, "the last rotation")
    assert disk_of(engine, container) < 4_000_000


# --- looking and changing


def test_copies(cli: DockerCli, name: str, runtime: str, tmp_path: Path) -> None:
    cli("run", "-d", "--name", name, "--runtime", runtime, "busybox", "sleep", "600")
    (tmp_path / "file").write_bytes(os.urandom(100_000))
    cli("exec", name, "sh", "-c", "echo here > /made")
    cli("cp", f"{name}:/made", str(tmp_path / "made"))
    assert (tmp_path / "made").read_text() == "here\n"
    assert "A /made" in cli("diff", name).lines
    copied = cli.try_("cp", str(tmp_path / "file"), f"{name}:/tmp/copied")
    if runtime == SANDBOXED:
        assert "can't be changed while it runs in runsc: stop it" in copied.err
        cli("kill", name)
        cli("wait", name)
        cli("cp", str(tmp_path / "file"), f"{name}:/tmp/copied")
    cli("cp", f"{name}:/tmp/copied", str(tmp_path / "back"))
    assert (tmp_path / "back").read_bytes() == (tmp_path / "file").read_bytes()


def test_stats(cli: DockerCli, api: Api, name: str, runtime: str) -> None:
    script = "x=$(head -c 20000000 /dev/zero | tr '\\0' x); echo up; while :; do :; done"
    cli("run", "-d", "--name", name, "--runtime", runtime, "-m", "256m", "busybox", "sh", "-c", script)
    eventually(lambda: cli("logs", name).out == "up", "the memory", 30)
    body = json.loads(api.request("GET", f"/containers/{name}/stats?stream=0").body)
    used = body["cpu_stats"]["cpu_usage"]["total_usage"] - body["precpu_stats"]["cpu_usage"]["total_usage"]
    assert used > 50_000_000
    assert 20_000_000 < body["memory_stats"]["usage"] <= 256 << 20 == body["memory_stats"]["limit"]
    assert body["pids_stats"]["current"] >= 1 and body["networks"]["eth0"]["rx_bytes"] >= 0


def test_top(cli: DockerCli, name: str, runtime: str) -> None:
    cli("run", "-d", "--name", name, "--runtime", runtime, "busybox", "sleep", "4321")
    titles, *rows = cli("top", name).lines
    assert titles.split()[:3] == ["UID", "PID", "PPID"] and len(rows) == 1 and "sleep" in rows[0]
    if runtime == SANDBOXED:
        assert "takes no options of ps" in cli.try_("top", name, "-o", "pid").err


def test_health(cli: DockerCli, name: str, runtime: str) -> None:
    words = ("--health-cmd", "test -e /well", "--health-interval", "1s", "--health-retries", "1")
    cli("run", "-d", "--name", name, "--runtime", runtime, *words, "busybox", "sleep", "600")

    def health() -> str:
        return cli("inspect", "-f", "{{.State.Health.Status}}", name).out

    eventually(lambda: health() == "unhealthy", "a failed probe", 30)
    cli("exec", name, "touch", "/well")
    eventually(lambda: health() == "healthy", "a good probe", 30)


def holding(size: str) -> str:
    """A program that has that much memory in use, for a moment."""
    return f"dd if=/dev/zero of=/dev/null bs={size} count=1"


def test_update_of_limits(cli: DockerCli, name: str, runtime: str) -> None:
    cli("run", "-d", "--name", name, "--runtime", runtime, "-m", "200m", "busybox", "sleep", "600")
    cli("update", "-m", "100m", "--memory-swap", "100m", "--cpus", "0.5", "--restart", "no", name)
    shown = cli("inspect", "-f", "{{.HostConfig.Memory}} {{.HostConfig.NanoCpus}}", name).out
    assert shown == f"{100 << 20} 500000000"
    assert cli.try_("exec", name, "sh", "-c", f"{holding('150M')} && echo survived").out == ""


def test_out_of_memory(cli: DockerCli, name: str, runtime: str) -> None:
    words = ("run", "--name", name, "--runtime", runtime, "-m", "64m", "busybox", *holding("200M").split())
    assert cli.try_(*words).code == 137


def test_restart_policy(cli: DockerCli, api: Api, name: str, runtime: str) -> None:
    since = time.time()
    cli("run", "-d", "--name", name, "--runtime", runtime, "--restart", "on-failure:2", "busybox", "false")
    state = ("inspect", "-f", "{{.State.Status}} {{.RestartCount}}", name)
    eventually(lambda: cli(*state).out == "exited 2", "the end", 30)
    assert len(past(api, since, container=name, event="die")) == 3


def test_an_agents_restart(cli: DockerCli, engine: Engine, name: str, runtime: str) -> None:
    from e2e_rig.seaway import Seaway

    assert isinstance(engine, Seaway)
    script = "until [ -e /go ]; do sleep 0.1; done; echo late; exit 9"
    cli("run", "-d", "--name", name, "--runtime", runtime, "busybox", "sh", "-c", script)
    agent = engine.processes()["agent"]
    os.kill(agent, 9)
    engine.restarted("agent", agent)
    cli.try_("exec", name, "touch", "/go")  # 137 where the container's end comes before its own
    assert cli("wait", name).out == "9"
    assert cli("logs", name).out == "late"
