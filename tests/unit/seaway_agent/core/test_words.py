from seaway_agent.core.words import not_before

SECOND, DAY = 1_000_000_000, 86_400_000_000_000


def test_a_coarse_time_does_not_come_before_what_was_first() -> None:
    assert not_before(SECOND - 4_000_000, SECOND) == SECOND
    assert not_before(SECOND + 5, SECOND) == SECOND + 5


def test_a_clock_that_was_set_back_is_believed() -> None:
    assert not_before(5 * SECOND, DAY) == 5 * SECOND
