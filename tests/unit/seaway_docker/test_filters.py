import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seaway_docker import filters as f
from seaway_docker.errors import InvalidParameter
from seaway_docker.filters import Filters, parse_filters, prunable, until_ns


def error_of(text: str, allowed: frozenset[str] | None = f.CONTAINER_LIST_KEYS) -> str:
    with pytest.raises(InvalidParameter) as caught:
        parse_filters(text, allowed)
    return str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        '""',
        '{"status":"exited"}',
        '{"status":{"exited":1}}',
        '{"status":["a"],"label":{"b":true}}',
        '{"name":[1]}',
        "5",
        "[" * 100_000,
    ],
)
def test_malformed(text: str) -> None:
    assert error_of(text) == "invalid filter"


@pytest.mark.parametrize("text", ["", "null", "{}"])
def test_no_filters(text: str) -> None:
    assert parse_filters(text, frozenset()).values == {}


def test_maps_and_lists_are_the_same() -> None:
    by_map = parse_filters('{"status":{"exited":true,"dead":false}}', f.CONTAINER_LIST_KEYS)
    by_list = parse_filters('{"status":["exited","dead","dead"]}', f.CONTAINER_LIST_KEYS)
    assert by_map == by_list == Filters({"status": ("exited", "dead")})


def test_unknown_keys() -> None:
    assert error_of('{"zz":["a"]}') == "invalid filter 'zz'"
    assert error_of('{"label!":["a"]}') == "invalid filter 'label!'"
    assert parse_filters('{"zz":["a"]}', f.EVENT_KEYS).get("zz") == ("a",)


@pytest.mark.parametrize(
    ("pattern", "text", "expected"),
    [
        ("web", "my-web-1", True),
        ("^web$", "my-web-1", False),
        ("^web$", "web", True),
        ("we.-[0-9]+$", "web-12", True),
        ("[", "a[", False),
        ("[", "[", True),
        ("", "anything", True),
    ],
)
def test_patterns_search_anywhere(pattern: str, text: str, expected: bool) -> None:
    assert Filters({"name": (pattern,)}).pattern("name", text) is expected


def test_labels_must_all_hold() -> None:
    labels = {"a": "1", "b": ""}
    assert Filters({"label": ("a=1", "b")}).labels(labels)
    assert Filters({"label": ("b=",)}).labels(labels)
    assert not Filters({"label": ("a=1", "c")}).labels(labels)
    assert not Filters({"label": ("a=2",)}).labels(labels)


def test_booleans() -> None:
    assert Filters({"dangling": ("1",)}).boolean("dangling", False)
    assert not Filters({"dangling": ("false",)}).boolean("dangling", True)
    assert Filters({}).boolean("dangling", True)
    assert Filters({"dangling": ("true", "x")}).boolean("dangling", False), "as dockerd: one that is meant is enough"
    assert not Filters({"dangling": ("0", "false")}).boolean("dangling", True)
    with pytest.raises(InvalidParameter, match=r"^invalid filter 'dangling=\[true false\]'$"):
        Filters({"dangling": ("true", "false")}).boolean("dangling", False)


def test_until() -> None:
    assert until_ns(Filters({}), 10) is None
    assert until_ns(Filters({"until": ("10m",)}), 10**12) == 400 * 10**9
    with pytest.raises(InvalidParameter, match=r"^more than one until filter specified$"):
        until_ns(Filters({"until": ("1", "2")}), 0)
    with pytest.raises(InvalidParameter, match=r'^failed to parse value as time or duration: "zz"$'):
        until_ns(Filters({"until": ("zz",)}), 0)


def test_prune() -> None:
    labels = {"keep": "yes"}
    assert prunable(Filters({}), labels, 5, None)
    assert not prunable(Filters({"label!": ("keep",)}), labels, 5, None)
    assert prunable(Filters({"label!": ("keep=no",)}), labels, 5, None)
    assert not prunable(Filters({"label": ("other",)}), labels, 5, None)
    assert not prunable(Filters({}), labels, 5, until=4)
    assert prunable(Filters({}), labels, 5, until=6)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(0, 9) | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
        max_leaves=12,
    )
)
def test_any_json_gives_filters_or_a_docker_error(data: object) -> None:
    try:
        parsed = parse_filters(json.dumps(data), None)
    except InvalidParameter as error:
        assert str(error).startswith("invalid filter")
        return
    assert all(isinstance(value, str) for values in parsed.values.values() for value in values)


@given(st.dictionaries(st.text(max_size=5), st.lists(st.text("abc", max_size=5), unique=True), max_size=4))
def test_what_a_client_sends_is_what_is_read(values: dict[str, list[str]]) -> None:
    as_maps = {key: dict.fromkeys(items, True) for key, items in values.items()}
    assert parse_filters(json.dumps(as_maps), None) == parse_filters(json.dumps(values), None)
    assert parse_filters(json.dumps(values), None).values == {key: tuple(items) for key, items in values.items()}
