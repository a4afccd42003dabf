from seaway_cli.backoff import Backoff


def test_first_crash_at_once_then_growing_waits() -> None:
    backoff = Backoff()
    waits = [backoff.after_crash(0.0) for _ in range(10)]
    assert waits == [0.0, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10.0, 10.0]


def test_a_long_life_forgives() -> None:
    backoff = Backoff()
    for _ in range(5):
        backoff.after_crash(1.9)
    assert backoff.after_crash(2.0) == 0.0
    assert backoff.after_crash(0.0) == 0.1


def test_waits_stay_bounded_for_ever() -> None:
    assert Backoff(crashes=10_000).after_crash(0.0) == 10.0
