"""ps with its filters and formats; inspect."""

import json
import re

import pytest
from e2e_rig.api import Api, filters
from e2e_rig.docker_cli import DockerCli

from seaway_testing.ports import free_port

ROW = "{{.Names}}|{{.Image}}|{{.Command}}|{{.State}}|{{.Status}}"


@pytest.fixture
def zoo(cli: DockerCli) -> dict[str, str]:
    """One container per state, by name."""
    made = {"zoo-created": cli("create", "--name", "zoo-created", "-l", "kind=a", "busybox", "true").out}
    made["zoo-running"] = cli("run", "-d", "--name", "zoo-running", "-l", "kind=b", "busybox", "sleep", "60").out
    made["zoo-failed"] = cli("run", "-d", "--name", "zoo-failed", "-l", "kind", "busybox", "sh", "-c", "exit 3").out
    made["zoo-done"] = cli("run", "-d", "--name", "zoo-done", "--network", "none", "busybox", "true").out
    cli("wait", "zoo-failed", "zoo-done")
    return made


def names(cli: DockerCli, *words: str) -> set[str]:
    return set(cli("ps", "--format", "{{.Names}}", *words).lines)


def test_ps_shows_running_ones_and_a_all(cli: DockerCli, zoo: dict[str, str]) -> None:
    assert names(cli) == {"zoo-running"}
    assert names(cli, "-a") == set(zoo)
    rows = dict(row.split("|", 1) for row in cli("ps", "-a", "--format", ROW).lines)
    assert rows["zoo-created"] == 'busybox|"true"|created|Created'
    assert re.fullmatch(r'busybox\|"sleep 60"\|running\|Up .+', rows["zoo-running"])
    assert re.fullmatch(r'busybox\|"sh -c \'exit 3\'"\|exited\|Exited \(3\) .+ ago', rows["zoo-failed"])


@pytest.mark.parametrize(
    ("terms", "expected"),
    [
        (["status=running"], {"zoo-running"}),
        (["status=exited"], {"zoo-failed", "zoo-done"}),
        (["status=exited", "status=created"], {"zoo-failed", "zoo-done", "zoo-created"}),
        (["exited=3"], {"zoo-failed"}),
        (["exited=0"], {"zoo-done"}),
        (["label=kind"], {"zoo-created", "zoo-running", "zoo-failed"}),
        (["label=kind=b"], {"zoo-running"}),
        (["label=kind", "status=exited"], {"zoo-failed"}),
        (["name=zoo-d"], {"zoo-done"}),
        (["name=^/zoo-(done|failed)$"], {"zoo-done", "zoo-failed"}),
        (["before=zoo-running"], {"zoo-created"}),
        (["since=zoo-running"], {"zoo-failed", "zoo-done"}),
        (["ancestor=busybox"], {"zoo-created", "zoo-running", "zoo-failed", "zoo-done"}),
        (["ancestor=dressed:1"], set()),
        (["network=none"], {"zoo-done"}),
        (["is-task=true"], set()),
        (["health=none"], {"zoo-created", "zoo-running", "zoo-failed", "zoo-done"}),
    ],
)
def test_filters(cli: DockerCli, zoo: dict[str, str], terms: list[str], expected: set[str]) -> None:
    words = [word for term in terms for word in ("--filter", term)]
    assert names(cli, "-a", *words) == expected


def test_filter_by_id_port_and_volume(cli: DockerCli, zoo: dict[str, str]) -> None:
    assert names(cli, "-a", "--filter", f"id={zoo['zoo-done'][:12]}") == {"zoo-done"}
    port = free_port()
    words = ["-p", f"127.0.0.1:{port}:80", "--expose", "90", "-v", "/tmp:/in"]
    cli("run", "-d", "--name", "zoo-port", *words, "busybox", "sleep", "60")
    assert names(cli, "-a", "--filter", f"publish={port}") == {"zoo-port"}
    assert names(cli, "-a", "--filter", "expose=90/tcp") == {"zoo-port"}
    assert names(cli, "-a", "--filter", "volume=/in") == {"zoo-port"}


def test_unknown_filter_is_refused(cli: DockerCli, api: Api) -> None:
    result = cli.try_("ps", "--filter", "bogus=1")
    assert result.code == 1 and "invalid filter 'bogus'" in result.err
    assert api.request("GET", "/containers/json?filters=nonsense").status == 400
    assert api.request("GET", "/containers/json?" + filters(status="bogus")).status == 400


def test_last_latest_quiet_and_no_trunc(cli: DockerCli, zoo: dict[str, str]) -> None:
    assert cli("ps", "-lq", "--no-trunc").out == zoo["zoo-done"]
    assert cli("ps", "-n", "2", "--format", "{{.Names}}").lines == ["zoo-done", "zoo-failed"]
    assert cli("ps", "-q").out == zoo["zoo-running"][:12]


@pytest.mark.parametrize("form", ["table {{.ID}}\t{{.Names}}", "json", "{{json .}}"])
def test_formats(cli: DockerCli, zoo: dict[str, str], form: str) -> None:
    lines = cli("ps", "--format", form).lines
    assert "zoo-running" in lines[-1]
    if "json" in form:
        row = json.loads(lines[0])
        assert row["Labels"] == "kind=b" and row["Networks"] == "bridge" and row["ID"] == zoo["zoo-running"][:12]


def test_api_row(api: Api, zoo: dict[str, str]) -> None:
    row = next(row for row in api.get("/containers/json") if row["Id"] == zoo["zoo-running"])
    assert row["Names"] == ["/zoo-running"] and row["Image"] == "busybox" and row["ImageID"].startswith("sha256:")
    assert row["State"] == "running" and row["Ports"] == [] and row["Mounts"] == []
    assert row["HostConfig"]["NetworkMode"] in ("default", "bridge")
    assert row["NetworkSettings"]["Networks"]["bridge"]["IPAddress"]


def test_inspect_of_a_running_container(cli: DockerCli, api: Api, zoo: dict[str, str]) -> None:
    found = api.get(f"/containers/{zoo['zoo-running']}/json")
    state, host, network = found["State"], found["HostConfig"], found["NetworkSettings"]
    assert found["Id"] == zoo["zoo-running"] and found["Name"] == "/zoo-running"
    assert (found["Path"], found["Args"]) == ("sleep", ["60"])
    assert (state["Status"], state["Running"], state["Paused"], state["ExitCode"]) == ("running", True, False, 0)
    assert state["Pid"] > 1 and state["StartedAt"] > found["Created"]
    assert state["FinishedAt"] == "0001-01-01T00:00:00Z"
    assert found["Config"]["Hostname"] == zoo["zoo-running"][:12] and found["Config"]["Image"] == "busybox"
    assert found["Config"]["Tty"] is False and found["Config"]["Labels"] == {"kind": "b"}
    assert host["RestartPolicy"] == {"Name": "no", "MaximumRetryCount": 0}
    assert host["AutoRemove"] is False and host["Privileged"] is False
    assert network["IPAddress"] == network["Networks"]["bridge"]["IPAddress"]
    assert network["Networks"]["bridge"]["Gateway"] == network["Gateway"]
    assert network["Networks"]["bridge"]["MacAddress"].startswith("02:42:")
    assert found["RestartCount"] == 0 and found["Driver"] and found["Platform"] == "linux"
    assert found["LogPath"] is not None and found["Mounts"] == []


def test_inspect_of_an_ended_container(api: Api, zoo: dict[str, str]) -> None:
    state = api.get("/containers/zoo-failed/json")["State"]
    assert (state["Status"], state["ExitCode"], state["Pid"], state["Running"]) == ("exited", 3, 0, False)
    assert state["StartedAt"] <= state["FinishedAt"]
    assert api.get("/containers/zoo-created/json")["State"]["Status"] == "created"


def test_inspect_shows_options(cli: DockerCli, api: Api) -> None:
    words = [
        "-m",
        "64m",
        "--cpus",
        "1.5",
        "--pids-limit",
        "99",
        "--cap-add",
        "NET_ADMIN",
        "--read-only",
        "-p",
        "127.0.0.1:0:80",
    ]
    words += [
        "-v",
        "/tmp:/in:ro",
        "--tmpfs",
        "/quick:size=1m",
        "-w",
        "/w",
        "-u",
        "app",
        "-e",
        "A=b",
        "--restart",
        "always",
    ]
    found = api.get(f"/containers/{cli('create', *words, 'busybox').out}/json")
    host, config = found["HostConfig"], found["Config"]
    assert (host["Memory"], host["NanoCpus"], host["PidsLimit"]) == (64 << 20, 1_500_000_000, 99)
    assert host["CapAdd"] == ["CAP_NET_ADMIN"] or host["CapAdd"] == ["NET_ADMIN"]
    assert host["ReadonlyRootfs"] is True and host["Tmpfs"] == {"/quick": "size=1m"}
    assert host["Binds"] == ["/tmp:/in:ro"] and host["RestartPolicy"]["Name"] == "always"
    assert (config["WorkingDir"], config["User"]) == ("/w", "app") and "A=b" in config["Env"]
    (mount,) = found["Mounts"]
    assert (mount["Type"], mount["Source"], mount["Destination"], mount["RW"]) == ("bind", "/tmp", "/in", False)


def test_inspect_of_nothing(cli: DockerCli) -> None:
    result = cli.try_("inspect", "nothing")
    assert (result.code, result.out) == (1, "[]")
    assert "No such object: nothing" in result.err


def test_docker_inspect_size_and_type(cli: DockerCli, zoo: dict[str, str]) -> None:
    assert cli("inspect", "-s", "zoo-done", "--format", "{{.SizeRw}}").out == "0"
    assert cli("inspect", "--type", "container", "zoo-done", "--format", "{{.Name}}").out == "/zoo-done"
