"""Builds go to nodes with a builder, and the refusal says what to install."""

from tests.unit.seaway_scheduler.clusters import add, request

from seaway_scheduler.cluster import Cluster
from seaway_scheduler.place import Placed, Rejected, place


def test_builds_need_a_builder() -> None:
    cluster = Cluster()
    add(cluster, "n1")
    add(cluster, "n2")
    refused = place(request(builds=True), cluster, 1)
    assert isinstance(refused, Rejected) and "apt-get install buildah" in str(refused)
    beat = cluster.nodes["n2"].beat
    cluster.nodes["n2"].beat = beat.model_copy(update={"facts": beat.facts.model_copy(update={"builder": "/b"})})
    found = place(request(builds=True), cluster, 1)
    assert isinstance(found, Placed) and found.node == "n2"
    assert isinstance(place(request(), cluster, 1), Placed)
