from ipaddress import IPv4Address, IPv4Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seaway_agent.network.errors import AddressError
from seaway_agent.network.ipam import AddressPool

SMALL = IPv4Network("10.0.0.0/29")  # hosts .1 to .6


def ip(last: int) -> IPv4Address:
    return IPv4Address(f"10.0.0.{last}")


def test_gateway_is_first_then_addresses_in_order() -> None:
    pool = AddressPool(SMALL)
    assert pool.gateway == ip(1)
    assert [pool.allocate() for _ in range(5)] == [ip(n) for n in range(2, 7)]


def test_a_freed_address_rests_until_the_order_wraps_around() -> None:
    pool = AddressPool(SMALL)
    first = pool.allocate()
    pool.release(first)
    assert [pool.allocate() for _ in range(5)] == [ip(3), ip(4), ip(5), ip(6), first]


def test_full_subnet_says_so() -> None:
    pool = AddressPool(SMALL)
    for _ in range(5):
        pool.allocate()
    with pytest.raises(AddressError, match=r"10\.0\.0\.0/29 is full"):
        pool.allocate()


def test_fixed_address_is_taken_once_and_skipped_by_the_order() -> None:
    pool = AddressPool(SMALL)
    pool.reserve(ip(3))
    with pytest.raises(AddressError, match="Address already in use"):
        pool.reserve(ip(3))
    assert [pool.allocate() for _ in range(2)] == [ip(2), ip(4)]


@pytest.mark.parametrize("address", ["10.0.0.0", "10.0.0.7", "10.0.0.8", "192.168.0.1"])
def test_addresses_that_no_container_can_have(address: str) -> None:
    with pytest.raises(AddressError, match="does not belong"):
        AddressPool(SMALL).reserve(IPv4Address(address))


def test_own_gateway_is_neither_handed_out_nor_released() -> None:
    pool = AddressPool(SMALL, ip(6))
    pool.release(ip(6))
    assert ip(6) in pool
    assert [pool.allocate() for _ in range(5)] == [ip(n) for n in range(1, 6)]
    with pytest.raises(AddressError):
        AddressPool(SMALL, IPv4Address("10.0.1.1"))


def test_restored_addresses_are_in_use_and_the_order_goes_on_after_them() -> None:
    pool = AddressPool(SMALL)
    pool.restore([ip(4), ip(2)])
    assert [pool.allocate() for _ in range(3)] == [ip(5), ip(6), ip(3)]


def test_a_subnet_without_edges_gives_all_its_addresses_as_dockers() -> None:
    pool = AddressPool(IPv4Network("10.0.0.0/31"))
    assert (pool.gateway, pool.allocate()) == (ip(0), ip(1))
    single = AddressPool(IPv4Network("10.0.0.9/32"))
    assert single.gateway == ip(9)
    for full in (pool, single):
        with pytest.raises(AddressError, match="no available IPv4 addresses on this network's address pools"):
            full.allocate()


@given(st.lists(st.one_of(st.none(), st.integers(0, 4))))
def test_no_address_is_ever_held_twice(steps: list[int | None]) -> None:
    pool, held = AddressPool(SMALL), list[IPv4Address]()
    for step in steps:
        if step is not None and step < len(held):
            pool.release(held.pop(step))
        elif pool.free:
            held.append(pool.allocate())
        assert len(set(held)) == len(held)
        assert pool.gateway not in held
        assert pool.free == 5 - len(held)
        assert all(address in pool and address in SMALL.hosts() for address in held)
