"""docker rename: names change hands one at a time, whatever the container does."""

import os
import signal
import threading

import docker
import pytest
from e2e_rig.api import Api, EventStream, Reply, filters
from e2e_rig.docker_cli import DockerCli
from e2e_rig.seaway import Seaway

SLEEP = ("busybox", "sleep", "1000")


def rename(api: Api, container: str, name: str) -> Reply:
    return api.request("POST", f"/containers/{container}/rename?name={name}")


def test_a_rename_frees_the_old_name_at_once(cli: DockerCli, api: Api, name: str) -> None:
    container = cli("run", "-d", "--name", name, *SLEEP).out
    cli("rename", name, f"{name}-b")
    assert api.get(f"/containers/{name}-b/json")["Name"] == f"/{name}-b"
    assert api.request("GET", f"/containers/{name}/json").status == 404
    assert cli("ps", "--format", "{{.Names}}").out == f"{name}-b"
    other = cli("create", "--name", name, "busybox").out
    assert other != container
    assert rename(api, f"{name}-b", f"/{name}-c").status == 204
    cli("rm", "-f", f"{name}-c")
    assert rename(api, other, f"{name}-c").status == 204


def test_names_change_hands_in_a_ring(cli: DockerCli, api: Api, name: str) -> None:
    first, second = (cli("create", "--name", f"{name}{n}", "busybox").out for n in (1, 2))
    for _ in range(3):
        for old, new in ((f"{name}1", f"{name}x"), (f"{name}2", f"{name}1"), (f"{name}x", f"{name}2")):
            assert rename(api, old, new).status == 204, (old, new)
        first, second = second, first
    assert api.get(f"/containers/{name}1/json")["Id"] == first
    assert api.get(f"/containers/{name}2/json")["Id"] == second


def test_the_event_has_the_old_name_and_later_ones_the_new(cli: DockerCli, api: Api, name: str) -> None:
    container = cli("run", "-d", "--name", name, *SLEEP).out
    with EventStream(api, filters(container=container)) as events:
        cli("rename", name, f"{name}-b")
        renamed = events.until("rename")[-1]["Actor"]["Attributes"]
        assert renamed == {"image": "busybox", "name": f"{name}-b", "oldName": f"/{name}"}
        cli("kill", container)
        assert events.until("die")[-1]["Actor"]["Attributes"]["name"] == f"{name}-b"


@pytest.mark.parametrize("state", ["created", "paused", "exited"])
def test_in_every_state(cli: DockerCli, api: Api, name: str, state: str) -> None:
    if state == "created":
        cli("create", "--name", name, "busybox")
    else:
        cli("run", "-d", "--name", name, *SLEEP)
        cli(*{"paused": ("pause", name), "exited": ("kill", name)}[state])
    cli("rename", name, f"{name}-b")
    shown = api.get(f"/containers/{name}-b/json")
    assert (shown["Name"], shown["State"]["Status"]) == (f"/{name}-b", state)


def test_refusals(cli: DockerCli, api: Api, name: str) -> None:
    container = cli("create", "--name", name, "busybox").out
    other = cli("create", "--name", f"{name}-b", "busybox").out
    head = "Error when allocating new name: "
    taken = f'{head}Conflict. The container name "/{name}-b" is already in use by container "{other}". '
    taken += "You have to remove (or rename) that container to be able to reuse that name."
    for given, status, text in (
        ("", 400, "Neither old nor new names may be empty"),
        (name, 400, "Renaming a container with the same name as its current name"),
        (f"/{name}", 400, "Renaming a container with the same name as its current name"),
        (f"{name}-b", 409, taken),
        ("a", 400, f"{head}Invalid container name (/a), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"),
        ("b%20ad", 400, f"{head}Invalid container name (/b ad), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"),
    ):
        reply = rename(api, container, given)
        assert (reply.status, reply.message) == (status, text)
    reply = rename(api, "nothing", "something")
    assert (reply.status, reply.message) == (404, "No such container: nothing")
    assert {row["Names"][0] for row in api.get("/containers/json?all=1")} == {f"/{name}", f"/{name}-b"}


def test_racing_renames_end_in_one_name_each(cli: DockerCli, api: Api, name: str) -> None:
    containers = [cli("create", "busybox").out for _ in range(6)]
    replies: dict[str, Reply] = {}

    def run(container: str) -> None:
        replies[container] = rename(api, container, name)

    threads = [threading.Thread(target=run, args=(container,)) for container in containers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    won = [container for container, reply in replies.items() if reply.status == 204]
    assert len(won) == 1
    assert {reply.status for reply in replies.values()} == {204, 409}
    assert api.get(f"/containers/{name}/json")["Id"] == won[0]
    names = [row["Names"][0] for row in api.get("/containers/json?all=1")]
    assert len(set(names)) == len(containers)


def test_one_container_renamed_twice_at_once(cli: DockerCli, api: Api, name: str) -> None:
    container = cli("create", "busybox").out
    threads = [threading.Thread(target=rename, args=(api, container, f"{name}{n}")) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    final = api.get(f"/containers/{container}/json")["Name"].removeprefix("/")
    for n in range(4):
        if f"{name}{n}" != final:
            assert cli("create", "--name", f"{name}{n}", "busybox").code == 0


def test_rename_with_docker_py(py: docker.DockerClient, name: str) -> None:
    container = py.containers.create("busybox", name=name)
    container.rename(f"{name}-b")
    assert py.containers.get(f"{name}-b").id == container.id


@pytest.mark.seaway_only
def test_a_rename_survives_agent_and_metadata(engine: Seaway, cli: DockerCli, api: Api, name: str) -> None:
    container = cli("run", "-d", "--name", name, *SLEEP).out
    cli("rename", name, f"{name}-b")
    for service in ("metadata", "agent"):
        pid = engine.processes()[service]
        os.kill(pid, signal.SIGKILL)
        engine.restarted(service, pid)
    assert api.get(f"/containers/{name}-b/json")["Id"] == container
    assert cli("create", "--name", name, "busybox").code == 0
    assert rename(api, container, name).status == 409


@pytest.mark.seaway_only
def test_a_rename_while_the_agent_is_away_leaves_the_names_as_they_are(
    engine: Seaway, cli: DockerCli, api: Api, name: str
) -> None:
    container = cli("run", "-d", "--name", name, *SLEEP).out
    agent = engine.processes()["agent"]
    os.kill(agent, signal.SIGKILL)
    reply = rename(api, container, f"{name}-b")
    engine.restarted("agent", agent)
    final = name if reply.status != 204 else f"{name}-b"
    assert api.get(f"/containers/{container}/json")["Name"] == f"/{final}"
