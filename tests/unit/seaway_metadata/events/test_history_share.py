"""A node's allowance: a burst at once, then so many bytes a second."""

from hypothesis import given
from hypothesis import strategies as st

from seaway_metadata.events.history_share import Allowance

RATE, BURST = 100, 1000


def test_a_burst_is_free_and_what_comes_after_it_waits() -> None:
    allowance = Allowance(RATE, BURST)
    assert allowance.take(BURST, 0.0) == 0.0
    assert allowance.take(50, 0.0) == 0.5
    assert allowance.take(50, 0.5) == 0.5, "what was waited for has been used"
    assert allowance.take(0, 1.0) == 0.0


def test_what_is_not_used_comes_back_up_to_a_burst() -> None:
    allowance = Allowance(RATE, BURST)
    allowance.take(BURST, 0.0)
    assert allowance.take(BURST, 1000.0) == 0.0
    assert allowance.take(1, 1000.0) > 0.0


requests = st.lists(st.tuples(st.integers(0, 3 * BURST), st.floats(0, 30)), min_size=1, max_size=30)


@given(requests)
def test_no_stretch_of_time_has_more_than_a_burst_and_the_rate(sizes_and_pauses: list[tuple[int, float]]) -> None:
    """Each request follows the end of the one before it, as a node has one in hand at a time."""
    allowance, now = Allowance(RATE, BURST), 0.0
    used: list[tuple[float, float, int]] = []
    for size, pause in sizes_and_pauses:
        asked = now + pause
        now = asked + allowance.take(size, asked)
        used.append((asked, now, size))
    for first, (since, _, _) in enumerate(used):
        total = 0
        for _, until, size in used[first:]:
            total += size
            assert total <= BURST + RATE * (until - since) + 1e-6


@given(requests)
def test_nobody_waits_without_need(sizes_and_pauses: list[tuple[int, float]]) -> None:
    """Whoever waits has nothing left when the wait is over, and has not been given more."""
    allowance, now = Allowance(RATE, BURST), 0.0
    left = float(BURST)
    for size, pause in sizes_and_pauses:
        left = min(BURST, left + pause * RATE) - size
        wait = allowance.take(size, now + pause)
        assert abs(wait - max(0.0, -left / RATE)) < 1e-6
        now += pause + wait
        left = max(0.0, left)
