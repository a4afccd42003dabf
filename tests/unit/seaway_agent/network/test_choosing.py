import threading

from seaway_agent.network.choosing import one_at_a_time
from seaway_testing.waiting import GUARD_S


def test_the_second_waits_for_the_first() -> None:
    order: list[str] = []
    started = threading.Event()

    def second() -> None:
        started.set()
        with one_at_a_time():
            order.append("second")

    with one_at_a_time():
        other = threading.Thread(target=second)
        other.start()
        started.wait()
        order.append("first")
    other.join(GUARD_S)
    assert order == ["first", "second"]


def test_nobody_is_waited_for_without_end() -> None:
    with one_at_a_time(), one_at_a_time(wait_s=0.02):
        pass
