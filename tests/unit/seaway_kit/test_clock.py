import time

from seaway_kit.clock import Clock, SystemClock


def test_system_clock() -> None:
    clock: Clock = SystemClock()
    assert abs(clock.now_ns() - time.time_ns()) < 10**9
    assert clock.monotonic() <= clock.monotonic()
