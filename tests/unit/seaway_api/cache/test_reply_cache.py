"""Nobody is shown less than this process has been answered."""

from seaway_api.cache.reply_cache import RecordBasis, ReplyCache
from seaway_contracts.containers import State
from seaway_contracts.records import GONE
from seaway_testing.builders import container_id, record, status
from seaway_testing.clock import FakeClock

ONE, TWO = container_id(1), container_id(2)


def unheard(identifier: str, seq: int) -> None:
    """Nobody keeps what was read before."""


def test_an_answer_is_newer_than_a_record_that_lags() -> None:
    answers = ReplyCache(unheard)
    answers.add(ONE, status(State.RUNNING, 3))
    assert answers.newest(record(1, seq=2)).status == status(State.RUNNING, 3)
    assert answers.newest(record(2, seq=2)) == record(2, seq=2)
    assert answers.newest(record(1, seq=4)) == record(1, seq=4)
    assert answers.newest(record(1, seq=2)) == record(1, seq=2), "the records had it, so it is forgotten"


def test_reads_tell_for_a_moment_what_they_must_not_be_older_than() -> None:
    clock = FakeClock()
    answers = ReplyCache(unheard, clock.monotonic)
    clock.advance(100)
    answers.add(ONE, status(State.RUNNING, 3))
    clock.advance(1)
    answers.add(TWO, status(State.RUNNING, 5))
    answers.removed(TWO)
    assert answers.basis() == answers.basis("box1") == {ONE: 3, TWO: GONE}
    assert (answers.basis(ONE), answers.basis(container_id(3))) == ({ONE: 3}, {})
    clock.advance(14.5)
    assert answers.basis() == {TWO: GONE}
    clock.advance(1)
    assert answers.basis() == answers.basis(ONE) == {}


def test_nobody_is_to_know_a_container_whose_end_was_heard_of() -> None:
    answers = ReplyCache(unheard)
    answers.add(ONE, status(seq=1))
    answers.forget(ONE)
    answers.forget(TWO)
    assert answers.basis() == {ONE: GONE}


def test_a_status_that_is_answered_behind_the_end_doesn_t_bring_the_container_back() -> None:
    answers = ReplyCache(unheard)
    answers.add(ONE, status(State.RUNNING, 3))
    for gone in (answers.forget, answers.removed):
        gone(ONE)
        answers.add(ONE, status(State.EXITED, 4))
        assert answers.basis() == {ONE: GONE}
        assert answers.newest(record(1, seq=2)) == record(1, seq=2)
    answers.forget(TWO)
    answers.add(TWO, status(State.EXITED, 4))
    assert answers.basis() == {ONE: GONE}


def test_what_is_told_is_bounded() -> None:
    answers = ReplyCache(unheard)
    for seed in range(200):
        answers.add(container_id(seed), status(seq=1))
    assert answers.basis() == {container_id(seed): 1 for seed in range(136, 200)}


def test_who_keeps_what_was_read_hears_of_answers() -> None:
    heard: list[tuple[str, int]] = []
    answers = ReplyCache(lambda identifier, seq: heard.append((identifier, seq)))
    answers.add(ONE, status(State.RUNNING, 3))
    answers.removed(TWO)
    assert heard == [(ONE, 3), (TWO, GONE)]


def test_networks_that_reads_must_show_or_not() -> None:
    clock = FakeClock()
    networks = RecordBasis(clock.monotonic)
    clock.advance(100)
    networks.made("one")
    clock.advance(1)
    networks.removed("two")
    networks.made("two")
    assert networks.basis() == {"one": 1, "two": GONE}, "an event may come late"
    clock.advance(14.5)
    assert networks.basis() == {"two": GONE}
    clock.advance(1)
    assert networks.basis() == {}


def test_only_the_networks_of_late_are_told() -> None:
    networks = RecordBasis(FakeClock(100).monotonic)
    for number in range(70):
        networks.made(str(number))
    assert list(networks.basis()) == [str(number) for number in range(6, 70)]
