import threading

from seaway_agent.network.subnet_lock import subnet_lock
from seaway_testing.waiting import GUARD_S


def test_the_second_waits_for_the_first() -> None:
    order: list[str] = []
    started = threading.Event()

    def second() -> None:
        started.set()
        with subnet_lock():
            order.append("second")

    with subnet_lock():
        other = threading.Thread(target=second)
        other.start()
        started.wait()
        order.append("first")
    other.join(GUARD_S)
    assert order == ["first", "second"]


def test_the_wait_is_limited() -> None:
    with subnet_lock(), subnet_lock(wait_s=0.02):
        pass
