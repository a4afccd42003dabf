"""What a node tells of its networks."""

from typing import Any

import pytest
from tests.unit.seaway_agent.runner_bench import Bench

from seaway_agent.commands.networks import NetworkCommands
from seaway_agent.container.held_networks import HeldNetworks
from seaway_agent.inventory.inventory import Inventory
from seaway_agent.network.port import network_spec
from seaway_contracts import catalogue
from seaway_contracts.base import Empty
from seaway_contracts.containers import EndpointSpec
from seaway_contracts.networks import NetworkRecord, Pool
from seaway_testing import builders

NETWORKS = [
    NetworkRecord(id=f"{number:064}", name=f"net{number}", created_ns=1, pools=(Pool(subnet=f"10.1.{number}.0/24"),))
    for number in range(20)
]


async def test_networks_with_running_containers_are_used(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    inventory = Inventory("n1", bench.journal, "e1")
    held = HeldNetworks(bench.networks, bench.journal.networks, bench.journal.was_removed)
    await NetworkCommands(inventory, bench.journal, held, bench.networks).serve(bench.bus)
    for record in NETWORKS:
        bench.journal.networks[record.id] = record
        await bench.networks.make(network_spec(record))
    for record in NETWORKS[:3]:
        asked = EndpointSpec(network=record.name, network_id=record.id, claimed_ipv4=record.pools[0].subnet[:-4] + "9")
        runner = await bench.running(network=builders.networking(endpoints=(asked,)))
        inventory.runners[runner.spec.id] = runner
    stopped = await bench.make(network=builders.networking(endpoints=(asked,)))
    inventory.runners[stopped.spec.id] = stopped
    asked_for: list[str] = []
    endpoints = bench.networks.endpoints

    def counted(container: str) -> Any:
        asked_for.append(container)
        return endpoints(container)

    monkeypatch.setattr(bench.networks, "endpoints", counted)
    found = await bench.bus.call(catalogue.NETWORK_INVENTORY, Empty(), node="n1")
    assert (found.node, found.epoch, found.networks) == ("n1", "e1", tuple(NETWORKS))
    assert found.used == tuple(record.id for record in NETWORKS[:3])
    assert len(asked_for) <= 4, "each container is looked at once, not for each network"
