"""Pools of networks, in Docker's order and words (tried with dockerd 26.1)."""

from ipaddress import IPv4Network, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seaway_contracts.errors import Code, SeawayError
from seaway_contracts.networks import NetworkRecord, Pool
from seaway_metadata.kinds.subnets import DEFAULT_POOLS, DefaultPool, complete, overlapping, parse_pool

ONE = "ab" * 32


def network(*pools: Pool, **changes: object) -> NetworkRecord:
    return NetworkRecord(id=ONE, name="web", created_ns=1, pools=pools, **changes)  # type: ignore[arg-type]


def of(*pools: Pool, taken: tuple[str, ...] = (), **changes: object) -> list[Pool]:
    return [*complete(network(*pools, **changes), [ip_network(one) for one in taken], DEFAULT_POOLS)]


def refusal(*pools: Pool, taken: tuple[str, ...] = ()) -> tuple[Code, str]:
    with pytest.raises(SeawayError) as caught:
        of(*pools, taken=taken)
    return caught.value.code, caught.value.message


def test_the_first_default_pool_that_is_free() -> None:
    (pool,) = of(taken=("172.17.0.0/16", "172.18.5.0/24", "0.0.0.0/0"))
    assert (pool.subnet, pool.gateway) == ("172.19.0.0/16", "172.19.0.1")
    assert not pool.subnet_asked and pool.gateway_asked, "inspect shows both"


def test_behind_docker_s_large_pools_come_small_ones() -> None:
    (pool,) = of(taken=("172.16.0.0/12",))
    assert pool.subnet == "192.168.0.0/20"
    with pytest.raises(SeawayError, match="could not find an available, non-overlapping IPv4 address pool"):
        of(taken=("172.16.0.0/12", "192.168.0.0/16"))


@pytest.mark.parametrize(
    ("pool", "gateway"),
    [
        (Pool(subnet="10.2.0.0/16"), "10.2.0.1"),
        (Pool(subnet="10.1.0.0/16", range="10.1.5.0/24"), "10.1.5.0"),
        (Pool(subnet="10.20.0.0/24", gateway="10.20.0.9"), "10.20.0.9"),
        (Pool(subnet="10.4.0.0/31"), "10.4.0.0"),
        (Pool(subnet="fd00:1::/64"), "fd00:1::1"),
    ],
)
def test_gateways(pool: Pool, gateway: str) -> None:
    done = of(pool)[0]
    assert (done.subnet, done.gateway, done.subnet_asked) == (pool.subnet, gateway, True)
    assert done.gateway_asked == bool(pool.gateway)


def test_every_network_has_ipv4_addresses_and_one_with_ipv6_gets_unique_local_ones() -> None:
    assert [pool.subnet for pool in of(Pool(subnet="fd00:1::/64"))] == ["fd00:1::/64", "172.17.0.0/16"]
    four, six = of(ipv6=True)
    assert four.subnet == "172.17.0.0/16" and ip_network(six.subnet).prefixlen == 64
    assert ip_network(six.subnet).subnet_of(ip_network("fd00::/8"))  # type: ignore[arg-type]
    assert of(config_only=True) == []


@pytest.mark.parametrize(
    ("pools", "code", "text"),
    [
        ((Pool(subnet="10.3.0.5/24"),), Code.BAD_REQUEST, "invalid subnet 10.3.0.5/24: it should be 10.3.0.0/24"),
        ((Pool(subnet="x"),), Code.BAD_REQUEST, "invalid subnet x"),
        ((Pool(subnet="127.1.0.0/24"),), Code.BAD_REQUEST, "loopback and multicast addresses are not for containers"),
        ((Pool(subnet="ff05::/64"),), Code.BAD_REQUEST, "loopback and multicast addresses are not for containers"),
        ((Pool(subnet="0.0.0.0/0"),), Code.FORBIDDEN, "Pool overlaps with other one on this address space"),
        ((Pool(subnet="10.9.0.0/24"), Pool(subnet="10.9.0.128/25")), Code.FORBIDDEN, "Pool overlaps"),
        (
            (Pool(subnet="10.7.0.0/24", gateway="10.8.0.1"),),
            Code.BAD_REQUEST,
            "no matching subnet for gateway 10.8.0.1",
        ),
        (
            (Pool(subnet="10.7.0.0/24", range="10.8.0.0/25"),),
            Code.BAD_REQUEST,
            "no matching subnet for range 10.8.0.0/25",
        ),
        (
            (Pool(subnet="10.7.0.0/24", auxiliary={"x": "10.8.0.1"}),),
            Code.BAD_REQUEST,
            "no matching subnet for aux-address 10.8.0.1",
        ),
        (
            (Pool(subnet="10.9.0.0/24", auxiliary={"x": "10.9.0.1"}),),
            Code.FORBIDDEN,
            "failed to allocate secondary ip address (x:10.9.0.1): Address already in use",
        ),
        ((Pool(subnet="10.9.0.0/24", gateway="x"),), Code.BAD_REQUEST, "invalid gateway x"),
        ((Pool(subnet="10.9.0.0/24", range="x"),), Code.BAD_REQUEST, "invalid ip-range x"),
    ],
)
def test_what_is_refused(pools: tuple[Pool, ...], code: Code, text: str) -> None:
    found, said = refusal(*pools)
    assert found is code and text in said


def test_a_subnet_that_somebody_has() -> None:
    assert refusal(Pool(subnet="10.2.5.0/24"), taken=("10.2.0.0/16",))[0] is Code.FORBIDDEN
    assert refusal(Pool(subnet="10.0.0.0/8"), taken=("10.2.0.0/16",))[0] is Code.FORBIDDEN
    assert of(Pool(subnet="10.3.0.0/16"), taken=("10.2.0.0/16", "fd00::/8"))


@given(taken=st.lists(st.tuples(st.integers(0, 2**32 - 1), st.integers(8, 30)), max_size=12))
def test_nothing_that_is_chosen_overlaps(taken: list[tuple[int, int]]) -> None:
    subnets = [ip_network((number, bits), strict=False) for number, bits in taken]
    try:
        pools = complete(network(), subnets, DEFAULT_POOLS)
    except SeawayError:
        return
    subnet = ip_network(pools[0].subnet)
    assert overlapping(subnet, subnets) is None and ip_address(pools[0].gateway) in subnet


def test_default_pools_as_dockerd_takes_them() -> None:
    pool = parse_pool("base=10.10.0.0/16,size=24")
    assert str(pool.first_free([])) == "10.10.0.0/24"
    (first,) = complete(network(), [ip_network("10.10.0.0/24")], [pool])
    assert first.subnet == "10.10.1.0/24"


def test_an_ipv6_pool_that_is_configured_goes_before_unique_local_addresses() -> None:
    defaults = [parse_pool("base=10.10.0.0/16,size=24"), parse_pool("base=fd00:9::/48,size=64")]
    pools = complete(network(ipv6=True), [ip_network("fd00:9::/64")], defaults)
    assert [pool.subnet for pool in pools] == ["10.10.0.0/24", "fd00:9:0:1::/64"]


@given(
    taken=st.lists(st.tuples(st.integers(0, 2**16 - 1), st.integers(16, 32)), max_size=40),
    size=st.integers(16, 26),
)
def test_the_first_part_of_a_pool_that_is_free(taken: list[tuple[int, int]], size: int) -> None:
    """The same as of a look at each part."""
    base = IPv4Network("10.9.0.0/16")
    subnets = [ip_network((int(base.network_address) + number, bits), strict=False) for number, bits in taken]
    parts = (part for part in base.subnets(new_prefix=size) if overlapping(part, subnets) is None)
    assert DefaultPool(base, size).first_free(subnets) == next(parts, None)


def test_pools_with_very_many_parts_are_not_looked_at_one_by_one() -> None:
    """An IPv6 pool ahead of those of IPv4, and one of which the first half is taken."""
    defaults = [parse_pool("base=fd00::/16,size=64"), *DEFAULT_POOLS]
    assert complete(network(), [], defaults)[0].subnet == "172.17.0.0/16"
    six = complete(network(ipv6=True), [ip_network("fd00::/17")], defaults)[1]
    assert six.subnet == "fd00:8000::/64"


@pytest.mark.parametrize(
    "text", ["", "10.0.0.0/8", "base=10.0.0.0/8", "base=x,size=24", "base=10.0.0.0/8,size=4", "base=10.0.0.0/8,size=40"]
)
def test_what_is_no_default_pool(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse_pool(text)
