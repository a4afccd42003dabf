"""R13: three NATS servers and three copies of metadata, one killed or cut off again and again under load."""

import asyncio
import contextlib
import json
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from chaos_rig import stream
from chaos_rig.client import Client
from chaos_rig.figures import Figures
from chaos_rig.load import LIFE, Load
from chaos_rig.metadata_copy import MetadataCopy
from chaos_rig.nats_cluster import USER, Cluster
from chaos_rig.scale import dice, scaled
from chaos_rig.suite import ChaosSuite
from e2e_rig.waits import eventually

from seaway_bus.feed import EventFeed
from seaway_bus.nats_transport import Credentials, NatsTransport
from seaway_bus.transport import STORE_S, TransportError
from seaway_contracts.catalogue import CONTAINER_STATUS
from seaway_kit.tasks import Tasks
from seaway_testing.builders import container_event, container_id, status
from seaway_testing.waiting import until

pytestmark = [pytest.mark.root, pytest.mark.timeout(1800)]
_STREAMS = 5
_START_S = 30.0
_AGAIN_S = 0.2  # after a refusal, which comes at once while members elect
_NOBODYS = 4711
_COPIES = 2  # of metadata, beside the suite's own


@dataclass
class Clustered:
    """A suite on a cluster."""

    suite: ChaosSuite
    cluster: Cluster
    copies: list[MetadataCopy]

    def log(self) -> str:
        """What those beside the suite have said."""
        return "\n".join(one.log() for one in (*self.copies, *self.cluster.members))


@pytest.fixture(scope="module")
def clustered(chaos_directory: Path) -> Iterator[Clustered]:
    """A suite and further copies of metadata on a cluster of three."""
    cluster = Cluster(chaos_directory / "n3")
    suite: ChaosSuite | None = None
    copies: list[MetadataCopy] = []
    try:
        cluster.start()
        ours = (USER, cluster.password_file.read_text())
        suite = ChaosSuite(chaos_directory / "c", nats=cluster.url, passwords=cluster.passwords, login=ours)
        suite.start()
        suite.warm()
        password = cluster.passwords / "metadata"
        login = ("--nats", cluster.url, "--nats-user", "metadata", "--nats-password-file", str(password))
        for number in range(_COPIES):
            copies.append(MetadataCopy(chaos_directory / f"m{number}", *login, "--replicas", "3"))
            copies[-1].start()
        yield Clustered(suite, cluster, copies)
    finally:
        for copy in copies:
            copy.close()
        if suite is not None:
            suite.purge()
        cluster.close()


@pytest.fixture
def suite(clustered: Clustered) -> ChaosSuite:
    """The suite on the cluster, in place of the shared one."""
    return clustered.suite


def _streams(cluster: Cluster) -> list[dict[str, Any]]:
    """All streams, as one of the servers knows them."""
    with urllib.request.urlopen(f"{cluster.monitor}/jsz?streams=1&config=1", timeout=5) as reply:
        accounts = json.load(reply).get("account_details", [])
    return [stream for account in accounts for stream in account.get("stream_detail", [])]


def test_every_stream_has_three_copies(clustered: Clustered, suite: ChaosSuite) -> None:
    suite.whole()
    copies = {stream["name"]: stream["config"]["num_replicas"] for stream in _streams(clustered.cluster)}
    assert len(copies) >= _STREAMS and set(copies.values()) == {3}, copies


def _strike_metadata(clustered: Clustered, place: int) -> None:
    """Kill one copy of metadata, and start it again where nobody else does."""
    if place < _COPIES:
        clustered.copies[place].kill()
        clustered.copies[place].start()
    else:
        clustered.suite.kill("metadata")


def test_r13_members_lost_under_load(clustered: Clustered, suite: ChaosSuite, figures: Figures) -> None:
    """In full one is killed, and one cut off, every half minute."""
    cluster, chance = clustered.cluster, dice("r13")
    every, wanted = scaled(15, 4), scaled(40, 2)
    client = Client(suite.api, 90)
    kept = [client.create(f"kept-{number}", "exit 0") for number in range(10)]
    lost: Counter[str] = Counter()
    began = time.monotonic()
    script = "sleep 0.2; exit {code}"
    with Load(suite.api, scaled(2000, 60), 6, script, patience_s=90, lasting=True, reads=True) as load:
        for number in range(wanted):
            load.goes_on()
            assert load.in_hand > 0
            member = chance.choice(cluster.members)
            how = ("killed", "cut off")[number % 2]
            (member.kill if how == "killed" else member.cut)()
            lost[how] += 1
            kept.append(_acknowledged(client, f"kept-{number}-during"))
            load.goes_on(timeout=90)
            time.sleep(every / 2)  # the rate is part of what is tested
            member.mend()
            cluster.whole()
            _strike_metadata(clustered, number % (_COPIES + 1))
            time.sleep(every / 2)
    rate = (time.monotonic() - began) / wanted
    suite.whole()
    load.check()
    events = stream.check(suite, load.since, [one.container for one in load.outcomes])
    assert events >= len(LIFE) * load.done
    for place in range(_COPIES + 1):  # what they know now, they have from the buckets
        _strike_metadata(clustered, place)
    suite.whole()
    for _ in range(_COPIES * 4):  # of each copy
        assert set(kept) <= _listed(client)
    eventually(lambda: _listed(client) == set(kept), "the records of removed containers to be gone", 15)
    suite.api.remove_all()
    figures.show(
        "R13",
        f"3 NATS servers, {dict(lost)}, one every {rate:.0f} s, and {wanted} kills of one of 3 copies of metadata: "
        f"{load.done} lives with {len(LIFE) * load.done} acknowledged steps, each seen by the next request, and "
        f"{len(kept)} records: 0 lost; longest life {load.longest_s:.1f} s, clients tried again {load.refused} times",
    )


def test_r13_metadata_starts_while_a_member_is_cut_off(
    clustered: Clustered, suite: ChaosSuite, figures: Figures
) -> None:
    """What it reads at its start is asked of another member where the one that was asked is silent."""
    suite.whole()
    took = []
    for member in clustered.cluster.members:
        member.cut()
        clustered.copies[0].kill()
        began = time.monotonic()
        clustered.copies[0].start()
        took.append(time.monotonic() - began)
        member.mend()
        clustered.cluster.whole()
    assert max(took) < _START_S, took
    figures.show("R13", f"a copy of metadata started while a member was cut off: after {max(took):.1f} s at most")


def _acknowledged(client: Client, name: str) -> str:
    """A container whose create was answered: one that was asked for again may be there by its name only, and lapse."""
    while True:
        before = len(client.refused)
        container = client.create(f"{name}-{before}", "exit 0")
        if len(client.refused) == before:
            return container
        client.remove(container)


def _listed(client: Client) -> set[str]:
    return {row["Id"] for row in client.steadily("GET", "/containers/json?all=1").json()}


def test_r13_two_of_three_away(clustered: Clustered, suite: ChaosSuite, figures: Figures) -> None:
    """Without a majority nothing can be stored: a clear error soon, containers go on, all mends itself."""
    cluster = clustered.cluster
    client = Client(suite.api, 60)
    container = client.create("through", "sleep 4; exit 3")
    client.start(container)
    pid = int(client.state(container)["Pid"])
    first, second, _ = cluster.members
    first.kill()
    second.kill()
    began = time.monotonic()
    body = {"Image": "busybox", "Cmd": ["true"]}
    try:
        reply = suite.api.request("POST", "/containers/create?name=meanwhile", body, timeout=60)
        took = time.monotonic() - began
        assert reply.status >= 500 and reply.message, reply
        eventually(lambda: not Path(f"/proc/{pid}").exists(), "the container's end")
    finally:
        for member in (first, second):
            member.mend()
        cluster.whole()
    back = time.monotonic()
    suite.whole()
    assert client.wait(container) == 3
    eventually(lambda: "die" in client.told(time.time() - 120, container), "its die event", 20)
    mended = time.monotonic() - back
    again = client.create("meanwhile", "exit 0")
    assert client.inspect(again)["Name"] == "/meanwhile"
    suite.api.remove_all()
    figures.show(
        "R13", f"two of three away: refused after {took:.1f} s ({reply.message[:70]}…), well {mended:.1f} s later"
    )


def test_r13_events_that_a_lost_route_dropped(clustered: Clustered, suite: ChaosSuite, figures: Figures) -> None:
    """Who is connected to a member that is cut off from the others notices nothing, and events are lost live."""
    suite.whole()
    sent, late_s = asyncio.run(_over_a_lost_route(clustered.cluster))
    figures.show("R13", f"{sent} events while a member was away from the others: heard {late_s:.1f} s after its return")


async def _over_a_lost_route(cluster: Cluster) -> tuple[int, float]:
    """How many events were sent, and how long after its return a client of the parted member had heard all."""
    parted, *others = cluster.members
    login = Credentials(USER, cluster.password_file.read_text())
    mine, other = [await NatsTransport.connect(one.url, name="test", credentials=login) for one in (parted, others[0])]
    losses, heard, tasks, sent = [], [], Tasks("test"), 0  # type: ignore[var-annotated]
    mine.on_disconnect(lambda: losses.append(1))
    feed = EventFeed(mine, lambda event: heard.append(event.envelope), tasks)
    await feed.start()
    parted.part(others)
    try:
        while any(one.sees(parted) for one in others):
            sent += await _send(other, sent + 1)
            await asyncio.sleep(0.2)  # the pace of what is lost
        sent += await _send(other, sent + 1)
    finally:
        parted.join()
        cluster.whole()
    began = time.monotonic()
    nobodys = container_id(_NOBODYS)

    def seqs() -> list[int]:
        return [envelope.seq for envelope in heard if envelope.subject_id == nobodys]

    await until(lambda: len(seqs()) >= sent, 20, what=f"{sent} events heard")
    took = time.monotonic() - began
    assert mine.clustered and losses == []
    assert seqs() == list(range(1, sent + 1))
    await tasks.close()
    for transport in (mine, other):
        await transport.close()
    return sent, took


async def _send(transport: NatsTransport, seq: int) -> int:
    """An event of a container that nobody else has, again and again until it is stored, as metadata does; 1 for it."""
    envelope, body = container_event("status", status(seq=seq), seed=_NOBODYS)
    subject = CONTAINER_STATUS.subject(envelope.node, envelope.subject_id)
    data = CONTAINER_STATUS.published(body.model_dump(exclude_defaults=True))
    async with asyncio.timeout(60):
        while True:
            with contextlib.suppress(TransportError):
                await transport.store(subject, data, envelope.headers(), STORE_S)
                return 1
            await asyncio.sleep(_AGAIN_S)
