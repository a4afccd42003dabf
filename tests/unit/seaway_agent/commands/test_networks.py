"""What a node tells of its networks, by page."""

from itertools import pairwise

from seaway_agent.commands.networks import page
from seaway_contracts.networks import NetworkRecord


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
