import threading
from functools import partial

import pytest

from seaway_agent.network.thread import NetworkThread


def test_jobs_run_in_order_in_one_other_thread() -> None:
    thread = NetworkThread("test-network", lambda: None)
    try:
        seen: list[int] = []

        def note(number: int) -> int:
            seen.append(number)
            return threading.get_ident()

        futures = [thread.submit(partial(note, number)) for number in range(20)]
        idents = {future.result(5) for future in futures}
    finally:
        thread.stop()
    assert seen == list(range(20))
    assert len(idents) == 1
    assert threading.get_ident() not in idents


def test_a_job_that_fails_gives_its_error_and_the_thread_goes_on() -> None:
    thread = NetworkThread("test-network", lambda: None)
    try:
        with pytest.raises(ZeroDivisionError):
            thread.submit(lambda: 1 // 0).result(5)
        assert thread.submit(lambda: 7).result(5) == 7
    finally:
        thread.stop()


def test_idle_work_is_repeated_while_it_asks_for_it_and_then_waits_for_a_poke() -> None:
    calls: list[int] = []
    done = threading.Event()

    def idle() -> float | None:
        calls.append(1)
        if len(calls) % 3:
            return 0.0
        done.set()
        return None

    thread = NetworkThread("test-network", idle)
    try:
        thread.wake()
        assert done.wait(5)
        assert len(calls) == 3
        done.clear()
        thread.wake()
        assert done.wait(5)
        assert len(calls) == 6
    finally:
        thread.stop()


def test_stop_finishes_what_was_submitted_and_ends_the_thread() -> None:
    thread = NetworkThread("test-network-ending", lambda: None)
    future = thread.submit(lambda: 7)
    thread.stop()
    assert future.result(0) == 7
    assert "test-network-ending" not in {t.name for t in threading.enumerate()}
