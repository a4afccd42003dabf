"""What nodes have said of execs that ended."""

from seaway_api.cache.execs import EndedExecs
from seaway_contracts.execs import ExecInfo, ExecSpec, ExecState, ExecStatus, exec_id
from seaway_testing.builders import container_id
from seaway_testing.clock import FakeClock

BOX = container_id(1)
ONE, TWO = exec_id(BOX, "1" * 32), exec_id(BOX, "2" * 32)


def told(identifier: str, state: ExecState = ExecState.ENDED) -> bytes:
    info = ExecInfo(
        container=BOX, spec=ExecSpec(id=identifier, args=("true",)), status=ExecStatus(state=state, exit_code=3)
    )
    return info.model_dump_json().encode()


def test_what_has_ended_is_told_once() -> None:
    execs = EndedExecs()
    execs.add(ONE, told(ONE))
    info = execs.info(ONE)
    assert info is not None and info.status.exit_code == 3
    assert execs.info(ONE) is None and execs.info(TWO) is None


def test_it_is_gone_with_its_container() -> None:
    execs = EndedExecs()
    other = exec_id(container_id(2), "3" * 32)
    for identifier in (ONE, TWO, other):
        execs.add(identifier, told(identifier))
    execs.forget(BOX[:32])
    assert (execs.info(ONE), execs.info(TWO)) == (None, None) and execs.info(other) is not None


def test_what_was_told_long_ago_is_asked_for(clock: FakeClock) -> None:
    execs = EndedExecs(clock.monotonic)
    execs.add(ONE, told(ONE))
    clock.advance(61)
    assert execs.info(ONE) is None


def test_what_makes_no_sense_is_asked_for() -> None:
    execs = EndedExecs()
    for words in (b"{", told(TWO), told(ONE, ExecState.RUNNING)):
        execs.add(ONE, words)
        assert execs.info(ONE) is None


def test_no_more_are_kept_than_nodes_keep() -> None:
    execs = EndedExecs()
    for number in range(1001):
        identifier = exec_id(BOX, f"{number:032x}")
        execs.add(identifier, told(identifier))
    assert execs.info(exec_id(BOX, f"{0:032x}")) is None and execs.info(exec_id(BOX, f"{1:032x}")) is not None
