"""wait, pause, unpause, resize and prune in every state."""

import threading
from typing import Any

import pytest
from e2e_rig.api import Api, filters
from e2e_rig.docker_cli import DockerCli
from e2e_rig.waits import eventually

SLEEP = ("busybox", "sleep", "1000")
FAILS = ("busybox", "sh", "-c", "exit 3")


class Waiter:
    """A `wait` that goes on beside the test."""

    def __init__(self, api: Api, container: str, condition: str) -> None:
        self.answer: Any = None
        path = f"/containers/{container}/wait?condition={condition}"
        self._thread = threading.Thread(target=lambda: self._run(api, path))
        self._thread.start()

    def _run(self, api: Api, path: str) -> None:
        self.answer = api.request("POST", path).json()

    @property
    def waits(self) -> bool:
        return self._thread.is_alive()

    def code(self) -> int:
        self._thread.join(20)
        return int(self.answer["StatusCode"])


def in_state(cli: DockerCli, state: str) -> str:
    if state == "created":
        return cli("create", *SLEEP).out
    if state == "restarting":
        container = cli("run", "-d", "--restart", "always", *FAILS).out
        shown = "{{.State.Status}} {{.RestartCount}}"
        eventually(lambda: cli("inspect", container, "--format", shown).out >= "restarting 4", "a long wait", 30)
        return container
    container = cli("run", "-d", *SLEEP).out
    if state != "running":
        cli(*{"paused": ("pause",), "exited": ("kill",)}[state], container)
    return container


STATES = ("created", "running", "paused", "restarting", "exited")


@pytest.mark.parametrize(("state", "code"), [("created", 0), ("exited", 137)])
def test_not_running_answers_at_once(cli: DockerCli, api: Api, state: str, code: int) -> None:
    container = in_state(cli, state)
    for condition in ("", "not-running"):
        reply = api.request("POST", f"/containers/{container}/wait?condition={condition}", timeout=5)
        assert reply.json()["StatusCode"] == code


@pytest.mark.parametrize("state", ["running", "paused"])
@pytest.mark.parametrize("condition", ["", "not-running", "next-exit"])
def test_waits_for_the_end(cli: DockerCli, api: Api, state: str, condition: str) -> None:
    container = in_state(cli, state)
    waiter = Waiter(api, container, condition)
    cli("kill", container)
    assert waiter.code() == 137


def test_next_exit_waits_for_a_run_that_is_yet_to_come(cli: DockerCli, api: Api) -> None:
    container = in_state(cli, "exited")
    waiter = Waiter(api, container, "next-exit")
    cli("start", container)
    assert waiter.waits
    cli("stop", "-t", "0", container)
    assert waiter.code() == 137


@pytest.mark.parametrize("state", ["created", "exited", "running"])
def test_removed_waits_for_the_removal(cli: DockerCli, api: Api, state: str) -> None:
    container = in_state(cli, state)
    waiter = Waiter(api, container, "removed")
    eventually(lambda: waiter.waits, "the wait")
    cli("rm", "-f", container)
    assert waiter.code() == (0 if state == "created" else 137)


def test_removed_gives_the_code_of_one_that_removes_itself(cli: DockerCli, api: Api) -> None:
    container = cli("create", "--rm", *FAILS).out
    waiter = Waiter(api, container, "removed")
    cli("start", container)
    assert waiter.code() == 3


@pytest.mark.parametrize(
    ("state", "word", "status", "text"),
    [
        ("created", "pause", 409, "container {id} is not running"),
        ("exited", "pause", 409, "container {id} is not running"),
        ("paused", "pause", 409, "Container {id} is already paused"),
        ("running", "unpause", 500, "Container {id} is not paused"),
        ("exited", "unpause", 500, "Container {id} is not paused"),
        ("created", "resize?h=1&w=1", 409, "container {id} is not running"),
        ("exited", "resize?h=1&w=1", 409, "container {id} is not running"),
        ("paused", "start", 409, "cannot start a paused container, try unpause instead"),
        ("restarting", "pause", 409, "Container {id} is restarting, wait until the container is running"),
    ],
)
def test_what_a_state_does_not_allow(cli: DockerCli, api: Api, state: str, word: str, status: int, text: str) -> None:
    container = in_state(cli, state)
    reply = api.request("POST", f"/containers/{container}/{word}")
    assert (reply.status, reply.message) == (status, text.format(id=container))


def test_a_paused_one_can_be_stopped_killed_and_removed(cli: DockerCli, api: Api) -> None:
    for words in (("stop", "-t", "1"), ("kill",), ("rm", "-f")):
        container = in_state(cli, "paused")
        cli(*words, container)
        gone = words[0] == "rm"
        eventually(
            lambda container=container, gone=gone: (
                gone  # type: ignore[misc]
                or not api.get(f"/containers/{container}/json")["State"]["Running"]
            ),
            "its end",
        )
    container = in_state(cli, "paused")
    refused = cli.try_("rm", container)
    assert refused.code == 1 and "container is paused" in refused.err
    cli("restart", "-t", "0", container)
    assert api.get(f"/containers/{container}/json")["State"]["Paused"] is False


def test_prune_takes_what_does_not_run_and_counts_the_space(cli: DockerCli, api: Api) -> None:
    kept = in_state(cli, "running"), in_state(cli, "paused"), in_state(cli, "restarting")
    wrote = cli("run", "-d", "busybox", "sh", "-c", "head -c 300000 /dev/zero > /file").out
    cli("wait", wrote)
    labelled = cli("create", "--label", "keep=me", "busybox").out
    query = filters(**{"label!": "keep"})
    found = api.request("POST", f"/containers/prune?{query}").json()
    assert found["ContainersDeleted"] == [wrote]
    assert 300_000 <= found["SpaceReclaimed"] < 400_000
    assert set(api.containers()) == {*kept, labelled}
    empty = api.request("POST", "/containers/prune?" + filters(until="1h")).json()
    assert empty == {"ContainersDeleted": None, "SpaceReclaimed": 0}
    assert api.request("POST", "/containers/prune?" + filters(name="x")).status == 400
