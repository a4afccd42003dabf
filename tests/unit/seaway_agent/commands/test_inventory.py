"""Pages of an inventory fit into a message, however large the specs are."""

from dataclasses import dataclass

import pytest

from seaway_agent.commands.inventory import page
from seaway_contracts.commands import Inventory
from seaway_contracts.containers import ContainerSpec, ContainerStatus
from seaway_testing import builders

HEAD = Inventory(node="n1", epoch="e1", revision=7)


@dataclass
class Container:
    spec: ContainerSpec
    status: ContainerStatus


def holding(*sizes: int) -> dict[str, Container]:
    """Containers with labels of these sizes."""
    made = [
        Container(builders.spec(seed, labels={"long": "x" * size}), builders.status(seq=seed + 1))
        for seed, size in enumerate(sizes)
    ]
    return {one.spec.id: one for one in made}


def pages(containers: dict[str, Container], room: int) -> list[Inventory]:
    found: list[Inventory] = []
    after = ""
    while True:
        data = page(HEAD, containers, after, room)
        assert len(data) <= room or len(Inventory.model_validate_json(data).containers) == 1
        found.append(Inventory.model_validate_json(data))
        after = found[-1].next
        if not after:
            return found


@pytest.mark.parametrize("sizes", [[], [10], [10] * 450, [40_000] * 40, [10, 90_000, 10, 200_000, 10]])
def test_all_come_once_in_pages_that_fit(sizes: list[int]) -> None:
    containers = holding(*sizes)
    found = pages(containers, 100_000 + 2_000)
    told = [item for part in found for item in part.containers]
    assert [item.spec.id for item in told] == sorted(containers)
    assert all(
        (item.spec, item.status) == (containers[item.spec.id].spec, containers[item.spec.id].status) for item in told
    )
    assert {(part.node, part.epoch, part.revision) for part in found} == {("n1", "e1", 7)}


def test_small_ones_share_pages() -> None:
    assert [len(part.containers) for part in pages(holding(*[10] * 450), 1 << 20)] == [200, 200, 50]
