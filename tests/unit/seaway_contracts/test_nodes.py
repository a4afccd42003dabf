"""What a container may come to use of a node."""

import pytest

from seaway_contracts.containers import DeviceRequest, Resources
from seaway_contracts.nodes import CORE, Capacity, Reservation, reservation, wanted

GIB = 1 << 30


@pytest.mark.parametrize(
    ("resources", "cpus", "memory"),
    [
        (Resources(), 0, 0),
        (Resources(nano_cpus=1_500_000_000, memory=GIB), 1_500_000_000, GIB),
        (Resources(cpu_quota=50_000), 500_000_000, 0),
        (Resources(cpu_quota=50_000, cpu_period=25_000), 2 * CORE, 0),
        (Resources(cpu_quota=-1), 0, 0),
        (Resources(nano_cpus=CORE, cpu_quota=10_000), CORE, 0),
        (Resources(memory=2 * GIB, memory_reservation=GIB), 0, GIB),
        (Resources(cpu_shares=2048), 0, 0),
        (Resources(memory=GIB, memory_reservation=-GIB), 0, GIB),
        (Resources(nano_cpus=-CORE, memory=-1), 0, 0),
    ],
)
def test_wanted_are_cpu_limit_and_memory_reservation_or_limit(resources: Resources, cpus: int, memory: int) -> None:
    assert wanted(resources) == Capacity(nano_cpus=cpus, memory=memory)


def test_negative_numbers_reserve_nothing() -> None:
    """Docker's API accepts them. They must not make room for other containers."""
    negative = Resources(
        nano_cpus=-CORE,
        memory_reservation=-GIB,
        cpu_reservation=-CORE,
        device_requests=(DeviceRequest(count=-2, capabilities=(("gpu",),)),),
    )
    assert reservation(negative) == Reservation()
    assert wanted(negative) == Capacity(nano_cpus=0, memory=0)
