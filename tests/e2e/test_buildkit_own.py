"""Seaway's own builder: a container that the first build makes, and that `purge` removes."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from e2e_rig.buildkit_fixtures import (
    DIAL,
    OWN_BUILDER,
    client,
    client_of_own_builder,
    context,
    suite_with_own_builder,
    until_gone,
    until_running,
)
from e2e_rig.buildkitd import IMAGE, builder_archive
from e2e_rig.docker_cli import DockerCli
from e2e_rig.registry import Registry
from e2e_rig.seaway import Seaway, seaway
from e2e_rig.waits import eventually

pytestmark = [pytest.mark.seaway_only, pytest.mark.own_engines]
BUILD_S = 90


@pytest.fixture(scope="module")
def suite(e2e_directory: Path) -> Iterator[Seaway]:
    with suite_with_own_builder(e2e_directory / "bkown") as one:
        yield one


@pytest.fixture(scope="module")
def cli(suite: Seaway, e2e_directory: Path) -> DockerCli:
    return client_of_own_builder(suite, e2e_directory / "bkowncli")


def test_a_build_makes_the_builder(cli: DockerCli, tmp_path: Path) -> None:
    where = context(tmp_path, "FROM busybox\nRUN echo hi > /g\n")
    cli.try_("rm", "-f", OWN_BUILDER)
    done = cli.try_("build", "-t", "first", where, timeout=BUILD_S)
    assert done.code == 0, done.err
    assert cli("run", "--rm", "first", "cat", "/g").out == "hi"
    assert (
        cli("ps", "--filter", "label=com.seaway.builder", "--format", "{{.Names}} {{.Image}}").out
        == f"{OWN_BUILDER} {IMAGE}"
    )
    assert OWN_BUILDER in cli("volume", "ls", "-q").lines


def test_a_killed_builder_is_started_again(cli: DockerCli, tmp_path: Path) -> None:
    where = context(tmp_path, "FROM busybox\nRUN echo again > /g\n")
    cli("build", "-t", "before", where, timeout=BUILD_S)
    cli("kill", OWN_BUILDER)
    done = cli.try_("build", "-t", "after", where, timeout=BUILD_S)
    assert done.code == 0, done.err
    assert "CACHED" in done.err


def test_it_is_shown_and_its_cache_is_pruned(suite: Seaway, cli: DockerCli, tmp_path: Path) -> None:
    cli("build", context(tmp_path, f"FROM busybox\nRUN echo {tmp_path} > /n\n"), timeout=BUILD_S)
    assert f"BuildKit: container {OWN_BUILDER} ({IMAGE}, running on n1)" in cli("info").out
    found = seaway("doctor", "--root", str(suite.root), "--run", str(suite.run))
    assert f"buildkit: container {OWN_BUILDER} ({IMAGE}, running on n1)" in found.stdout
    assert cache_entries(cli) > 0
    assert f"{tmp_path}" in cli("buildx", "du", "--verbose").out
    cli("builder", "prune", "-af", timeout=BUILD_S)
    assert cache_entries(cli) == 0
    cli("build", context(tmp_path, f"FROM busybox\nRUN echo {tmp_path} > /n\n"), timeout=BUILD_S)
    pruned = suite.api.request("POST", "/build/prune?all=1").json()
    assert pruned["SpaceReclaimed"] > 0 and pruned["CachesDeleted"]
    assert cache_entries(cli) == 0


def cache_entries(cli: DockerCli) -> int:
    """How many `docker system df` counts."""
    rows = (json.loads(line) for line in cli("system", "df", "--format", "json").lines)
    return int(next(row["TotalCount"] for row in rows if row["Type"] == "Build Cache"))


def test_what_asks_for_the_cache_starts_no_builder(suite: Seaway, cli: DockerCli) -> None:
    cli.try_("rm", "-f", OWN_BUILDER)
    cli("builder", "prune", "-af", timeout=BUILD_S)
    cli("buildx", "du")
    assert suite.api.request("POST", "/build/prune?all=1").json()["SpaceReclaimed"] == 0
    assert "the first build makes it" in cli("info").out
    assert cli("ps", "-aq").out == ""


def test_builds_get_no_more_rights_than_containers(cli: DockerCli, tmp_path: Path) -> None:
    where = context(tmp_path, "FROM busybox\nRUN true\n")
    for words in (("--network", "host"), ("--allow", "security.insecure")):
        done = cli.try_("buildx", "build", *words, where, timeout=BUILD_S)
        assert done.code != 0 and "builds get no rights beyond those of a container" in done.err, done.err


def test_its_image_comes_by_a_mirror_and_purge_removes_it(
    registry: Registry, e2e_directory: Path, tmp_path: Path
) -> None:
    registry.push(builder_archive(), "moby/buildkit:v0.13.2")
    mirror = ("--registry-mirror", f"http://{registry.address}")
    one = Seaway(e2e_directory / "bkpurge", up=(*mirror, "--metrics-port", "0"))
    one.start()
    try:
        docker = client(one, e2e_directory / "bkpurgecli")
        docker("build", context(tmp_path, "FROM busybox\nRUN true\n"), timeout=BUILD_S)
        pid = docker("inspect", OWN_BUILDER, "--format", "{{.State.Pid}}").out
        assert docker("ps", "--format", "{{.Image}}").out == "moby/buildkit:v0.13.2"
    finally:
        one.purge()
    assert not Path(f"/proc/{pid}").exists()
    assert not [*one.root.glob("*/*")], "neither the cache nor anything else is left"


def test_no_connection_is_left(cli: DockerCli, tmp_path: Path) -> None:
    cli("build", context(tmp_path, "FROM busybox\nRUN true\n"), timeout=BUILD_S)
    until_gone(DIAL)
    assert cli("inspect", OWN_BUILDER, "--format", "{{.ExecIDs}}").out in ("[]", "<nil>")


@pytest.mark.parametrize("victim", ["client", "ctrl-c", "builder", "agent", "api"])
def test_the_next_build_works_whoever_was_killed(
    suite: Seaway, cli: DockerCli, tmp_path: Path, name: str, victim: str
) -> None:
    """A build's steps end with its client's connection, and so do all connections to the builder."""
    seconds = str(int(name[1:8], 16))
    with cli.spawn("build", "-t", name, context(tmp_path, f"FROM busybox\nRUN sleep {seconds}\n")) as build:
        until_running(f"sleep {seconds}")
        kill(suite, cli, build, victim)
        assert build.wait(60) != 0
    until_gone(f"sleep {seconds}")
    until_gone(DIAL)
    eventually(suite.serves, "the API")
    assert cli("images", "-q", name).out == ""
    cli("build", "-t", name, context(tmp_path, f"FROM busybox\nRUN echo {name} > /n\n"), timeout=BUILD_S)
    assert cli("run", "--rm", name, "cat", "/n").out == name


def kill(suite: Seaway, cli: DockerCli, build: "subprocess.Popen[bytes]", victim: str) -> None:
    """End one of those that take part in a build, without warning but for the client's user."""
    if victim == "client":
        children = Path(f"/proc/{build.pid}/task/{build.pid}/children").read_text().split()
        for pid in (build.pid, *map(int, children)):
            os.kill(pid, signal.SIGKILL)
    elif victim == "ctrl-c":
        build.send_signal(signal.SIGINT)
    elif victim == "builder":
        cli("kill", OWN_BUILDER)
    else:
        pid = suite.processes()[victim]
        os.kill(pid, signal.SIGKILL)
        suite.restarted(victim, pid)
