from typing import Any

import orjson

from seaway_api.cache.record_cache import CachedContainer, RecordCache
from seaway_api.translate.inspect import inspect_json
from seaway_api.translate.listing import list_json
from seaway_contracts.commands import GONE
from seaway_contracts.containers import ContainerRecord, State
from seaway_testing import builders
from seaway_testing.clock import FakeClock


def raw_of(**fields: Any) -> bytes:
    """A record's JSON, as a page of a list has it."""
    record = ContainerRecord(spec=builders.spec(**{"seed": 1} | fields.pop("spec", {})), node="n1", **fields)
    return record.model_dump_json(exclude_defaults=True).encode()


def test_what_has_not_changed_is_not_read_again() -> None:
    seen = RecordCache()
    first = seen.of(raw_of(status=builders.status(State.RUNNING, seq=3)))
    assert seen.of(raw_of(status=builders.status(State.RUNNING, seq=3))) is first
    assert first.record.status.state is State.RUNNING
    assert first.line["State"] == "running"
    assert first.facts.state == "running"


def test_a_new_status_is_read() -> None:
    seen = RecordCache()
    seen.of(raw_of(status=builders.status(State.RUNNING, seq=3)))
    assert seen.of(raw_of(status=builders.status(State.EXITED, seq=4))).record.status.state is State.EXITED


def test_a_new_spec_is_read() -> None:
    seen = RecordCache()
    seen.of(raw_of(spec={"name": "old"}, status=builders.status(seq=3)))
    renamed = raw_of(spec={"name": "new"}, status=builders.status(seq=3), spec_seq=3)
    assert seen.of(renamed).line["Names"] == ["/new"]


def test_a_registration_without_a_status_is_read() -> None:
    assert RecordCache().of(raw_of()).record.status.state is State.CREATED


def test_what_is_kept_is_bounded_and_each_is_kept_once() -> None:
    seen = RecordCache(most=2)
    first, second, third = (raw_of(spec={"seed": seed}, status=builders.status(seq=3)) for seed in (1, 2, 3))
    later = raw_of(spec={"seed": 2}, status=builders.status(seq=4))
    kept = [seen.of(data) for data in (first, second, later)]
    assert seen.of(first) is kept[0]
    assert seen.of(later) is kept[2]
    seen.of(third)
    assert seen.of(later) is kept[2]
    assert seen.of(first) is not kept[0]
    assert len(seen._known) == len(seen._bytes) == 2


def test_json_that_is_kept_is_what_would_be_made_anew() -> None:
    labels = {"Status": "", "x": '"Status":""'}
    for state, run in ((State.CREATED, 0), (State.RUNNING, 1), (State.EXITED, 1)):
        status = builders.status(state, run=run, started_ns=10**18 * run, finished_ns=2 * 10**18 * run)
        record = ContainerRecord(spec=builders.spec(1, labels=labels), node="n1", status=status)
        seen = CachedContainer(record)
        for now_ns in (3 * 10**18, 4 * 10**18):
            assert orjson.loads(seen.line_json(now_ns)) == orjson.loads(orjson.dumps(list_json(record, now_ns=now_ns)))
            assert list(orjson.loads(seen.line_json(now_ns))) == list(list_json(record, now_ns=now_ns))
        assert orjson.loads(seen.inspected_json) == orjson.loads(orjson.dumps(inspect_json(record)))


def test_what_was_read_is_current_until_something_newer_is_heard() -> None:
    seen = RecordCache()
    known = seen.of(raw_of(spec={"name": "one"}, status=builders.status(seq=3)))
    for ref in ("one", known.record.id):
        assert seen.current(ref) is known
    assert seen.current("on") is None and seen.current(known.record.id[:12]) is None
    seen.heard(known.record.id, 3)
    assert seen.current("one") is known
    seen.heard(known.record.id, 4)
    assert seen.current("one") is None and seen.current(known.record.id) is None
    later = seen.of(raw_of(spec={"name": "one"}, status=builders.status(seq=4)))
    assert seen.current("one") is later


def test_an_answer_that_was_on_its_way_when_news_came_is_not_current() -> None:
    seen = RecordCache()
    identifier = builders.container_id(1)
    seen.heard(identifier, 4)
    seen.heard(identifier, 2)
    seen.of(raw_of(status=builders.status(seq=3)))
    assert seen.current(identifier) is None
    seen.of(raw_of(status=builders.status(seq=4)))
    assert seen.current(identifier) is not None


def test_what_was_read_long_ago_is_looked_at_again(clock: FakeClock) -> None:
    seen = RecordCache(now=clock.monotonic)
    data = raw_of(spec={"name": "one"}, status=builders.status(seq=3))
    known = seen.of(data)
    clock.advance(5)
    assert seen.current("one") is None
    assert seen.of(data) is known and seen.current("one") is known


def test_a_registration_is_never_current() -> None:
    seen = RecordCache()
    assert seen.current(seen.of(raw_of()).record.id) is None


def test_a_name_is_whose_it_was_last() -> None:
    seen = RecordCache()
    seen.of(raw_of(spec={"seed": 1, "name": "a"}, status=builders.status(seq=3)))
    seen.of(raw_of(spec={"seed": 1, "name": "b"}, status=builders.status(seq=4)))
    assert seen.current("a") is None
    other = seen.of(raw_of(spec={"seed": 2, "name": "a"}, status=builders.status(seq=1)))
    again = seen.of(raw_of(spec={"seed": 1, "name": "c"}, status=builders.status(seq=5)))
    assert (seen.current("a"), seen.current("b"), seen.current("c")) == (other, None, again)


def test_what_is_heard_is_bounded() -> None:
    seen = RecordCache()
    for seed in range(8200):
        seen.heard(builders.container_id(seed), 1)
    assert len(seen._heard) == 8192


def test_of_what_is_gone_nothing_is_kept() -> None:
    seen = RecordCache()
    known = seen.of(raw_of(spec={"name": "one"}, status=builders.status(seq=3)))
    seen.forget(known.record.id)
    seen.forget(known.record.id)
    assert seen.current("one") is None and not (seen._known or seen._bytes or seen._names)


def test_a_read_must_not_be_older_than_what_was_heard() -> None:
    seen = RecordCache()
    one, name = builders.container_id(1), builders.spec(1).name
    assert seen.basis(one) == seen.basis(name) == {}
    seen.of(raw_of(status=builders.status(State.RUNNING, seq=3)))
    assert seen.basis(one) == seen.basis(name) == {one: 3}, "another copy may not have yet what one has shown"
    seen.heard(one, 4)
    assert seen.basis(one) == seen.basis(name) == {one: 4}
    seen.forget(one)
    assert seen.basis(one) == {one: GONE}
