from dataclasses import replace
from typing import Any

import orjson

from seaway_api.cache.containers import CONTAINERS, CachedContainer
from seaway_api.cache.record_cache import Kind, RecordCache
from seaway_api.translate.inspect import inspect_json
from seaway_api.translate.listing import list_json
from seaway_api.translate.networking import EndpointForm
from seaway_api.translate.nodes import NodeView
from seaway_contracts.containers import ContainerRecord, PublishedPort, State
from seaway_contracts.lifecycle import Envelope
from seaway_contracts.records import GONE
from seaway_testing import builders
from seaway_testing.clock import FakeClock

FORM = EndpointForm.SINCE_1_45
NODE = NodeView("n1")
PORT = PublishedPort(container_port=80, protocol="tcp", host_ip="0.0.0.0", host_port=8080)


def raw_of(**fields: Any) -> bytes:
    """A record's JSON, as a page of a list has it."""
    record = ContainerRecord(spec=builders.spec(**{"seed": 1} | fields.pop("spec", {})), node="n1", **fields)
    return record.model_dump_json(exclude_defaults=True).encode()


def test_what_has_not_changed_is_not_read_again() -> None:
    cache = RecordCache(CONTAINERS)
    first = cache.of(raw_of(status=builders.status(State.RUNNING, seq=3)))
    assert cache.of(raw_of(status=builders.status(State.RUNNING, seq=3))) is first
    assert first.record.status.state is State.RUNNING
    assert first.line(FORM, NODE)["State"] == "running"
    assert first.facts.state == "running"


def test_a_new_status_is_read() -> None:
    cache = RecordCache(CONTAINERS)
    cache.of(raw_of(status=builders.status(State.RUNNING, seq=3)))
    assert cache.of(raw_of(status=builders.status(State.EXITED, seq=4))).record.status.state is State.EXITED


def test_a_new_spec_is_read() -> None:
    cache = RecordCache(CONTAINERS)
    cache.of(raw_of(spec={"name": "old"}, status=builders.status(seq=3)))
    renamed = raw_of(spec={"name": "new"}, status=builders.status(seq=3), spec_seq=3)
    assert cache.of(renamed).line(FORM, NODE)["Names"] == ["/new"]


def test_a_registration_without_a_status_is_read() -> None:
    assert RecordCache(CONTAINERS).of(raw_of()).record.status.state is State.CREATED


def test_what_is_kept_is_bounded_and_each_is_kept_once() -> None:
    cache = RecordCache(CONTAINERS, most=2)
    first, second, third = (raw_of(spec={"seed": seed}, status=builders.status(seq=3)) for seed in (1, 2, 3))
    later = raw_of(spec={"seed": 2}, status=builders.status(seq=4))
    kept = [cache.of(data) for data in (first, second, later)]
    assert cache.of(first) is kept[0]
    assert cache.of(later) is kept[2]
    cache.of(third)
    assert cache.of(later) is kept[2]
    assert cache.of(first) is not kept[0]
    assert len(cache._known) == len(cache._bytes) == 2


def test_json_that_is_kept_is_what_would_be_made_anew() -> None:
    labels = {"Status": "", "x": '"Status":""'}
    for state, run in ((State.CREATED, 0), (State.RUNNING, 1), (State.EXITED, 1)):
        status = builders.status(state, run=run, started_ns=10**18 * run, finished_ns=2 * 10**18 * run)
        record = ContainerRecord(spec=builders.spec(1, labels=labels), node="n1", status=status)
        kept = CachedContainer(record)
        for now_ns in (3 * 10**18, 4 * 10**18):
            assert orjson.loads(kept.line_json(now_ns, FORM, NODE)) == orjson.loads(
                orjson.dumps(list_json(record, now_ns=now_ns))
            )
            assert list(orjson.loads(kept.line_json(now_ns, FORM, NODE))) == list(list_json(record, now_ns=now_ns))
        assert orjson.loads(kept.inspected_json(FORM, NODE)) == orjson.loads(orjson.dumps(inspect_json(record)))


def test_the_parsed_record_is_not_kept_for_lists_and_filters() -> None:
    """It takes ten times the memory of the rest; a list of 30,000 containers would keep 400 MB."""
    data = raw_of(status=builders.status(State.RUNNING, seq=3))
    for use in (lambda kept: kept.line_json(0, FORM, NODE), lambda kept: kept.facts):
        kept = CachedContainer.read(data)
        use(kept)
        assert kept._record is None
        assert (kept.id, kept.name, kept.seq) == (builders.container_id(1), "box1", 3)
        assert kept.record == ContainerRecord.model_validate_json(data)


def test_each_form_of_the_api_is_kept_by_itself() -> None:
    kept = CachedContainer(ContainerRecord(spec=builders.spec(1), node="n1", status=builders.status()))
    for form, expected in ((EndpointForm.SINCE_1_48, 0), (FORM, None), (EndpointForm.SINCE_1_48, 0)):
        networks = [
            orjson.loads(shown)["NetworkSettings"]["Networks"]
            for shown in (kept.inspected_json(form, NODE), kept.line_json(0, form, NODE))
        ]
        assert [shown["bridge"].get("GwPriority") for shown in networks] == [expected, expected]
    assert kept.inspected_json(FORM, NODE) is kept.inspected_json(FORM, NODE)


def test_what_was_read_is_current_until_something_newer_is_heard() -> None:
    cache = RecordCache(CONTAINERS)
    known = cache.of(raw_of(spec={"name": "one"}, status=builders.status(seq=3)))
    for ref in ("one", known.record.id):
        assert cache.current(ref) is known
    assert cache.current("on") is None and cache.current(known.record.id[:12]) is None
    cache.heard(known.record.id, 3)
    assert cache.current("one") is known
    cache.heard(known.record.id, 4)
    assert cache.current("one") is None and cache.current(known.record.id) is None
    later = cache.of(raw_of(spec={"name": "one"}, status=builders.status(seq=4)))
    assert cache.current("one") is later


def test_an_answer_that_was_on_its_way_when_news_came_is_not_current() -> None:
    cache = RecordCache(CONTAINERS)
    identifier = builders.container_id(1)
    cache.heard(identifier, 4)
    cache.heard(identifier, 2)
    cache.of(raw_of(status=builders.status(seq=3)))
    assert cache.current(identifier) is None
    cache.of(raw_of(status=builders.status(seq=4)))
    assert cache.current(identifier) is not None


def test_what_was_read_long_ago_is_looked_at_again(clock: FakeClock) -> None:
    cache = RecordCache(CONTAINERS, now=clock.monotonic)
    data = raw_of(spec={"name": "one"}, status=builders.status(seq=3))
    known = cache.of(data)
    clock.advance(5)
    assert cache.current("one") is None
    assert cache.of(data) is known and cache.current("one") is known


def test_a_registration_is_never_current() -> None:
    cache = RecordCache(CONTAINERS)
    assert cache.current(cache.of(raw_of()).record.id) is None


def test_a_name_is_whose_it_was_last() -> None:
    cache = RecordCache(CONTAINERS)
    cache.of(raw_of(spec={"seed": 1, "name": "a"}, status=builders.status(seq=3)))
    cache.of(raw_of(spec={"seed": 1, "name": "b"}, status=builders.status(seq=4)))
    assert cache.current("a") is None
    other = cache.of(raw_of(spec={"seed": 2, "name": "a"}, status=builders.status(seq=1)))
    again = cache.of(raw_of(spec={"seed": 1, "name": "c"}, status=builders.status(seq=5)))
    assert (cache.current("a"), cache.current("b"), cache.current("c")) == (other, None, again)


def test_what_is_heard_is_bounded() -> None:
    cache = RecordCache(CONTAINERS)
    for seed in range(8200):
        cache.heard(builders.container_id(seed), 1)
    assert len(cache._heard) == 8192


def test_of_what_is_gone_nothing_is_kept() -> None:
    cache = RecordCache(CONTAINERS)
    known = cache.of(raw_of(spec={"name": "one"}, status=builders.status(seq=3)))
    cache.forget(known.record.id)
    cache.forget(known.record.id)
    assert cache.current("one") is None and not (cache._known or cache._bytes or cache._names)


def test_a_read_must_not_be_older_than_what_was_heard() -> None:
    cache = RecordCache(CONTAINERS)
    one, name = builders.container_id(1), builders.spec(1).name
    assert cache.basis(one) == cache.basis(name) == {}
    cache.of(raw_of(status=builders.status(State.RUNNING, seq=3)))
    assert cache.basis(one) == cache.basis(name) == {one: 3}, "another copy may not have yet what one has shown"
    cache.heard(one, 4)
    assert cache.basis(one) == cache.basis(name) == {one: 4}
    cache.forget(one)
    assert cache.basis(one) == {one: GONE}


class Shelf:
    """Of a kind that there isn't, numbered by its events."""

    def __init__(self, data: bytes) -> None:
        fields = orjson.loads(data)
        self.id, self.name, self.seq = str(fields["id"]), str(fields["name"]), int(fields["seq"])
        self.read_at = 0.0
        self.outdated = False


SHELVES = Kind("shelf", gone="remove", read=Shelf, is_id=lambda ref: ref.startswith("id-"))


def test_another_kind_is_kept_by_its_description() -> None:
    shelves = RecordCache(SHELVES)
    first = shelves.of(b'{"id":"id-1","name":"a","seq":2}')
    assert shelves.current("a") is shelves.current("id-1") is first
    shelves.receive(Envelope("e1", "n1", "shelf", "change", "id-1", builders.START_NS, 3))
    assert shelves.current("a") is None and shelves.basis("a") == {"id-1": 3}
    later = shelves.of(b'{"id":"id-1","name":"a","seq":3}')
    assert shelves.current("a") is later
    shelves.receive(Envelope("e2", "n1", "shelf", "remove", "id-1", builders.START_NS, 4))
    assert shelves.current("id-1") is None and shelves.basis("id-1") == {"id-1": GONE}


def test_what_is_kept_follows_the_node() -> None:
    status = builders.status(State.RUNNING, run=1, started_ns=1, pid=7, ports=(PORT,))
    kept = CachedContainer(ContainerRecord(spec=builders.spec(1), node="n1", status=status))
    near, far = NodeView("n1", "192.0.2.7", cpus=2), NodeView("n1", "192.0.2.7", remote=True)
    for node, address, cpus in ((near, "0.0.0.0", 2), (far, "192.0.2.7", 0), (near, "0.0.0.0", 2)):
        shown, line = (orjson.loads(data) for data in (kept.inspected_json(FORM, node), kept.line_json(0, FORM, node)))
        assert shown["NetworkSettings"]["Ports"] == {"80/tcp": [{"HostIp": address, "HostPort": "8080"}]}
        assert (line["Ports"][0]["IP"], shown["Node"]["Cpus"]) == (address, cpus)
    assert orjson.loads(kept.line_json(0, FORM, replace(near, up=False)))["Status"] == "Host Down"
