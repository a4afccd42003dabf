"""Beats that no honest node sends."""

import pytest

from seaway_bus.plausible import MOST_BYTES, trouble_with
from seaway_contracts.nodes import Capacity, NodeFacts, Reservation
from seaway_testing.builders import beat

HUGE = 10**400
"""More than any float."""


@pytest.mark.parametrize(
    ("lie", "trouble"),
    [
        ({"interval_ns": HUGE}, "number"),
        ({"interval_ns": -1}, "number"),
        ({"interval_ns": 3_600_000_000_001}, "interval"),
        ({"running": -1}, "number"),
        ({"containers": 1 << 63}, "number"),
        ({"time_ns": -1}, "number"),
        ({"capacity": Capacity(nano_cpus=HUGE, memory=1)}, "number"),
        ({"free": Capacity(nano_cpus=1, memory=-1)}, "number"),
        ({"reserved": Reservation(memory=-1)}, "number"),
        ({"reserved": Reservation(devices={"x": -1})}, "number"),
        ({"reserved": Reservation(devices={f"x{number}": 1 for number in range(257)})}, "devices"),
        ({"facts": NodeFacts(devices={"x": HUGE})}, "number"),
        ({"facts": NodeFacts(devices={"x" * 257: 1})}, "word"),
        ({"facts": NodeFacts(labels={"x": "x" * MOST_BYTES})}, "facts"),
        ({"pressure": ("memory, as no node has any",)}, "runs out"),
        ({"pressure": ("memory",) * 9}, "runs out"),
        ({"epoch": "e" * 257}, "word"),
        ({"facts": NodeFacts(address="a" * 257)}, "word"),
        ({"facts": NodeFacts(address="elsewhere.example")}, "no IP address"),
    ],
)
def test_impossible_beats(lie: dict[str, object], trouble: str) -> None:
    assert trouble in trouble_with(beat("n1", **lie))


def test_possible_beats() -> None:
    assert trouble_with(beat("n1")) == ""
    most = (1 << 63) - 1
    large = Capacity(nano_cpus=most, memory=most)
    gpus = {"nvidia.com/gpu": 8}
    full = Reservation(memory=most, devices=gpus)
    pressed = beat(
        "n1",
        capacity=large,
        reserved=full,
        pressure=("disk", "memory"),
        facts=NodeFacts(devices=gpus, address="fd00::1"),
    )
    assert trouble_with(pressed) == ""
