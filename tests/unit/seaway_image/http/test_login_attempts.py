from seaway_image.http.login_attempts import FORGET_S, LONGEST_S, MOST_NAMES, LoginAttempts


def test_each_failure_waits_longer_up_to_a_bound() -> None:
    attempts = LoginAttempts()
    waits = [attempts.failed("ann", float(second)) for second in range(8)]
    assert waits == [0.5, 1.0, 2.0, 4.0, LONGEST_S, LONGEST_S, LONGEST_S, LONGEST_S]
    assert attempts.failed("bob", 8.0) == 0.5
    assert attempts.failed("ann", 8.0 + FORGET_S) == 0.5


def test_success_makes_up_for_failures() -> None:
    attempts = LoginAttempts()
    attempts.failed("ann", 0.0)
    attempts.succeeded("ann")
    attempts.succeeded("nobody")
    assert attempts.failed("ann", 1.0) == 0.5


def test_names_are_bounded() -> None:
    attempts = LoginAttempts()
    for number in range(MOST_NAMES + 1):
        attempts.failed(str(number), 0.0)
    assert attempts.failed("0", 0.0) == 0.5
    assert attempts.failed(str(MOST_NAMES), 0.0) == 1.0
