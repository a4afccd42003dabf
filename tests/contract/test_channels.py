"""Every channel of the catalogue: payloads come back, bad tokens are refused, no two share a subject."""

import itertools
import json
import typing
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from seaway_contracts import catalogue
from seaway_contracts.base import Payload
from seaway_contracts.channels import BeatChannel, CallChannel, EventChannel, Template
from seaway_contracts.errors import SeawayError
from seaway_contracts.ids import BadToken
from seaway_testing.subjects import matches

BAD_TOKENS = ["a..b", ".", "", "*", ">", "a b", "a.b", "naïve", "ключ", "x" * 129, "a\n", "a\r\nPUB x 0", "{node}"]
GOOD = st.text("abcXYZ019_-", min_size=1, max_size=128)

EVENTS = list(catalogue.EVENTS.values())
TEMPLATES = [
    *(event.template for event in EVENTS),
    *(call.template for call in catalogue.CALLS),
    catalogue.BEAT.template,
    catalogue.LOG_LINES.template,
    catalogue.STREAM_TEMPLATE,
    catalogue.NODE_STREAM_TEMPLATE,
]
CODECS: list[tuple[str, type[Payload], Any, Any]] = [
    *((f"{e.noun}.{e.action}", e.payload, e.encode, e.decode) for e in EVENTS),
    *((f"{c.service} {c.name}", c.request, c.encode, c.decode) for c in catalogue.CALLS),
    *((f"{c.service} {c.name} reply", c.reply, c.encode_reply, c.decode_reply) for c in catalogue.CALLS),
    ("beat", catalogue.BEAT.payload, catalogue.BEAT.encode, catalogue.BEAT.decode),
    ("logs", catalogue.LOG_LINES.payload, catalogue.LOG_LINES.encode, catalogue.LOG_LINES.decode),
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
    if origin is tuple:
        return st.lists(_of(args[0]), max_size=2).map(tuple)
    if origin is dict:
        return st.dictionaries(_of(args[0]), _of(args[1]), max_size=2)
    if origin is not None and type(None) in args:
        return st.none() | st.one_of([_of(arg) for arg in args if arg is not type(None)])
    if annotation is str:
        return st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
    if annotation is int:
        return st.integers(-(2**63), 2**63)
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
        if {one, other} & {catalogue.STREAM_TEMPLATE, catalogue.NODE_STREAM_TEMPLATE}:
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
        assert call.per_node == (call.service == "agent")
        assert call.subject("n1" if call.per_node else None)
        with pytest.raises(ValueError, match=r"node is (not taken|needed)"):
            call.subject(None if call.per_node else "n1")


def test_services_of_calls_are_known() -> None:
    assert {call.service for call in catalogue.CALLS} <= set(catalogue.SERVICES)
    assert all(call.timeout_s > 0 for call in catalogue.CALLS)


def test_names_of_buckets_and_streams_are_tokens() -> None:
    for config in (*catalogue.BUCKETS, catalogue.EVENT_STREAM):
        assert config.name.replace("_", "").isalnum()


def test_channel_kinds() -> None:
    assert all(isinstance(event, EventChannel) for event in EVENTS)
    assert all(isinstance(call, CallChannel) for call in catalogue.CALLS)
    assert isinstance(catalogue.BEAT, BeatChannel)
    assert len({(call.service, call.name) for call in catalogue.CALLS}) == len(catalogue.CALLS)
