"""Addresses: order, what is never given, and a reference model."""

from collections.abc import Callable
from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seaway_contracts.errors import Code, SeawayError
from seaway_contracts.networks import NetworkRecord, Pool
from seaway_metadata.kinds.addresses import AddressBook, check_asked, pool_size

NOBODY: Callable[[str], bool] = lambda address: False  # noqa: E731


def network(*pools: Pool) -> NetworkRecord:
    return NetworkRecord(id="ab" * 32, name="web", created_ns=1, pools=pools)


def test_one_after_the_other_and_from_the_beginning_at_the_end() -> None:
    book, net, taken = AddressBook(), network(Pool(subnet="10.1.0.0/29", gateway="10.1.0.1")), set[str]()
    given_ = [book.choose(net, 4, taken.__contains__) for _ in range(5)]
    assert given_ == ["10.1.0.2", "10.1.0.3", "10.1.0.4", "10.1.0.5", "10.1.0.6"]
    with pytest.raises(SeawayError, match="no available IPv4 addresses on this network's address pools: web"):
        book.choose(net, 4, taken.__contains__)
    book.settled(net.id, "10.1.0.3")
    assert book.choose(net, 4, taken.__contains__) == "10.1.0.3"


def test_range_gateway_and_auxiliary_addresses() -> None:
    pool = Pool(subnet="10.1.0.0/16", range="10.1.5.0/30", gateway="10.1.5.0", auxiliary={"router": "10.1.5.2"})
    book, net = AddressBook(), network(pool)
    assert [book.choose(net, 4, NOBODY) for _ in range(2)] == ["10.1.5.1", "10.1.5.3"]
    with pytest.raises(SeawayError) as caught:
        book.choose(net, 4, NOBODY)
    assert caught.value.code is Code.FORBIDDEN


def test_both_families_and_a_family_that_isn_t_there() -> None:
    book = AddressBook()
    both = network(Pool(subnet="10.1.0.0/24", gateway="10.1.0.1"), Pool(subnet="fd00:1::/64", gateway="fd00:1::1"))
    assert (book.choose(both, 4, NOBODY), book.choose(both, 6, NOBODY)) == ("10.1.0.2", "fd00:1::2")
    assert book.choose(network(Pool(subnet="10.1.0.0/24")), 6, NOBODY) == ""


def test_a_second_pool_of_a_family() -> None:
    book = AddressBook()
    net = network(Pool(subnet="10.1.0.0/30", gateway="10.1.0.1"), Pool(subnet="10.2.0.0/24", gateway="10.2.0.1"))
    assert [book.choose(net, 4, NOBODY) for _ in range(2)] == ["10.1.0.2", "10.2.0.2"]


@given(
    bits=st.integers(24, 30),
    steps=st.lists(st.tuples(st.booleans(), st.integers(0, 40)), max_size=80),
)
def test_never_the_same_twice_and_all_come_back(bits: int, steps: list[tuple[bool, int]]) -> None:
    """Against a set of addresses."""
    net = network(Pool(subnet=f"10.1.0.0/{bits}", gateway="10.1.0.1"))
    hosts = {str(one) for one in ip_network(f"10.1.0.0/{bits}").hosts()} - {"10.1.0.1"}
    book, held = AddressBook(), list[str]()
    for gives, place in steps:
        if not gives:
            if held:
                held.pop(place % len(held))
            continue
        if len(held) == len(hosts):
            with pytest.raises(SeawayError):
                book.choose(net, 4, held.__contains__)
            continue
        address = book.choose(net, 4, held.__contains__)
        assert address in hosts and address not in held
        held.append(address)
        book.settled(net.id, address)


def test_what_may_be_asked_for() -> None:
    pool = Pool(subnet="10.1.0.0/24", range="10.1.0.128/25", gateway="10.1.0.1", auxiliary={"x": "10.1.0.9"})
    net = network(pool)
    check_asked(net, "10.1.0.7")
    for address, code in (("10.2.0.7", Code.BAD_REQUEST), ("10.1.0.1", Code.FORBIDDEN), ("10.1.0.9", Code.FORBIDDEN)):
        with pytest.raises(SeawayError) as caught:
            check_asked(net, address)
        assert caught.value.code is code, address
    chosen = network(pool.model_copy(update={"subnet_asked": False}))
    with pytest.raises(SeawayError, match="only when connecting to networks with user configured subnets"):
        check_asked(chosen, "10.1.0.7")


@pytest.mark.parametrize(
    ("pool", "size"),
    [
        (Pool(subnet="10.1.0.0/29", gateway="10.1.0.1"), 5),
        (Pool(subnet="10.1.0.0/16", range="10.1.5.0/30", gateway="10.1.0.1", auxiliary={"a": "10.1.5.2"}), 3),
        (Pool(subnet="fd00::/64", gateway="fd00::1"), (1 << 64) - 2),
        (Pool(subnet="10.1.0.0/31"), 2),
    ],
)
def test_the_size_of_a_pool_is_what_it_gives(pool: Pool, size: int) -> None:
    assert pool_size(pool) == size
    if size < 100:
        book, net = AddressBook(), network(pool)
        version = ip_network(pool.subnet).version
        assert len({book.choose(net, version, NOBODY) for _ in range(size)}) == size
