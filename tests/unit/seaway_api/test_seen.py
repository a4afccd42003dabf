from typing import Any

import orjson

from seaway_api.seen import SeenContainers
from seaway_contracts.containers import ContainerRecord, State
from seaway_testing import builders


def raw_of(**fields: Any) -> Any:
    """A record's JSON, as a page of a list has it."""
    record = ContainerRecord(spec=builders.spec(1, **fields.pop("spec", {})), node="n1", **fields)
    return orjson.loads(record.model_dump_json(exclude_defaults=True))


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
