from seaway_agent.core.instructions import Answer, Instruction, Record, TearDown, Waiter, answers_of_records
from seaway_contracts.containers import ContainerStatus
from seaway_contracts.errors import not_modified

STATUS = ContainerStatus()


def answer(command: str) -> Answer:
    return Answer(Waiter(command), STATUS)


def record() -> Record:
    return Record(STATUS, ())


def test_an_answer_goes_with_the_record_that_it_follows() -> None:
    start, stop = answer("start"), answer("stop")
    done: list[Instruction] = [record(), TearDown(), start, record(), stop]
    assert answers_of_records(done) == [[start], [stop]]


def test_an_answer_before_all_records_goes_with_the_first() -> None:
    early, late = answer("early"), answer("late")
    assert answers_of_records([early, record(), late, record()]) == [[early, late], []]


def test_refusals_are_not_kept() -> None:
    assert answers_of_records([record(), Answer(Waiter("a"), STATUS, not_modified())]) == [[]]
    assert answers_of_records([answer("a")]) == []
