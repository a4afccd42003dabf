"""The index: finding and listing."""

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seaway_contracts.containers import ContainerRecord, State
from seaway_contracts.errors import SeawayError
from seaway_contracts.records import ContainerList, page_lines
from seaway_metadata.kinds.containers import CONTAINERS, runs
from seaway_metadata.store.index import Index
from seaway_testing.builders import container_id, record, spec, status

ROOM = 1 << 20


def index_of(records: Iterable[ContainerRecord]) -> Index[ContainerRecord]:
    index = Index(CONTAINERS)
    for one in records:
        index.put(one)
    return index


def pages(index: Index[ContainerRecord], room: int) -> list[ContainerList]:
    found, after = [], ""
    while True:
        data = index.page(after, room)
        page = ContainerList.model_validate_json(data)
        lines = page_lines(data)
        assert lines is not None
        assert ([ContainerRecord.model_validate_json(line) for line in lines[0]], lines[1]) == (
            list(page.containers),
            page.next,
        )
        assert len(data) <= room or len(page.containers) == 1
        found.append(page)
        after = page.next
        if not after:
            return found


def test_find_by_id_name_and_prefix() -> None:
    index = index_of(record(seed) for seed in range(50))
    for seed in range(50):
        for ref in (container_id(seed), f"box{seed}", f"/box{seed}", container_id(seed)[:12]):
            assert index.find(ref).id == container_id(seed)


def test_a_name_goes_before_a_prefix() -> None:
    prefix = container_id(1)[:6]
    named = ContainerRecord(spec=spec(2, name=prefix), node="n1")
    assert index_of([record(1), named]).find(prefix).id == container_id(2)


def test_not_found_and_ambiguous() -> None:
    first, second = (ContainerRecord(spec=spec(s, id="ab" + container_id(s)[2:]), node="n1") for s in (1, 2))
    index = index_of([first, second])
    with pytest.raises(SeawayError, match="Multiple IDs found with provided prefix: ab") as caught:
        index.find("ab")
    assert caught.value.status == 400
    for ref in ("", "zz", "/", "nobody", container_id(9), "ab" * 33):
        with pytest.raises(SeawayError, match=f"No such container: {ref}") as caught:
            index.find(ref)
        assert caught.value.status == 404


def test_json_is_the_record() -> None:
    one = record(1, state=State.RUNNING, seq=4)
    index = index_of([one])
    assert ContainerRecord.model_validate_json(index.json(one.id)) == one
    newer = one.model_copy(update={"status": status(State.EXITED, 5, exit_code=1)})
    index.put(newer)
    assert ContainerRecord.model_validate_json(index.json(one.id)) == newer


def test_remove_frees_the_name() -> None:
    index = index_of([record(1)])
    assert index.remove(container_id(1)) == record(1)
    assert index.remove(container_id(1)) is None
    index.put(ContainerRecord(spec=spec(2, name="box1"), node="n1"))
    assert index.find("box1").id == container_id(2)
    assert len(index) == 1


def test_a_second_holder_of_a_name_does_not_take_it() -> None:
    index = index_of([record(1), ContainerRecord(spec=spec(2, name="box1"), node="n1")])
    assert index.find("box1").id == container_id(1)
    index.remove(container_id(2))
    assert index.find("box1").id == container_id(1)


def test_pages_are_newest_first_and_bounded() -> None:
    index = index_of(record(seed) for seed in range(100))
    size = len(index.json(container_id(1)))
    found = pages(index, 10 * size)
    assert len(found) > 9
    listed = [one.id for page in found for one in page.containers]
    assert listed == [container_id(seed) for seed in reversed(range(100))]
    assert len(pages(index, ROOM)) == 1


def test_pages_of_many_records_are_bounded_with_what_stands_between_them() -> None:
    index = index_of(record(seed) for seed in range(600))
    size = len(record(1).model_dump_json(exclude_defaults=True))
    assert len(pages(index, 500 * size)) == 2


def test_a_record_larger_than_a_page_stands_alone() -> None:
    index = index_of([record(1), record(2), record(3)])
    assert [len(page.containers) for page in pages(index, 10)] == [1, 1, 1]


def test_an_empty_listing() -> None:
    assert pages(Index(CONTAINERS), ROOM) == [ContainerList()]


def test_running_only() -> None:
    states = [State.RUNNING, State.EXITED, State.PAUSED, State.CREATED, State.RESTARTING, State.DEAD]
    index = index_of(record(seed, state=state) for seed, state in enumerate(states))
    page = ContainerList.model_validate_json(index.page("", ROOM, runs))
    assert [one.id for one in page.containers] == [container_id(seed) for seed in (4, 2, 0)]


def test_a_wrong_place_is_refused() -> None:
    with pytest.raises(SeawayError) as caught:
        Index(CONTAINERS).page("nonsense", ROOM)
    assert caught.value.status == 400


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 9), st.integers(1, 5))), st.integers(100, 5000))
def test_index_agrees_with_a_plain_dict(steps: list[tuple[bool, int, int]], room: int) -> None:
    index, plain = Index(CONTAINERS), dict[str, ContainerRecord]()
    for add, seed, seq in steps:
        if add:
            plain[container_id(seed)] = record(seed, seq=seq)
            index.put(plain[container_id(seed)])
        else:
            plain.pop(container_id(seed), None)
            index.remove(container_id(seed))
    listed = [one for page in pages(index, room) for one in page.containers]
    assert {one.id: one for one in listed} == plain
    assert [one.spec.created_ns for one in listed] == sorted((o.spec.created_ns for o in listed), reverse=True)
    for identifier, one in plain.items():
        assert index.find(identifier) == index.find(one.spec.name) == one


def test_a_page_stays_right_while_records_come_and_go() -> None:
    index = index_of(record(seed) for seed in range(0, 40, 2))
    first = ContainerList.model_validate_json(index.page("", 3000))
    index.put(record(41))
    index.remove(first.containers[-1].id)
    index.remove(container_id(2))
    rest = ContainerList.model_validate_json(index.page(first.next, ROOM))
    expected = [s for s in reversed(range(0, 40, 2)) if s != 2][len(first.containers) :]
    assert [one.id for one in rest.containers] == [container_id(seed) for seed in expected]


def test_lines_of_pages_that_are_written_otherwise() -> None:
    page = ContainerList(containers=(record(1),)).model_dump_json().encode()
    assert page_lines(page) is None
    assert page_lines(b"{}") is None


def test_a_page_is_made_once_until_something_changes() -> None:
    index = index_of(record(seed) for seed in range(3))
    first = index.page("", ROOM)
    assert index.page("", ROOM) is first
    assert index.page("", ROOM, runs) != first
    index.put(record(1, state=State.RUNNING, seq=5))
    changed = ContainerList.model_validate_json(index.page("", ROOM))
    assert [one.status.state for one in changed.containers if one.id == container_id(1)] == [State.RUNNING]
    index.remove(container_id(1))
    assert len(ContainerList.model_validate_json(index.page("", ROOM)).containers) == 2
    for number in range(100):
        index.page(f"{number}-x", ROOM)
    assert len(index._pages) == 64
