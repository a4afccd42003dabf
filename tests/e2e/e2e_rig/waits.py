"""Waiting for conditions instead of sleeping for luck."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def eventually(condition: Callable[[], T], what: str = "the condition", timeout: float = 10.0) -> T:
    """What `condition` gives as soon as it is true; raises TimeoutError with its last answer after `timeout` s."""
    deadline = time.monotonic() + timeout
    pause = 0.002
    while not (answer := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} did not come within {timeout:g} s; last answer: {answer!r}")
        time.sleep(pause)
        pause = min(pause * 1.5, 0.05)
    return answer
