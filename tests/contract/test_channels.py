"""Every channel of the catalogue: payloads come back, bad tokens are refused, no two share a subject."""

import itertools
import json
import typing
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, JsonValue

from seaway_contracts import catalogue
from seaway_contracts.asyncapi import call_name
from seaway_contracts.base import Payload
from seaway_contracts.channels import BucketConfig, CallChannel, EventChannel, MessageChannel, Role, Template
from seaway_contracts.errors import SeawayError
from seaway_contracts.ids import BadToken
from seaway_contracts.lifecycle import public_body
from seaway_testing.fake_server import matches

BAD_TOKENS = ["a..b", ".", "", "*", ">", "a b", "a.b", "naïve", "ключ", "x" * 129, "a\n", "a\r\nPUB x 0", "{node}"]
GOOD = st.text("abcXYZ019_-", min_size=1, max_size=128)

EVENTS = list(catalogue.EVENTS.values())
STREAMS = [catalogue.STREAM_TEMPLATE, catalogue.TO_NODE, catalogue.FROM_NODE]
TEMPLATES = [
    *(event.template for event in EVENTS),
    *(event.told_template for event in EVENTS if event.owner is Role.AGENT),
    *(call.template for call in catalogue.CALLS),
    *(message.template for message in catalogue.MESSAGES),
    *STREAMS,
]
CODECS: list[tuple[str, type[Payload], Any, Any]] = [
    *((f"{e.noun}.{e.action}", e.payload, e.encode, e.decode) for e in EVENTS),
    *((call_name(c), c.request, c.encode, c.decode) for c in catalogue.CALLS),
    *((f"{call_name(c)} reply", c.reply, c.encode_reply, c.decode_reply) for c in catalogue.CALLS),
    *((m.name, m.payload, m.encode, m.decode) for m in catalogue.MESSAGES),
]
_quick = settings(max_examples=8, suppress_health_check=list(HealthCheck))


def _models(base: type[BaseModel]) -> list[type[BaseModel]]:
    return [model for sub in base.__subclasses__() for model in (sub, *_models(sub))]


def _strategy(model: type[BaseModel]) -> st.SearchStrategy[BaseModel]:
    """A payload with all that it needs and some of what it may have."""
    needed: dict[str, st.SearchStrategy[Any]] = {}
    optional: dict[str, st.SearchStrategy[Any]] = {}
    for name, field in model.model_fields.items():
        strategy = st.deferred(lambda annotation=field.annotation: _of(annotation))
        (needed if field.is_required() else optional)[name] = strategy
    return st.fixed_dictionaries(needed, optional=optional).map(model.model_validate)


def _of(annotation: Any) -> st.SearchStrategy[Any]:
    """Small values of a field's type."""
    origin, args = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return _of(args[0])
    if origin is tuple:
        return st.lists(_of(args[0]), max_size=2).map(tuple)
    if origin is dict:
        return st.dictionaries(_of(args[0]), _of(args[1]), max_size=2)
    if origin is not None and type(None) in args:
        return st.none() | st.one_of([_of(arg) for arg in args if arg is not type(None)])
    if annotation is JsonValue:
        return st.none() | st.booleans() | st.integers(-9, 9) | st.text("ab", max_size=3)
    if annotation is str:
        return st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
    if annotation is int:
        return st.integers(-(2**63), 2**63)
    if annotation is float:
        return st.floats(allow_nan=False, allow_infinity=False)  # JSON has no others
    return st.from_type(annotation)


for _model in _models(Payload):
    st.register_type_strategy(_model, _strategy(_model))


@pytest.mark.parametrize(("model", "encode", "decode"), [c[1:] for c in CODECS], ids=[c[0] for c in CODECS])
def test_payloads_come_back(model: type[Payload], encode: Any, decode: Any) -> None:
    @_quick
    @given(st.from_type(model))
    def check(body: Payload) -> None:
        data = encode(body)
        assert decode(data) == body
        more = json.loads(data) | {"field of a later release": {"x": [1, None]}}
        assert decode(json.dumps(more).encode()) == body

    check()


@pytest.mark.parametrize(("model", "decode"), [(c[1], c[3]) for c in CODECS], ids=[c[0] for c in CODECS])
def test_what_does_not_fit_is_the_senders_fault(model: type[Payload], decode: Any) -> None:
    for data in (b"", b"null", b"[]", b"\xff\xfe", b"{", b'"x"', b"{}{}"):
        with pytest.raises(SeawayError) as caught:
            decode(data)
        assert caught.value.status == 400
    required = [name for name, field in model.model_fields.items() if field.is_required()]
    if required:
        with pytest.raises(SeawayError, match=required[0]):
            decode(b"{}")


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda template: template.text)
@pytest.mark.parametrize("token", BAD_TOKENS)
def test_bad_tokens_are_refused(template: Template, token: str) -> None:
    for field in template.fields:
        tokens = dict.fromkeys(template.fields, "good") | {field: token}
        with pytest.raises(BadToken):
            template.subject(**tokens)
        with pytest.raises(BadToken):
            template.wildcard(**{field: token})
        spoilt = template.text.format_map(tokens)
        with pytest.raises(ValueError, match=r"token|form"):
            template.parse(spoilt)


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda template: template.text)
@given(data=st.data())
@settings(max_examples=10)
def test_subject_parse_and_wildcard_agree(template: Template, data: st.DataObject) -> None:
    tokens = {field: data.draw(GOOD) for field in template.fields}
    subject = template.subject(**tokens)
    assert template.parse(subject) == tokens
    assert matches(template.wildcard(), subject)
    for field in template.fields:
        assert matches(template.wildcard(**{field: tokens[field]}), subject)
        assert not matches(template.wildcard(**{field: tokens[field][:100] + "Q"}), subject)
    for wrong in (subject + ".more", subject.rsplit(".", 1)[0], "x" + subject):
        with pytest.raises(ValueError, match=r"form"):
            template.parse(wrong)


def test_no_two_channels_share_a_subject() -> None:
    for one, other in itertools.combinations(TEMPLATES, 2):
        if {one, other} & set(STREAMS):
            continue
        fills = [dict.fromkeys(one.fields, word) for word in ("n1", "container", "create", "node")]
        assert not any(matches(other.wildcard(), one.subject(**fill)) for fill in fills), (one.text, other.text)


def test_all_events_are_stored_and_nothing_else_is() -> None:
    for template in TEMPLATES:
        subject = template.subject(**dict.fromkeys(template.fields, "t"))
        stored = any(matches(pattern, subject) for pattern in catalogue.EVENT_STREAM.subjects)
        assert stored == any(template.text == event.template.text for event in EVENTS)


def test_node_is_asked_for_exactly_where_it_is_needed() -> None:
    for call in catalogue.CALLS:
        needed = call.to_node or call.from_nodes or call.of_copy
        assert call.to_node == (call.service == "agent")
        assert call.from_nodes == (call.callers == {Role.AGENT})
        assert call.subject("n1" if needed else None)
        with pytest.raises(ValueError, match=r"node is (not taken|needed)"):
            call.subject(None if needed else "n1")


def test_what_a_node_says_and_hears_is_under_its_name() -> None:
    for call in catalogue.CALLS:
        assert (call.template.text.startswith("seaway.v1.node.{node}.do.")) == call.to_node
        assert (call.template.text.startswith("seaway.v1.node.{node}.ask.")) == call.from_nodes
    for event in EVENTS:
        assert event.told_template.text.startswith("seaway.v1.node.{node}.tell.")
    for message in catalogue.MESSAGES:
        assert message.template.text.startswith("seaway.v1.node.{node}.tell.") == (message.owner is Role.AGENT)


def test_what_is_published_of_an_event_can_be_read_as_the_whole_body() -> None:
    for event in EVENTS:
        assert set(event.public.model_fields) <= set(event.payload.model_fields)

        @_quick
        @given(st.from_type(event.payload))
        def check(body: Payload) -> None:
            published = event.published(public_body(event.noun, event.encode(body)))  # noqa: B023
            assert event.encode(event.decode(published)) == published  # noqa: B023

        check()


def test_secrets_are_not_published() -> None:
    spec = {"id": "c", "name": "n", "created_ns": 1, "image": {"ref": "i", "id": "i"}, "command": {"env": ["A=secret"]}}
    status = {"error": "secret", "log_path": "/secret", "health": {"log": [{"output": "secret"}]}, "seq": 1}
    body = {"status": status, "spec": spec, "attributes": {"execCommand": "secret", "name": "n"}}
    told = catalogue.CONTAINER_UPDATE.decode(json.dumps(body).encode())
    published = catalogue.CONTAINER_UPDATE.published(public_body("container", catalogue.CONTAINER_UPDATE.encode(told)))
    assert b"secret" not in published and b'"name":"n"' in published
    assert b"secret" not in catalogue.CONTAINER_UPDATE.published(body)
    volume = {"name": "v", "options": {"o": "password=secret"}}
    assert public_body("volume", json.dumps(volume).encode()) == {"name": "v"}
    assert catalogue.VOLUME_CREATE.published(volume) == b'{"name":"v"}'


def test_services_of_calls_are_known() -> None:
    assert {call.service for call in catalogue.CALLS} <= set(catalogue.SERVICES)
    assert all(call.timeout_s > 0 for call in catalogue.CALLS)


def test_each_bucket_is_among_those_that_metadata_makes() -> None:
    declared = {one for one in vars(catalogue).values() if isinstance(one, BucketConfig)}
    assert set(catalogue.BUCKETS) == declared


def test_names_of_buckets_and_streams_are_tokens() -> None:
    for config in (*catalogue.BUCKETS, catalogue.EVENT_STREAM):
        assert config.name.replace("_", "").isalnum()


def test_channel_kinds() -> None:
    assert all(isinstance(event, EventChannel) for event in EVENTS)
    assert all(isinstance(call, CallChannel) for call in catalogue.CALLS)
    assert all(isinstance(message, MessageChannel) for message in catalogue.MESSAGES)
    assert len({call_name(call) for call in catalogue.CALLS}) == len(catalogue.CALLS)


def test_everybody_who_owns_calls_or_hears_is_somebody() -> None:
    for call in catalogue.CALLS:
        assert call.callers and call.owner not in {Role.CLI}
    for message in catalogue.MESSAGES:
        assert message.hearers and message.owner not in message.hearers
