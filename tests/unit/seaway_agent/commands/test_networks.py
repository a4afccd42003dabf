"""What a node tells of its networks."""

from itertools import pairwise
from typing import Any

import pytest
from tests.unit.seaway_agent.runner_bench import Bench

from seaway_agent.commands.networks import NetworkCommands
from seaway_agent.commands.paging import page
from seaway_agent.container.held_networks import HeldNetworks
from seaway_agent.inventory.inventory import Inventory
from seaway_agent.network.port import network_spec
from seaway_contracts import catalogue
from seaway_contracts.containers import EndpointSpec
from seaway_contracts.networks import ListHeldNetworks, NetworkRecord, Pool
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
    found = await bench.bus.call(catalogue.NETWORK_INVENTORY, ListHeldNetworks(), node="n1")
    assert (found.node, found.epoch, found.networks) == ("n1", "e1", tuple(NETWORKS))
    assert found.used == tuple(record.id for record in NETWORKS[:3])
    some = ListHeldNetworks(ids=(NETWORKS[0].id, NETWORKS[9].id, "gone"))
    found = await bench.bus.call(catalogue.NETWORK_INVENTORY, some, node="n1")
    assert (found.networks, found.used, found.next) == ((NETWORKS[0], NETWORKS[9]), (NETWORKS[0].id,), "")
    asked_for.clear()
    await bench.bus.call(catalogue.NETWORK_INVENTORY, ListHeldNetworks(), node="n1")
    assert len(asked_for) <= 4, "each container is looked at once, not for each network"


def stored(count: int, size: int = 0) -> dict[str, NetworkRecord]:
    records = [
        NetworkRecord(id=f"{number:064x}", name=f"n{number}", created_ns=1, labels={"a": "x" * size})
        for number in range(count, 0, -1)
    ]
    return {record.id: record for record in records}


def pages(records: dict[str, NetworkRecord], room: int) -> list[list[str]]:
    found, after = [], ""
    while True:
        networks, after = page(records, after, room)
        found.append([network.id for network in networks])
        if not after:
            return found


def test_all_are_told_once_in_pages_that_fit() -> None:
    records = stored(450, size=10_000)
    told = pages(records, 1 << 20)
    assert [identifier for one in told for identifier in one] == sorted(records)
    assert len(told) == 5 and all(len(one) <= 104 for one in told)
    assert all(one[-1] < after[0] for one, after in pairwise(told))


def test_pages_of_small_ones_are_short_too() -> None:
    assert [len(one) for one in pages(stored(450), 1 << 20)] == [200, 200, 50]


def test_one_that_is_larger_than_a_page_stands_alone() -> None:
    assert pages(stored(3, size=100), 10) == [[f"{number:064x}"] for number in (1, 2, 3)]


def test_a_node_without_networks() -> None:
    assert page({}, "", 1 << 20) == ((), "")
