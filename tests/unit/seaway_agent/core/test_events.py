from seaway_agent.core.events import not_before

SECOND, DAY = 1_000_000_000, 86_400_000_000_000


def test_a_coarse_time_does_not_come_before_what_was_first() -> None:
    assert not_before(SECOND - 4_000_000, SECOND, DAY) == SECOND
    assert not_before(SECOND + 5, SECOND, DAY) == SECOND + 5


def test_where_the_clock_was_set_the_present_one_counts() -> None:
    assert not_before(5 * SECOND, DAY, 6 * SECOND) == 6 * SECOND
    assert not_before(5 * SECOND, DAY, DAY + SECOND) == DAY + SECOND
