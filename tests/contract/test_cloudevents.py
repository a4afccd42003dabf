"""Events are CloudEvents 1.0 in NATS binary mode, as the SDK of CloudEvents reads them."""

import json
from typing import Any

import pytest
from cloudevents.core.bindings.http import HTTPMessage, from_binary, to_binary
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent
from hypothesis import given
from hypothesis import strategies as st
from tests.contract.schemas import examples

from seaway_contracts.asyncapi import document
from seaway_contracts.catalogue import EVENTS
from seaway_contracts.lifecycle import Envelope

SCHEMAS: dict[str, Any] = document()["components"]["schemas"]
ACTORS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


def read(envelope: Envelope, body: bytes) -> Any:
    """Raises what the SDK raises for an event that isn't one."""
    headers = {name: value for name, value in envelope.headers().items() if name.startswith("ce-")}
    return from_binary(HTTPMessage(headers, body), JSONFormat(), CloudEvent)


@pytest.mark.parametrize(("noun", "action"), EVENTS, ids=[".".join(key) for key in EVENTS])
@given(data=st.data())
def test_each_event_of_the_catalogue(noun: str, action: str, data: st.DataObject) -> None:
    body = data.draw(examples({"$ref": f"#/components/schemas/{EVENTS[noun, action].public.__name__}"}, SCHEMAS))
    envelope = Envelope("id-1", "n1", noun, action, "c" * 64, 1_795_479_225_566_952_610, 7, "c0", "uid:0@host")
    event = read(envelope, json.dumps(body).encode())
    attributes = event.get_attributes()
    assert (attributes["id"], attributes["source"]) == ("id-1", "/seaway/node/n1")
    assert (attributes["type"], attributes["subject"]) == (f"io.seaway.v1.{noun}.{action}", "c" * 64)
    assert attributes["time"].isoformat() == "2026-11-24T00:13:45.566952+00:00"
    assert [event.get_extension(name) for name in ("node", "sequence", "cause", "actor")] == [
        "n1",
        "7",
        "c0",
        "uid:0@host",
    ]
    assert event.get_data() == body


@given(ACTORS)
def test_any_actor_comes_back(actor: str) -> None:
    envelope = Envelope("id-1", "n1", "container", "die", "c" * 64, 1, actor=actor)
    headers = envelope.headers()
    assert read(envelope, b"{}").get_extension("actor") == actor == Envelope.from_headers(headers).actor
    assert headers["ce-actor"].isascii() and "\n" not in headers["ce-actor"]
    written = to_binary(read(envelope, b"{}"), JSONFormat()).headers
    assert written["ce-actor"] == headers["ce-actor"]
