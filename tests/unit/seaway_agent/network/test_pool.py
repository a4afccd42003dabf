from ipaddress import IPv4Address

import pytest

from seaway_agent.network.driver import PluggedEndpoint
from seaway_agent.network.pool import IDLE_S, SandboxPool, SandboxPools, refill_after
from seaway_agent.network.port import DEFAULT_NETWORK, EndpointInfo, EndpointRequest
from seaway_agent.network.sandbox import Sandbox


def sandbox(address: str) -> Sandbox:
    endpoint = EndpointInfo(DEFAULT_NETWORK, "eth0", IPv4Address(address), 24, None, "02:42:00:00:00:01", "v1")
    return Sandbox(-1, (PluggedEndpoint(endpoint),))


@pytest.mark.parametrize(
    ("ready", "idle_for", "delay"),
    [
        (8, 99.0, None),
        (9, 99.0, None),
        (7, 0.0, IDLE_S),
        (7, IDLE_S, 0.0),
        (2, 0.0, IDLE_S),
        (1, 0.0, 0.0),
        (0, 0.0, 0.0),
    ],
)
def test_when_to_refill(ready: int, idle_for: float, delay: float | None) -> None:
    assert refill_after(8, 2, ready, idle_for) == delay


def test_first_built_first_taken() -> None:
    pool = SandboxPool(4, 1)
    assert pool.take() is None
    first, second = Sandbox(-1), Sandbox(-1)
    pool.put(first)
    pool.put(second)
    assert pool.take() is first
    assert pool.take() is second
    assert len(pool) == 0


def test_take_by_address() -> None:
    pool = SandboxPool(4, 1)
    two, three = (sandbox(f"10.0.0.{n}") for n in (2, 3))
    pool.put(two)
    pool.put(three)
    assert pool.take_address(IPv4Address("10.0.0.3")) is three
    assert pool.take_address(IPv4Address("10.0.0.3")) is None
    assert pool.take() is two


def test_a_pool_of_nothing_is_always_full() -> None:
    assert SandboxPool(0, 2).low == 0
    assert refill_after(0, 0, 0, 99.0) is None


ON_BRIDGE = EndpointRequest(DEFAULT_NETWORK)
FIXED = IPv4Address("10.0.0.2")


def pools() -> tuple[SandboxPools, Sandbox, Sandbox, list[str]]:
    """Pools with one sandbox each, and how often the thread was woken."""
    bridge, none, woken = SandboxPool(2, 1), SandboxPool(2, 1), list[str]()
    plugged, isolated = sandbox("10.0.0.2"), Sandbox(-1)
    bridge.put(plugged)
    none.put(isolated)
    return SandboxPools(bridge, none, lambda: woken.append("")), plugged, isolated, woken


def test_what_is_wholly_as_asked_for_is_taken_at_once() -> None:
    made, plugged, isolated, _ = pools()
    others = [EndpointRequest(DEFAULT_NETWORK, FIXED), EndpointRequest(DEFAULT_NETWORK, mac="x")]
    for other in (EndpointRequest("back"), *others):
        assert made.take([other]) is None
    assert made.take([ON_BRIDGE, EndpointRequest("back", FIXED)]) is None
    assert (made.take([ON_BRIDGE]), made.take([])) == (plugged, isolated)
    assert (made.take([ON_BRIDGE]), made.ready("bridge"), made.ready("none")) == (None, 0, 0)


def test_one_that_lacks_further_endpoints_is_taken_for_its_first() -> None:
    back = EndpointRequest("back", FIXED)
    made, plugged, isolated, _ = pools()
    released: list[Sandbox] = []
    assert made.take_partial([ON_BRIDGE, back], released.append) is plugged
    assert made.take_partial([back, ON_BRIDGE], released.append) is isolated
    assert made.take_partial([], released.append) is None
    assert released == []


def test_one_without_endpoints_is_taken_where_no_ready_endpoint_fits() -> None:
    for request in (EndpointRequest("back", FIXED), EndpointRequest(DEFAULT_NETWORK, gateway_priority=1)):
        made, _, isolated, _ = pools()
        assert made.take_partial([request], list[Sandbox]().append) is isolated


@pytest.mark.parametrize(("mac", "fits"), [(None, True), ("02:42:00:00:00:01", True), ("02:42:00:00:00:09", False)])
def test_one_with_the_fixed_address_is_taken_or_gives_it_back(mac: str | None, fits: bool) -> None:
    made, plugged, _, _ = pools()
    released: list[Sandbox] = []
    taken = made.take_partial([EndpointRequest(DEFAULT_NETWORK, FIXED, mac=mac)], released.append)
    assert (taken, released) == ((plugged, []) if fits else (None, [plugged]))
