from typing import Any

import orjson

from seaway_api.seen import Seen, SeenContainers
from seaway_api.translate.inspect import inspect_json
from seaway_api.translate.listing import list_json
from seaway_contracts.containers import ContainerRecord, State
from seaway_testing import builders


def raw_of(**fields: Any) -> bytes:
    """A record's JSON, as a page of a list has it."""
    record = ContainerRecord(spec=builders.spec(**{"seed": 1} | fields.pop("spec", {})), node="n1", **fields)
    return record.model_dump_json(exclude_defaults=True).encode()


def test_what_has_not_changed_is_not_read_again() -> None:
    seen = SeenContainers()
    first = seen.of(raw_of(status=builders.status(State.RUNNING, seq=3)))
    assert seen.of(raw_of(status=builders.status(State.RUNNING, seq=3))) is first
    assert first.record.status.state is State.RUNNING
    assert first.line["State"] == "running"
    assert first.facts.state == "running"


def test_a_new_status_is_read() -> None:
    seen = SeenContainers()
    seen.of(raw_of(status=builders.status(State.RUNNING, seq=3)))
    assert seen.of(raw_of(status=builders.status(State.EXITED, seq=4))).record.status.state is State.EXITED


def test_a_new_spec_is_read() -> None:
    seen = SeenContainers()
    seen.of(raw_of(spec={"name": "old"}, status=builders.status(seq=3)))
    renamed = raw_of(spec={"name": "new"}, status=builders.status(seq=3), spec_seq=3)
    assert seen.of(renamed).line["Names"] == ["/new"]


def test_a_registration_without_a_status_is_read() -> None:
    assert SeenContainers().of(raw_of()).record.status.state is State.CREATED


def test_what_is_kept_is_bounded_and_each_is_kept_once() -> None:
    seen = SeenContainers(most=2)
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
        seen = Seen(record)
        for now_ns in (3 * 10**18, 4 * 10**18):
            assert orjson.loads(seen.line_json(now_ns)) == orjson.loads(orjson.dumps(list_json(record, now_ns=now_ns)))
            assert list(orjson.loads(seen.line_json(now_ns))) == list(list_json(record, now_ns=now_ns))
        assert orjson.loads(seen.inspected_json) == orjson.loads(orjson.dumps(inspect_json(record)))
