"""`--cgroup-parent`: where the containers' cgroups are, what is seen there, and what is left."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from e2e_rig.api import Api
from e2e_rig.docker_cli import DockerCli
from e2e_rig.engine import Engine
from e2e_rig.seaway import Seaway
from e2e_rig.waits import eventually

ROOT = Path("/sys/fs/cgroup")
MIB = 1 << 20
pytestmark = pytest.mark.seaway_only


def groups(path: str) -> list[Path]:
    """A cgroup's directories in all hierarchies."""
    return [found for top in (ROOT, *ROOT.iterdir()) if (found := top / path).is_dir()]


@pytest.fixture
def parent(name: str) -> Iterator[str]:
    """A parent that nobody else uses; nothing of it may be left."""
    yield f"e2e-{name}"
    eventually(lambda: groups(f"e2e-{name}") == [], "the parent to be removed behind the end")


def limit(path: Path) -> int:
    files = (path / "memory.limit_in_bytes", path / "memory.max")
    return next(int(file.read_text()) for file in files if file.exists())


def test_it_is_there_with_limits_and_all(cli: DockerCli, api: Api, name: str, parent: str) -> None:
    words = ["--cgroup-parent", f"/{parent}/inner", "--memory", "64m"]
    container = cli("run", "-d", "--name", name, *words, "busybox", "sleep", "60").out
    (group,) = [path for path in groups(f"{parent}/inner/{container}") if (path / "memory.stat").exists()]
    assert limit(group) == 64 * MIB
    pid = api.get(f"/containers/{name}/json")["State"]["Pid"]
    assert pid in map(int, (group / "cgroup.procs").read_text().split())
    assert api.get(f"/containers/{name}/json")["HostConfig"]["CgroupParent"] == f"/{parent}/inner"
    stats = api.get(f"/containers/{name}/stats?stream=0&one-shot=1")
    assert 0 < stats["memory_stats"]["usage"] < 64 * MIB and stats["memory_stats"]["limit"] == 64 * MIB
    assert cli("top", name).out.count("sleep 60") == 1
    cli("exec", "-d", name, "sleep", "61")
    eventually(lambda: len((group / "cgroup.procs").read_text().split()) == 2, "the exec in the same cgroup")
    cli("update", "--memory", "80m", "--memory-swap", "160m", name)
    assert limit(group) == 80 * MIB
    cli("pause", name)
    cli("unpause", name)
    cli("stop", "-t", "0", name)
    eventually(lambda: groups(parent) == [], "the parent to be removed behind the stop")
    cli("start", name)
    assert groups(f"{parent}/inner/{container}")
    cli("rm", "-f", name)


def test_what_was_there_stays(cli: DockerCli, name: str, parent: str) -> None:
    there = [top / parent for top in ({ROOT} if (ROOT / "cgroup.controllers").exists() else {ROOT / "pids"})]
    for path in there:
        path.mkdir()
    try:
        cli("run", "--rm", "--cgroup-parent", f"{parent}/made", "busybox", "true")
        assert groups(parent) == there and not (there[0] / "made").exists()
    finally:
        for path in there:
            path.rmdir()


def test_two_share_it_to_the_last(cli: DockerCli, name: str, parent: str) -> None:
    one, two = (cli("run", "-d", "--cgroup-parent", f"../../{parent}", "busybox", "sleep", "60").out for _ in range(2))
    cli("rm", "-f", one)
    assert groups(f"{parent}/{two}") and not groups(f"{parent}/{one}")
    cli("rm", "-f", two)


def test_too_much_memory_is_seen_there(cli: DockerCli, api: Api, name: str, parent: str) -> None:
    words = ["--memory", "16m", "--memory-swap", "16m", "--cgroup-parent", parent]
    cli.try_("run", "--name", name, *words, "busybox", "sh", "-c", "a=x; while :; do a=$a$a; done")
    state = api.get(f"/containers/{name}/json")["State"]
    assert (state["OOMKilled"], state["ExitCode"]) == (True, 137)


def test_a_failed_start_leaves_nothing(cli: DockerCli, parent: str) -> None:
    assert cli.try_("run", "--cgroup-parent", f"/{parent}/x", "busybox", "/no/such").code == 127
    assert groups(parent) == []


@pytest.mark.parametrize("goes_on", [True, False])
def test_the_next_agent_finds_it(cli: DockerCli, engine: Engine, name: str, parent: str, *, goes_on: bool) -> None:
    assert isinstance(engine, Seaway)
    container = cli("run", "-d", "--name", name, "--cgroup-parent", parent, "busybox", "sleep", "60").out
    pid = int(cli("inspect", "-f", "{{.State.Pid}}", name).out)
    agent = engine.processes()["agent"]
    os.kill(agent, signal.SIGSTOP)
    if not goes_on:
        os.kill(pid, signal.SIGKILL)
    os.kill(agent, signal.SIGKILL)
    engine.restarted("agent", agent)
    if goes_on:
        assert groups(f"{parent}/{container}")
        assert cli("exec", name, "echo", "well").out == "well"
    else:
        eventually(lambda: cli("inspect", "-f", "{{.State.ExitCode}}", name).out == "137", "the end that was told")
        eventually(lambda: not groups(parent), "an empty place")
    cli("rm", "-f", name)


# --- builds


@pytest.fixture
def _no_built_images(cli: DockerCli) -> Iterator[None]:
    """What a test has built is removed at its end."""
    before = set(cli("images", "-q", "--no-trunc", "-a").lines)
    yield
    for image in set(cli("images", "-q", "--no-trunc", "-a").lines) - before:
        cli.try_("rmi", "--force", image)


def running_step(parent: str) -> Path | None:
    """The memory cgroup of a build's step below that parent, once it has processes."""
    found = [path.parent for top in groups(parent) for path in top.glob("*/*/memory.stat")]
    return next((path for path in found if (path / "cgroup.procs").read_text()), None)


@pytest.mark.usefixtures("_no_built_images")
@pytest.mark.parametrize("end", ["by itself", "the client's", "the agent's"])
def test_steps_of_a_build_are_there(cli: DockerCli, engine: Engine, tmp_path: Path, parent: str, end: str) -> None:
    assert isinstance(engine, Seaway)
    (tmp_path / "Dockerfile").write_text(f"FROM busybox\nRUN sleep {3 if end == 'by itself' else 1000}\n")
    words = ("build", "--no-cache", "--cgroup-parent", f"/{parent}/inner", "--memory", "64m", str(tmp_path))
    with cli.terminal(*words, DOCKER_BUILDKIT="0") as terminal:
        path = eventually(lambda: running_step(f"{parent}/inner"), "the step", 30)
        assert limit(path) == 64 * MIB
        if end == "the client's":
            terminal.type("\x03")
        elif end == "the agent's":
            agent = engine.processes()["agent"]
            os.kill(agent, signal.SIGKILL)
            engine.restarted("agent", agent)
        code = terminal.wait(60)
    assert (code == 0) == (end == "by itself")
