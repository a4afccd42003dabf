import os
import signal
import time
from collections.abc import Iterator

import pytest

from seaway_cli.reactor import Reactor, SignalPipe
from seaway_testing.waiting import GUARD_S


@pytest.fixture
def reactor() -> Iterator[Reactor]:
    made = Reactor()
    yield made
    made.close()


def test_timers_fire_in_order(reactor: Reactor) -> None:
    fired: list[str] = []
    reactor.later(0.002, lambda: fired.append("late"))
    reactor.later(0.001, lambda: fired.append("early"))
    reactor.later(0.001, lambda: fired.append("early too"))
    deadline = time.monotonic() + GUARD_S
    while len(fired) < 3 and time.monotonic() < deadline:
        reactor.step()
    assert fired == ["early", "early too", "late"]


def test_action_may_forget_another_descriptor_of_the_same_step(reactor: Reactor) -> None:
    pipes = [os.pipe(), os.pipe()]
    called: list[int] = []

    def act(mine: int, other: int) -> None:
        called.append(mine)
        reactor.forget(pipes[other][0])

    for mine, other in ((0, 1), (1, 0)):
        reactor.on_readable(pipes[mine][0], lambda mine=mine, other=other: act(mine, other))
        os.write(pipes[mine][1], b"x")
    reactor.step()
    assert len(called) == 1
    for ours, theirs in pipes:
        os.close(ours)
        os.close(theirs)


def test_signals_become_readable(reactor: Reactor) -> None:
    before = signal.getsignal(signal.SIGTERM)
    pipe = SignalPipe()
    seen: list[signal.Signals] = []
    reactor.on_readable(pipe.fileno(), lambda: seen.extend(pipe.read()))
    os.kill(os.getpid(), signal.SIGTERM)
    reactor.step()
    reactor.forget(pipe.fileno())
    pipe.close()
    assert seen == [signal.SIGTERM]
    assert signal.getsignal(signal.SIGTERM) is before
