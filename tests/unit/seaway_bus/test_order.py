"""An event that was left out shows by the number of the next."""

from seaway_bus.order import Order
from seaway_contracts.lifecycle import Envelope
from seaway_testing.builders import container_event, status


def event(seq: int, seed: int = 1) -> Envelope:
    return container_event("status", status(seq=seq), seed=seed)[0]


def test_each_container_has_its_own_order() -> None:
    order = Order()
    assert not order.skips(event(5)), "what was before is not known"
    order.note(event(5))
    assert [order.skips(event(seq)) for seq in (4, 5, 6, 7)] == [False, False, False, True]
    assert not order.skips(event(7, seed=2))
    order.note(event(3))
    assert not order.skips(event(6)), "what comes late changes nothing"


def test_other_things_have_no_order_without_gaps() -> None:
    order = Order()
    image = Envelope("id", "n1", "image", "tag", "image-1", 0, seq=1)
    order.note(image)
    assert not order.skips(Envelope("id", "n1", "image", "tag", "image-1", 0, seq=9))


def test_it_is_bounded() -> None:
    order = Order()
    for seed in range(1 << 14):
        order.note(event(1, seed))
    assert order.skips(event(3, 0))
    order.note(event(1, 1 << 14))
    assert not order.skips(event(3, 0))
