"""Records as they stand in the buckets."""

import orjson
import pytest

from seaway_contracts.containers import ContainerRecord, State
from seaway_metadata.kinds.containers import NAMES, NameHolder, record_json, spec_json
from seaway_metadata.store.stored import Horizon, NewerSchema, decode, encode
from seaway_metadata.store.stored import stamp as stamped
from seaway_testing.builders import node_record, record


def test_records_come_back() -> None:
    one = record(1, state=State.RUNNING, seq=5)
    data = stamped(record_json(one, spec_json(one.spec)))
    assert decode(ContainerRecord, data) == one
    assert orjson.loads(data)["v"] == 1


def test_payloads_come_back() -> None:
    for payload in (Horizon(seq=0), NameHolder(id="x", since_ns=0), node_record()):
        assert decode(type(payload), encode(payload)) == payload


def test_a_newer_schema_is_refused() -> None:
    with pytest.raises(NewerSchema, match="schema 2"):
        decode(Horizon, b'{"v":2,"seq":1,"more":true}')


@pytest.mark.parametrize("data", [b"", b"null", b"[]", b"3", b'{"v":1}', b'{"v":"x","seq":1}', b"\xff"])
def test_what_is_none_of_ours(data: bytes) -> None:
    with pytest.raises(ValueError, match="not a stored Horizon"):
        decode(Horizon, data)


def test_name_keys_are_keys() -> None:
    assert NAMES.key("a.b/c") == "612e622f63"
    assert NAMES.key("é") == "c3a9"
