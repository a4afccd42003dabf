"""Limits: a process without free descriptors. What it can't do meanwhile is refused or waits; then all is well."""

import contextlib
import itertools
import resource
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from chaos_rig import stream
from chaos_rig.client import Client
from chaos_rig.figures import Figures
from chaos_rig.load import Load
from chaos_rig.scale import scaled
from chaos_rig.suite import ChaosSuite

pytestmark = [pytest.mark.root, pytest.mark.timeout(600)]
_CLIENTS = 12


@contextlib.contextmanager
def without_descriptors(pid: int, left: int) -> Iterator[None]:
    """It can open only so many more."""
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    taken = {int(entry.name) for entry in Path(f"/proc/{pid}/fd").iterdir()}
    free = (number for number in itertools.count() if number not in taken)
    limit = next(itertools.islice(free, left, None))
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (limit, before[1]))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, before)


def test_an_agent_without_descriptors(suite: ChaosSuite, client: Client, figures: Figures) -> None:
    goes_on = client.create("goes-on", "sleep 1000")
    client.start(goes_on)
    pid = client.state(goes_on)["Pid"]
    waiting = [client.create(f"fd-{number}", "exit 4") for number in range(5)]
    agent = suite.processes()["agent"]
    with without_descriptors(agent, 3):
        replies = [suite.api.request("POST", f"/containers/{one}/start", timeout=40) for one in waiting]
    refused = [reply.message for reply in replies if reply.status >= 400]
    assert refused and all("open files" in text for text in refused), refused
    assert client.state(goes_on)["Pid"] == pid and Path(f"/proc/{pid}").exists()
    for one in waiting:
        client.start(one)
        assert client.wait(one) == 4
    assert suite.processes()["agent"] == agent
    figures.show("L5", f"agent out of descriptors: {len(refused)} of 5 starts refused: {refused[0][:80]}; then well")


def test_an_api_without_descriptors(suite: ChaosSuite, client: Client, figures: Figures) -> None:
    """Clients beyond its limit are hung up on until others have gone; nobody gets a wrong answer."""
    container = client.create("held", "sleep 1000")
    client.start(container)
    api = suite.processes()["api"]

    def ask(_: int) -> int:
        return Client(suite.api, 60).steadily("GET", "/containers/json?all=1").status

    with ThreadPoolExecutor(_CLIENTS) as pool, without_descriptors(api, 3):
        answers = list(pool.map(ask, range(_CLIENTS * 4)))
    assert answers == [200] * _CLIENTS * 4
    assert client.state(container)["Running"] is True
    assert suite.processes()["api"] == api
    client.remove(container)
    figures.show("L8", f"API with 3 more connections: {len(answers)} requests of {_CLIENTS} clients, all answered")


@pytest.mark.parametrize("service", ["metadata", "nats", "scheduler", "image"])
def test_a_service_without_descriptors(suite: ChaosSuite, figures: Figures, service: str) -> None:
    pid = suite.processes()[service]
    with Load(suite.api, scaled(400, 20), 8, lasting=True) as load:
        load.goes_on()
        with without_descriptors(pid, 1):
            load.goes_on(scaled(100, 10))
        load.goes_on()
    suite.whole()
    load.check()
    assert suite.processes()[service] == pid
    stream.check(suite, load.since, [one.container for one in load.outcomes])
    figures.show("L8", f"{service} without free descriptors: {load.done} lives right, {load.refused} further tries")
