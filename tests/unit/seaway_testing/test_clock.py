"""The clock that moves only when told to."""

from seaway_testing.clock import FakeClock


def test_both_clocks_move_together() -> None:
    clock = FakeClock(start_ns=10)
    clock.advance(1.5)
    assert (clock.now_ns(), clock.monotonic()) == (1_500_000_010, 1.5)
    clock.set_wall(3)
    assert (clock.now_ns(), clock.monotonic()) == (3, 1.5)
