"""R16: creates with reservations over five hosts, while agents, schedulers, NATS, links and hosts are hit at random."""

import contextlib
import itertools
import random
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from chaos_rig.client import Client
from chaos_rig.figures import Figures
from chaos_rig.lab_cluster import UNIT, LabCluster
from chaos_rig.lab_load import LabLoad
from chaos_rig.lab_watch import LabWatch
from chaos_rig.scale import dice, scaled
from deploy.lab import Lab
from e2e_rig.waits import eventually

pytestmark = [pytest.mark.root, pytest.mark.timeout(3600)]
_HOSTS = 5
_UNITS = 10
_IN_FLIGHT = 6
_PER_HIT = 5
_SETTLED_S = 90.0
_LEAP = 1 << 20
_BETWEEN = ("kill", "update")
_LIFE = re.compile("create( start die)*( start)?( destroy)?")
_ENDED = re.compile("create( start die)* destroy")


@pytest.fixture
def cluster(chaos_directory: Path) -> Iterator[LabCluster]:
    """Five small nodes and two schedulers."""
    with Lab(chaos_directory / "lab", hosts=_HOSTS) as lab:
        made = LabCluster(lab, _UNITS)
        made.prepare()
        yield made


class Hits:
    """Hits one thing after another; each has an end, and what it hit is not waited for."""

    def __init__(self, cluster: LabCluster, chance: random.Random) -> None:
        self._cluster, self._lab, self._chance = cluster, cluster.lab, chance
        self._others = cluster.nodes[1:]
        self._kinds: dict[str, Callable[[], bool]] = {
            "agent": self._agent,
            "scheduler": self._scheduler,
            "metadata": lambda: cluster.kill_service("metadata"),
            "NATS": lambda: cluster.kill_service("nats"),
            "partition": self._partition,
            "loss": self._loss,
            "power cut": self._power_cut,
        }
        self._left: list[str] = []
        self.counts: Counter[str] = Counter()

    def strike(self) -> None:
        """One hit: all kinds come before any of them comes again."""
        self._left = self._left or self._chance.sample(list(self._kinds), len(self._kinds))
        kind = self._left.pop()
        self.counts[kind] += self._kinds[kind]()
        self._pause(0.2, 1.5)

    def _pause(self, least_s: float, most_s: float) -> None:
        time.sleep(self._chance.uniform(least_s, most_s))

    def _agent(self) -> bool:
        node = self._chance.choice(self._cluster.nodes)
        was_there = self._cluster.kill_agent(node)
        self._pause(0.0, 1.0)
        self._cluster.start_agent(node)
        return was_there

    def _scheduler(self) -> bool:
        if self._chance.random() < 0.5:
            return self._cluster.kill_scheduler()
        return self._cluster.kill_service("scheduler")

    def _partition(self) -> bool:
        """Between the first host, which has NATS and the API, and some others; some are called down, some are not."""
        self._lab.partition(self._cluster.nodes[0], self._some())
        self._pause(0.5, 9.0)
        self._lab.heal()
        return True

    def _loss(self) -> bool:
        nodes = self._some()
        self._lab.loss(self._chance.uniform(10, 40), *nodes)
        self._pause(1.0, 4.0)
        self._lab.loss(0, *nodes)
        return True

    def _power_cut(self) -> bool:
        node = self._chance.choice(self._others)
        self._cluster.cut_power(node)
        self._pause(0.5, 4.0)
        self._cluster.boot(node)
        return True

    def _some(self) -> list[str]:
        return self._chance.sample(self._others, self._chance.randint(1, 3))


def test_r16_creates_over_five_hosts(cluster: LabCluster, figures: Figures) -> None:
    count, chance, since = scaled(500, 60), dice("r16"), time.time()
    hits = Hits(cluster, random.Random(chance.random()))
    client = Client(cluster.api, 120)
    with LabWatch(cluster) as watch:
        with LabLoad(cluster, count, _IN_FLIGHT, chance) as load:
            for _ in range(count // _PER_HIT):
                load.permit(_PER_HIT)
                hits.strike()
        assert load.errors == [], load.errors[:5]
        cluster.whole()
        _check_what_is_there(cluster, client, load)
    assert watch.doubles == {}, watch.doubles
    assert watch.too_much == [], watch.too_much[:5]
    took = _check_room(cluster, client)
    _check_events(cluster, client, load, since, _LIFE)
    for one in load.made:
        client.remove(one.container)
    eventually(lambda: not any(cluster.stored(node) for node in cluster.nodes), "empty nodes", _SETTLED_S)
    eventually(lambda: _reserved(cluster) == dict.fromkeys(cluster.nodes, 0), "nothing reserved", _SETTLED_S)
    events = _check_events(cluster, client, load, since, _ENDED)
    struck = ", ".join(f"{kind} {number}" for kind, number in sorted(hits.counts.items()))
    figures.show(
        "R16",
        f"{count} creates over {_HOSTS} hosts, {len(load.made)} made, refused by status: {dict(load.refusals)}; hits: "
        f"{struck}; {watch.looks} looks: at most "
        f"{watch.most // UNIT} of {_UNITS} units reserved on a node, no double, none lost; {events} events, each once, "
        f"in order; schedulers knew the room {took:.0f} s after the last hit",
    )


def _check_what_is_there(cluster: LabCluster, client: Client, load: LabLoad) -> None:
    """What was made and not removed is on one node, and in the listing; of all else nothing is left."""
    wanted = {one.container: one.name for one in load.made if not one.gone}

    def there() -> list[tuple[str, str]]:
        return sorted((one.id, one.name) for node in cluster.nodes for one in cluster.stored(node))

    def listed() -> list[tuple[str, str]]:
        rows = client.steadily("GET", "/containers/json?all=1").json()
        return sorted((row["Id"], row["Names"][0].removeprefix("/")) for row in rows)

    for what, found in (("on the nodes", there), ("in the listing", listed)):
        with contextlib.suppress(TimeoutError):
            eventually(lambda found=found: found() == sorted(wanted.items()), what, _SETTLED_S)  # type: ignore[misc]
        extra, lost = set(found()) - set(wanted.items()), set(wanted.items()) - set(found())
        assert (extra, lost) == (set(), set()), f"{what}; {[one for one in load.attempts if not one.container]}"
    for one in load.attempts:
        if not one.container or one.gone:
            reply = client.steadily("GET", f"/containers/{one.name}/json")
            assert reply.status == 404, (one, reply)


def _reserved(cluster: LabCluster) -> dict[str, int]:
    """What each node's beats say is reserved there."""
    return {record["node"]: record["reserved"]["memory"] for record in cluster.records()}


def _check_room(cluster: LabCluster, client: Client) -> float:
    """Beats say what the nodes have, and each scheduler knows the room to a unit; after how many seconds."""
    began = time.monotonic()
    held = {node: sum(one.reserved for one in cluster.stored(node)) for node in cluster.nodes}
    eventually(lambda: _reserved(cluster) == held, "beats that say what the nodes have", 20)
    for node, reserved in held.items():
        free = (cluster.room - reserved) // UNIT
        for _ in range(4):  # whichever scheduler answers
            assert _place(client, node, free + 1) == "", node
            if free:
                eventually(lambda: _place(client, node, free), f"room for {free} units on {node}", _SETTLED_S)  # noqa: B023
    return time.monotonic() - began


def _place(client: Client, node: str, units: int) -> str:
    """Make a container on a node and remove it; its id, or nothing where a scheduler knows that there is no room."""
    host = {"NetworkMode": "none", "MemoryReservation": units * UNIT}
    body = {"Image": "busybox", "Cmd": ["true"], "Env": [f"constraint:node=={node}"], "HostConfig": host}
    reply = client.api.request("POST", "/containers/create", body)
    if reply.status == 201:
        client.remove(container := str(reply.json()["Id"]))
        return container
    assert "no node fits" in reply.message and "not enough memory" in reply.message, reply
    return ""


def _check_events(cluster: LabCluster, client: Client, load: LabLoad, since: float, life: "re.Pattern[str]") -> int:
    """Each container's events come once and in order, in the stream and by the API; how many there are."""
    numbered = cluster.numbered(since)
    by_api: dict[str, list[str]] = {}
    for row in client.history(since):
        by_api.setdefault(row["Actor"]["ID"], []).append(row["Action"])
    mine = {one.container for one in load.made}
    assert mine <= numbered.keys(), mine - numbered.keys()
    wrong = {}
    for container, rows in numbered.items():
        numbers, actions = [number for number, _ in rows], [action for _, action in rows]
        told = [action for action in by_api.get(container, []) if action not in _BETWEEN]
        rises = numbers[0] == 1 and all(_follows(one, other) for one, other in itertools.pairwise(numbers))
        if not rises or not (life if container in mine else _ENDED).fullmatch(" ".join(told)):
            wrong[container] = (rows, by_api.get(container), actions)
    assert wrong == {}, wrong
    return sum(map(len, numbered.values()))


def _follows(number: int, later: int) -> bool:
    """After a power cut an agent leaps over the numbers that it may have used."""
    return later == number + 1 or later - number > _LEAP
