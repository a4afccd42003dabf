"""Two copies of the API: what one of them has answered, the other one shows, also what it has seen before."""

import os
import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from e2e_rig.api import Api
from e2e_rig.docker_cli import DockerCli
from e2e_rig.engine import Daemon, Engine
from e2e_rig.random_user import RandomUser
from e2e_rig.registry import Registry
from e2e_rig.seaway import COMMANDS, Seaway

pytestmark = pytest.mark.seaway_only
_ROUNDS = 30


@pytest.fixture
def second(engine: Engine, e2e_directory: Path, name: str) -> Iterator[Api]:
    """Another copy."""
    assert isinstance(engine, Seaway)
    place = e2e_directory / f"api-{name}"
    place.mkdir()
    words = [str(COMMANDS / "seaway-api"), "--host", f"unix://{place}/docker.sock", "--run", str(engine.run)]
    words += ["--nats", engine.nats_url, "--nats-user", "api", "--nats-password-file", f"{engine.root}/secrets/api"]
    daemon = Daemon(words, place / "api.log", dict(os.environ))
    try:
        daemon.until(lambda: "api is ready" in daemon.log.read_text(), "the second API")
        yield Api(f"{place}/docker.sock")
    finally:
        daemon.stop()


def test_what_one_has_answered_the_other_shows(cli: DockerCli, api: Api, second: Api, name: str) -> None:
    cli("create", "--name", name, "busybox", "sleep", "1000")

    def ask(verb: str) -> None:
        reply = api.request("POST", f"/containers/{name}/{verb}")
        assert reply.status == 204, reply

    def seen() -> tuple[str, str]:
        state = second.get(f"/containers/{name}/json")["State"]
        (row,) = [row for row in second.get("/containers/json?all=1") if row["Names"] == [f"/{name}"]]
        return state["Status"], row["State"]

    for _ in range(_ROUNDS):
        ask("start")
        assert seen() == ("running", "running")
        ask("pause")
        assert seen() == ("paused", "paused")
        ask("unpause")
        ask("kill")
        assert seen() == ("exited", "exited")


def test_names_that_change_hands(api: Api, second: Api, name: str) -> None:
    body = {"Image": "busybox", "Cmd": ["true"], "HostConfig": {"NetworkMode": "none"}}
    before = ""
    for _ in range(_ROUNDS):
        created = api.request("POST", f"/containers/create?name={name}", body).json()["Id"]
        for _ in range(2):
            assert second.get(f"/containers/{name}/json")["Id"] == created != before
        assert api.request("POST", f"/containers/{name}/rename?name={name}-b").status == 204
        assert second.request("GET", f"/containers/{name}/json").status == 404
        assert second.get(f"/containers/{name}-b/json")["Name"] == f"/{name}-b"
        assert api.request("DELETE", f"/containers/{created}").status == 204
        for ref in (created, f"{name}-b"):
            assert second.request("GET", f"/containers/{ref}/json").status == 404
        before = created


def test_users_who_ask_now_one_and_now_the_other(api: Api, second: Api, registry: Registry, name: str) -> None:
    image, seed = f"{registry.address}/lib/busybox", random.getrandbits(32)
    users = [RandomUser([api, second], f"{name}-{letter}", image, seed) for letter in "abcd"]
    with ThreadPoolExecutor(len(users)) as pool:
        for _ in range(_ROUNDS):
            list(pool.map(RandomUser.step, users))
    for user in users:
        user.leave()
