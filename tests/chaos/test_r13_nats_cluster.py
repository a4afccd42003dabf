"""R13: three NATS servers, one killed again and again under load: nothing that was acknowledged is lost."""

import json
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from chaos_rig.client import Client
from chaos_rig.figures import Figures
from chaos_rig.load import Load
from chaos_rig.nats_cluster import USER, Cluster
from chaos_rig.scale import dice, scaled
from chaos_rig.suite import ChaosSuite
from e2e_rig import images
from e2e_rig.waits import eventually

pytestmark = [pytest.mark.root, pytest.mark.timeout(900)]
_TAR = {"Content-Type": "application/x-tar"}
_SERVICES = 5  # the NATS servers are not its own
_STREAMS = 4


@pytest.fixture(scope="module")
def clustered(chaos_directory: Path) -> Iterator[tuple[ChaosSuite, Cluster]]:
    """A suite on a cluster of three."""
    cluster = Cluster(chaos_directory / "n3")
    suite: ChaosSuite | None = None
    try:
        cluster.start()
        login = ("--nats-user", USER, "--nats-password-file", str(cluster.password_file))
        suite = ChaosSuite(chaos_directory / "c", up=("--nats", cluster.url, *login), services=_SERVICES)
        suite.start()
        reply = suite.api.request("POST", "/images/load", images.busybox_archive(), _TAR)
        assert reply.status == 200, reply
        yield suite, cluster
    finally:
        if suite is not None:
            suite.purge()
        cluster.stop()


def _streams(cluster: Cluster) -> list[dict[str, Any]]:
    """All streams, as one of the servers knows them."""
    url = f"http://127.0.0.1:{cluster.members[0].http}/jsz?streams=1&config=1"
    with urllib.request.urlopen(url, timeout=5) as reply:
        accounts = json.load(reply).get("account_details", [])
    return [stream for account in accounts for stream in account.get("stream_detail", [])]


def test_every_stream_has_three_copies(clustered: tuple[ChaosSuite, Cluster]) -> None:
    suite, cluster = clustered
    suite.whole()
    copies = {stream["name"]: stream["config"]["num_replicas"] for stream in _streams(cluster)}
    assert len(copies) >= _STREAMS and set(copies.values()) == {3}, copies


def test_r13_members_killed_under_load(clustered: tuple[ChaosSuite, Cluster], figures: Figures) -> None:
    suite, cluster = clustered
    chance = dice("r13")
    every, wanted = scaled(30, 6), scaled(10, 3)
    client = Client(suite.api, 60)
    kept = [client.create(f"kept-{number}", "exit 0") for number in range(10)]
    kills = 0
    with Load(suite.api, scaled(2000, 120), 6, script="sleep 0.5; exit {code}", patience_s=90) as load:
        while kills < wanted and load.running:
            member = chance.choice(cluster.members)
            member.kill()
            kills += 1
            kept.append(client.create(f"kept-{kills}-during", "exit 0"))
            time.sleep(every / 2)  # the rate of the kills is part of what is tested
            cluster.again(member)
            cluster.whole()
            time.sleep(every / 2)
    cluster.whole()
    suite.whole()
    load.check()
    old = suite.kill("metadata")  # what it knows now, it has from the buckets
    suite.restarted("metadata", old)
    assert set(kept) <= _listed(client)
    eventually(lambda: _listed(client) == set(kept), "the records of removed containers to be gone", 15)
    suite.api.remove_all()
    figures.show(
        "R13",
        f"3 NATS servers, {kills} kills, one every {every} s: {load.count} lives and {len(kept)} records, 0 lost; "
        f"longest life {load.longest_s:.1f} s, clients tried again {load.refused} times",
    )


def _listed(client: Client) -> set[str]:
    return {row["Id"] for row in client.steadily("GET", "/containers/json?all=1").json()}


def test_r13_two_of_three_away(clustered: tuple[ChaosSuite, Cluster], figures: Figures) -> None:
    """Without a majority nothing can be stored: a clear error soon, containers go on, all mends itself."""
    suite, cluster = clustered
    client = Client(suite.api, 60)
    container = client.create("through", "sleep 4; exit 3")
    client.start(container)
    first, second, _ = cluster.members
    first.kill()
    second.kill()
    began = time.monotonic()
    body = {"Image": "busybox", "Cmd": ["true"]}
    reply = suite.api.request("POST", "/containers/create?name=meanwhile", body, timeout=60)
    took = time.monotonic() - began
    assert reply.status >= 500 and reply.message, reply
    time.sleep(max(0.0, 5 - took))  # the container ends meanwhile
    for member in (first, second):
        cluster.again(member)
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
