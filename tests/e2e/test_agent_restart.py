"""Commands that come while the agent is dead, or that it did not live to answer: the next agent carries them out.

A suite of its own: the supervisor waits longer each time before it starts a process that was killed often.
"""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from e2e_rig import census, images
from e2e_rig.api import Api
from e2e_rig.docker_cli import DockerCli
from e2e_rig.seaway import Seaway
from e2e_rig.waits import eventually
from test_events import past

pytestmark = [pytest.mark.seaway_only, pytest.mark.own_engines]


@pytest.fixture(scope="module")
def suite(e2e_directory: Path, docker_config: Path) -> Iterator[Seaway]:
    made = Seaway(e2e_directory / "again")
    made.start()
    cli = DockerCli(made.host, docker_config)
    cli("load", "-q", input=images.busybox_archive())
    cli("run", "--rm", "busybox", "true")
    before = census.take(made)
    yield made
    left: dict[str, object] = {}

    def clean() -> bool:
        left.clear()
        left.update(census.take(made).beyond(before, idle=2))
        return not left

    try:
        eventually(clean, "a clean machine")
    except TimeoutError:
        pytest.fail(f"leaked: {left}", pytrace=False)
    finally:
        made.purge()


@pytest.fixture
def api(suite: Seaway) -> Api:
    return suite.api


@pytest.fixture
def cli(suite: Seaway, docker_config: Path) -> Iterator[DockerCli]:
    yield DockerCli(suite.host, docker_config)
    suite.api.remove_all()


@pytest.mark.parametrize("words", [("start",), ("rm", "-v"), ("logs",)])
def test_command_right_after_the_agent_s_death_waits_for_the_next(
    suite: Seaway, cli: DockerCli, name: str, words: tuple[str, ...]
) -> None:
    cli("create", "--name", name, "busybox", "sleep", "60")
    agent = int(suite.row("agent")["pid"])
    os.kill(agent, signal.SIGKILL)
    cli(*words, name)
    suite.restarted("agent", agent)


def test_create_right_after_the_agent_s_death_waits_for_the_next(
    suite: Seaway, cli: DockerCli, api: Api, name: str
) -> None:
    since = time.time()
    agent = int(suite.row("agent")["pid"])
    os.kill(agent, signal.SIGKILL)
    container = cli("create", "--name", name, "busybox", "true").out
    suite.restarted("agent", agent)
    assert [event["Action"] for event in past(api, since, container=container, type="container")] == ["create"]


def test_command_that_the_agent_did_not_live_to_answer(suite: Seaway, cli: DockerCli, api: Api, name: str) -> None:
    """It was heard, by a process that is stopped and then killed; the next one hears it again."""
    since = time.time()
    container = cli("create", "--name", name, "busybox", "sleep", "60").out
    agent = int(suite.row("agent")["pid"])
    os.kill(agent, signal.SIGSTOP)
    with cli.spawn("start", name) as starting:
        eventually(lambda: not _reads_all(agent), "the command at the agent")
        os.kill(agent, signal.SIGKILL)
        out, _ = starting.communicate(timeout=20)
    assert (starting.returncode, out.decode().strip()) == (0, name)
    suite.restarted("agent", agent)
    told = [event["Action"] for event in past(api, since, container=container, type="container")]
    assert told == ["create", "start"]


def _reads_all(pid: int) -> bool:
    """Whether nothing waits in the process' sockets (proc(5), net/tcp: the receive queue)."""
    own = {os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")}
    rows = [line.split() for line in Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]]
    return not any(f"socket:[{row[9]}]" in own and int(row[4].split(":")[1], 16) for row in rows)
