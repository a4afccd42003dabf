"""R19: API, agent, image service and Seaway's own BuildKit killed at random moments of builds by buildx.

A retry works at once, and nothing of the broken one stays: no step, no connection, nothing half-made in the store.
Where somebody has compiled a buildkitd (tests/buildkit/compile.sh).
"""

import os
import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from chaos_rig.figures import Figures
from chaos_rig.scale import SEED, scaled
from chaos_rig.suite import ChaosSuite
from e2e_rig.buildkit_fixtures import DIAL, OWN_BUILDER, client_of_own_builder, context, running
from e2e_rig.buildkitd import IMAGE, need_buildkitd
from e2e_rig.docker_cli import DockerCli
from e2e_rig.waits import eventually

pytestmark = [pytest.mark.root, pytest.mark.timeout(3600)]
_WHO = ("api", "agent", "image", "builder")
_LATEST_S = 3.0
_BUILD_S = 120
_GONE_S = 40.0


@pytest.fixture(scope="module")
def builds(chaos_directory: Path) -> Iterator[ChaosSuite]:
    """A suite with a builder of its own."""
    need_buildkitd()
    one = ChaosSuite(chaos_directory / "kit", more=("--buildkit-image", IMAGE))
    one.start()
    yield one
    one.purge()


@pytest.fixture(scope="module")
def cli(builds: ChaosSuite, chaos_directory: Path) -> DockerCli:
    """The docker command; the builder has begun."""
    one = client_of_own_builder(builds, chaos_directory / "kitcli")
    one("build", "-", input="FROM busybox\nRUN true\n", timeout=_BUILD_S)
    return one


def _kill(suite: ChaosSuite, cli: DockerCli, who: str) -> None:
    if who != "builder":
        suite.strike(who)
        return
    pid = int(cli("inspect", "--format", "{{.State.Pid}}", OWN_BUILDER).out)
    if pid:
        os.kill(pid, signal.SIGKILL)


def _left(suite: ChaosSuite, seconds: str) -> list[str]:
    """What there is of a build: half-made files of the image store, steps, connections to the builder.

    Whole blobs may stay for an hour, as any that somebody pushes: a manifest may follow.
    """
    found = [str(path) for path in (suite.root / "image" / "tmp").glob("*")]
    return found + [f"{words}: {pids}" for words in (DIAL, f"sleep {seconds}") if (pids := running(words))]


def test_r19_killed_in_builds_by_buildkit(builds: ChaosSuite, cli: DockerCli, figures: Figures, tmp_path: Path) -> None:
    chance, kills, broken = random.Random(SEED), scaled(100, 8), 0
    for number in range(kills):
        who, tag, seconds = _WHO[number % len(_WHO)], f"kit-{number}:1", f"0.{number + 100}"
        where = context(
            tmp_path, f"FROM busybox\nRUN head -c 9000000 /dev/urandom > /f; sleep {seconds}\nRUN echo {tag}\n"
        )
        with cli.spawn("build", "-t", tag, where) as build:
            time.sleep(chance.uniform(0, _LATEST_S))  # the moment of the kill, by the run's seed
            _kill(builds, cli, who)
            said = build.communicate(timeout=_BUILD_S)[1].decode()
        broken += build.returncode != 0
        builds.whole()
        retried = cli.try_("build", "-t", tag, where, timeout=_BUILD_S)
        assert retried.code == 0, f"after {who} was killed: {said}\nthe retry: {retried.err}"
        cli("rmi", "--force", tag)
        _expect_nothing_left(builds, who, seconds)
    figures.show("R19", f"{kills} kills in builds by BuildKit, of which {broken} broke off: each retry went through")


def _expect_nothing_left(suite: ChaosSuite, who: str, seconds: str) -> None:
    try:
        eventually(lambda: _left(suite, seconds) == [], "nothing left", _GONE_S)
    except TimeoutError:
        pytest.fail(f"after {who} was killed there is {_left(suite, seconds)}")
