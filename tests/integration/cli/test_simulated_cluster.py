"""The simulation by which `./dev scale` measures (tests/scale): a small one, so that it keeps working."""

import json
import os

import pytest
from tests.scale import measures
from tests.scale.cluster import simulated_cluster

pytestmark = [pytest.mark.root, pytest.mark.timeout(90)]
NODES, EACH = 20, 5


async def test_twenty_simulated_nodes_with_a_hundred_containers() -> None:
    async with simulated_cluster(NODES, processes=2) as cluster:
        await cluster.connect()
        assert await cluster.nodes_up() == NODES
        await cluster.hold(EACH)
        created = await cluster.create()
        await cluster.api.start(created)
        inspected = json.loads(await cluster.api.request("GET", f"/containers/{created}/json"))
        assert inspected["State"]["Running"]
        assert inspected["Node"]["Name"].startswith("sim")
        listed = json.loads(await cluster.api.request("GET", "/containers/json?all=1"))
        assert len(listed) == NODES * EACH + 2  # one is what the others are copies of
        await cluster.api.remove(created)
        rows = await measures.creates(cluster, 20, 1)
        assert rows[-1].value == 0, "none fails"
        memory = cluster.suite.memory()
        assert set(memory) == set(measures.SERVICES)
        directory = cluster.suite.layout.root.parent
    assert not os.path.exists(directory)
