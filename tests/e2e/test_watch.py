"""`seaway events`, `ps`, `top`, `logs` and `doctor` of a whole suite with two nodes."""

import io
import json
import os
import socket
import subprocess
from collections.abc import Iterator
from typing import Any

import pexpect
import pytest
from e2e_rig.docker_cli import DockerCli
from e2e_rig.seaway import COMMANDS, Seaway, seaway
from test_nodes import NODES, Second, on_two, second, suite  # noqa: F401 - fixtures

pytestmark = [pytest.mark.seaway_only, pytest.mark.own_engines]


def said(suite: Seaway, *words: str) -> str:  # noqa: F811
    done = seaway(*words, "--run", str(suite.run))
    assert done.returncode == 0, done.stderr
    return done.stdout


def documents(suite: Seaway, *words: str) -> list[dict[str, Any]]:  # noqa: F811
    return [json.loads(line) for line in said(suite, *words, "--json").splitlines()]


@pytest.fixture
def busy(on_two: DockerCli, suite: Seaway) -> Iterator[DockerCli]:  # noqa: F811
    """A container on each node."""
    for node in NODES:
        words = ("sh", "-c", "while sleep 0.2; do :; done")
        on_two("run", "-d", "--name", f"on-{node}", "-e", f"constraint:node=={node}", "busybox", *words)
    yield on_two


def test_ps_shows_the_containers_of_all_nodes(busy: DockerCli, suite: Seaway) -> None:  # noqa: F811
    busy("create", "--name", "idle", "busybox", "true")
    found = json.loads(said(suite, "ps", "--json"))
    assert {(one["name"], one["node"], one["state"]) for one in found} == {
        ("on-n1", "n1", "running"),
        ("on-n2", "n2", "running"),
    }
    lines = said(suite, "ps", "--all").splitlines()
    assert [line.split()[0] for line in lines[1:]] == sorted(line.split()[0] for line in lines[1:])
    assert len(lines) == 4 and any("idle" in line and "Created" in line for line in lines)
    (one,) = json.loads(said(suite, "ps", "--json", "--node", "n2"))
    assert one["name"] == "on-n2"
    refused = seaway("ps", "--node", "n3", "--run", str(suite.run))
    assert refused.returncode == 1 and "`seaway node ls` lists them" in refused.stderr


def test_top_shows_what_they_use(busy: DockerCli, suite: Seaway) -> None:  # noqa: F811
    (found,) = documents(suite, "top")
    assert {one["node"]: one["state"] for one in found["nodes"]} == dict.fromkeys(NODES, "up")
    assert {one["name"] for one in found["containers"]} == {"on-n1", "on-n2"}
    assert all(one["cpu"] > 0 and one["memory"] > 0 and one["pids"] for one in found["containers"])
    lines = said(suite, "top", "--sort", "name").splitlines()
    assert [line.split()[1] for line in lines if " on-" in line] == ["on-n1", "on-n2"]


def test_top_lives_on_a_terminal(busy: DockerCli, suite: Seaway) -> None:  # noqa: F811
    screen = io.StringIO()
    child = pexpect.spawn(
        str(COMMANDS / "seaway"), ["top", "--run", str(suite.run)], encoding="utf-8", dimensions=(24, 120), timeout=30,
        env=os.environ | {"TERM": "xterm"},
    )  # fmt: skip
    child.logfile_read = screen
    for _ in range(3):  # it is drawn again and again
        child.expect("on-n[12]")
        child.expect(r"\d%")
    child.sendintr()
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0 and "Traceback" not in screen.getvalue()


def test_events_of_a_run(busy: DockerCli, suite: Seaway) -> None:  # noqa: F811
    state = documents(suite, "events", "--with-state", "--no-follow")
    assert {one["Actor"]["Attributes"]["name"] for one in state if one["Type"] == "container"} == {"on-n1", "on-n2"}
    assert state[-1]["Type"] == "cluster"
    place = state[-1]["seq"]
    words = [str(COMMANDS / "seaway"), "events", "--since", f"seq:{place}", "--filter", "type=container"]
    words += ["--format", "{{.Action}} {{.Actor.Attributes.name}}", "--run", str(suite.run)]
    follower = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    assert follower.stdout is not None
    busy("run", "--rm", "--name", "one", "busybox", "true")
    got = [follower.stdout.readline().strip() for _ in range(4)]
    follower.terminate()
    follower.wait()
    follower.stdout.close()
    assert [line for line in got if not line.startswith("attach")][:3] == ["create one", "start one", "die one"]
    audit = documents(suite, "events", "--audit", "--no-follow", "--since", f"seq:{place}", "--filter", "event=start")
    assert [(one["by"], one["from"]) for one in audit] == [(f"uid:0@{socket.gethostname()}", socket.gethostname())]


def test_logs_and_doctor(busy: DockerCli, suite: Seaway) -> None:  # noqa: F811
    assert "api is ready" in said(suite, "logs", "api", "-n", "-1")
    done = seaway("logs", "apu", "--run", str(suite.run))
    assert done.returncode == 1 and "there are agent, api, image, metadata, nats, scheduler" in done.stderr
    done = seaway("doctor", "--json", "--run", str(suite.run))
    found = {one["what"]: one for one in json.loads(done.stdout)}
    assert done.returncode == any(one["level"] == "fail" for one in found.values())
    for what in ("nats", "metadata", "api", "agent", "endpoint", "stream", "node n1", "node n2"):
        assert found[what]["level"] == "ok", found[what]
