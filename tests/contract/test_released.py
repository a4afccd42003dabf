"""Old and new speak to each other: the catalogue against each one that was released."""

import copy
import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel
from tests.contract.compatibility import Json, breaks
from tests.contract.schemas import examples, unreadable

from seaway_contracts import catalogue
from seaway_contracts.asyncapi import call_name, document
from seaway_contracts.base import Payload

RELEASED = {path.stem: json.loads(path.read_text()) for path in (Path(__file__).parent / "released").iterdir()}
LAST = RELEASED[max(RELEASED, key=lambda name: [int(part) for part in name.removeprefix("asyncapi-").split(".")])]
SCHEMAS: Json = LAST["components"]["schemas"]
_quick = settings(max_examples=6, suppress_health_check=list(HealthCheck))


def _codecs() -> dict[str, tuple[type[Payload], Any, Any]]:
    """Model, encoder and decoder of each message, by its name in the document."""
    found: dict[str, tuple[type[Payload], Any, Any]] = {}
    for event in catalogue.EVENTS.values():
        found[f"event.{event.noun}.{event.action}"] = event.public, event.encode, event.decode
        found[f"told.{event.noun}.{event.action}"] = event.payload, event.encode, event.decode
    for call in catalogue.CALLS:
        name = call_name(call)
        found[name] = call.request, call.encode, call.decode
        found[f"{name}.reply"] = call.reply, call.encode_reply, call.decode_reply
    for message in catalogue.MESSAGES:
        found[message.name] = message.payload, message.encode, message.decode
    return found


CODECS = _codecs()
MESSAGES = sorted(name for name in LAST["components"]["messages"] if name in CODECS)


@pytest.mark.parametrize("release", sorted(RELEASED))
def test_every_change_since_is_one_that_old_and_new_can_live_with(release: str) -> None:
    assert breaks(RELEASED[release], document()) == []


def test_every_message_of_the_release_is_looked_at() -> None:
    assert set(LAST["components"]["messages"]) - set(MESSAGES) == {"error", "stream"}


@pytest.mark.parametrize("name", MESSAGES)
def test_what_the_release_says_is_understood(name: str) -> None:
    @_quick
    @given(examples(LAST["components"]["messages"][name]["payload"], SCHEMAS))
    def check(body: Any) -> None:
        CODECS[name][2](json.dumps(body).encode())

    check()


@pytest.mark.parametrize("name", MESSAGES)
def test_what_is_said_now_is_understood_by_the_release(name: str) -> None:
    """But for words that an enumeration has gained: those may only be said to who has shown that it knows them."""
    model, encode, _ = CODECS[name]

    @_quick
    @given(_payloads(model))
    def check(body: Payload) -> None:
        said = json.loads(encode(body)) | {"a field of a later release": 1}
        assert unreadable(said, LAST["components"]["messages"][name]["payload"], SCHEMAS) == ""

    check()


def _payloads(model: type[BaseModel]) -> st.SearchStrategy[Any]:
    """Payloads of today, by the schema of today: with what is new since, without new words."""
    return examples({"$ref": f"#/components/schemas/{model.__name__}"}, _old_words()).map(model.model_validate)


@functools.cache
def _old_words() -> Json:
    trimmed = copy.deepcopy(document()["components"]["schemas"])
    for name, schema in trimmed.items():
        _trim(schema, SCHEMAS.get(name, {}))
    return dict(trimmed)


def _trim(schema: Any, old: Any) -> None:
    """Take away the words of enumerations that the release doesn't know."""
    if isinstance(schema, dict) and isinstance(old, dict):
        if "enum" in schema and "enum" in old:
            schema["enum"] = [word for word in schema["enum"] if word in old["enum"]]
        for key, part in schema.items():
            _trim(part, old.get(key))
    elif isinstance(schema, list) and isinstance(old, list):
        for part, before in zip(schema, old, strict=False):
            _trim(part, before)


# --- the checker itself: each kind of break is found, and what is allowed is not


def _status(whole: Json) -> Any:
    return whole["components"]["schemas"]["ContainerStatus"]


def _without_channel(whole: Json) -> None:
    del whole["channels"]["agent.container.start"]


def _moved(whole: Json) -> None:
    whole["channels"]["agent.container.start"]["address"] = "seaway.v2.start"


def _other_group(whole: Json) -> None:
    whole["operations"]["metadata.container.get"]["x-queue-group"] = "readers"


def _without_header(whole: Json) -> None:
    del whole["components"]["messages"]["event.container.die"]["headers"]["properties"]["ce-id"]


def _without_field(whole: Json) -> None:
    del _status(whole)["properties"]["exit_code"]


def _required(whole: Json) -> None:
    _status(whole).setdefault("required", []).append("exit_code")


def _not_required(whole: Json) -> None:
    whole["components"]["schemas"]["ContainerEvent"]["required"].remove("status")


def _other_type(whole: Json) -> None:
    _status(whole)["properties"]["exit_code"]["type"] = "string"


def _other_default(whole: Json) -> None:
    _status(whole)["properties"]["exit_code"]["default"] = 1


def _fewer_words(whole: Json) -> None:
    whole["components"]["schemas"]["State"]["enum"].remove("dead")


def _fewer_alternatives(whole: Json) -> None:
    field = whole["components"]["schemas"]["ContainerEvent"]["properties"]["spec"]
    field["anyOf"] = field["anyOf"][:1]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (_without_channel, "is gone"),
        (_moved, "moved"),
        (_other_group, "x-queue-group"),
        (_without_header, "header"),
        (_without_field, "exit_code is gone"),
        (_required, "required now"),
        (_not_required, "not required any more"),
        (_other_type, "type was"),
        (_other_default, "another default"),
        (_fewer_words, "the word 'dead' is gone"),
        (_fewer_alternatives, "alternatives"),
    ],
)
def test_a_break_is_told(change: Callable[[Json], None], told: str) -> None:
    new = copy.deepcopy(LAST)
    change(new)
    found = breaks(LAST, new)
    assert found and any(told in sentence for sentence in found), found


def test_what_may_be_added() -> None:
    new = copy.deepcopy(LAST)
    new["channels"]["agent.container.dance"] = {"address": "seaway.v1.agent.{node}.container.dance"}
    _status(new)["properties"]["mood"] = {"type": "string", "default": ""}
    new["components"]["schemas"]["State"]["enum"].append("dancing")
    new["operations"]["agent.container.start"]["x-timeout-seconds"] = 1
    assert breaks(LAST, new) == []
