from ipaddress import IPv4Address

import pytest

from seaway_agent.network.pool import QUIET, SandboxPool, refill_after
from seaway_agent.network.sandbox import Sandbox


@pytest.mark.parametrize(
    ("ready", "idle_for", "delay"),
    [(8, 99.0, None), (9, 99.0, None), (7, 0.0, QUIET), (7, QUIET, 0.0), (2, 0.0, QUIET), (1, 0.0, 0.0), (0, 0.0, 0.0)],
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
    two, three = (Sandbox(-1, IPv4Address(f"10.0.0.{n}")) for n in (2, 3))
    pool.put(two)
    pool.put(three)
    assert pool.take_address(IPv4Address("10.0.0.3")) is three
    assert pool.take_address(IPv4Address("10.0.0.3")) is None
    assert pool.take() is two


def test_a_pool_of_nothing_is_always_full() -> None:
    assert SandboxPool(0, 2).low == 0
    assert refill_after(0, 0, 0, 99.0) is None
