"""Which entries of the build cache a prune takes; statuses and words are dockerd's."""

from typing import Any

import orjson
import pytest

from seaway_api.builds.cache_filters import chosen_ids, read_prune_filters, used_before_ns
from seaway_contracts.builds import CachedStep
from seaway_docker.errors import InvalidParameter

STEPS = (CachedStep(id="abc", description="RUN a"), CachedStep(id="bcd", parent="abc", in_use=True))


def chosen(**filters: Any) -> tuple[str, ...] | None:
    return chosen_ids(read_prune_filters(orjson.dumps(filters).decode()), STEPS)


@pytest.mark.parametrize(
    ("filters", "ids"),
    [
        ({}, None),
        ({"until": ["1h"], "label": ["x"]}, None),
        ({"id": ["^b"]}, ("bcd",)),
        ({"id": ["c"]}, ("abc", "bcd")),
        ({"type": ["regular"]}, ("abc", "bcd")),
        ({"type": ["exec.cachemount"]}, ()),
        ({"parent": ["abc"]}, ("bcd",)),
        ({"parent": []}, ("bcd",)),
        ({"description": ["RUN a"]}, ("abc",)),
        ({"inuse": []}, ("bcd",)),
        ({"inuse": ["true"]}, ()),
        ({"shared": []}, ()),
        ({"private": [], "id": ["a"]}, ("abc", "bcd")[:1]),
    ],
)
def test_chosen(filters: dict[str, Any], ids: tuple[str, ...] | None) -> None:
    assert chosen(**filters) == ids


@pytest.mark.parametrize(
    ("filters", "words"),
    [
        ({"nope": ["x"]}, "failed to prune build cache: invalid filter 'nope'"),
        ({"immutable": ["x"]}, "failed to prune build cache: invalid filter 'immutable'"),
        ({"until": ["1h", "2h"]}, "failed to prune build cache: filters expect only one value"),
        (
            {"until": ["1h"], "unused-for": ["2h"]},
            'failed to prune build cache: conflicting filters: "until" and "unused-for"',
        ),
        ({"id": ["("]}, "failed to prune build cache: error parsing regexp: missing ): ("),
    ],
)
def test_refused(filters: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidParameter) as refused:
        chosen(**filters)
    assert str(refused.value) == words


@pytest.mark.parametrize("key", ["until", "unused-for"])
def test_time(key: str) -> None:
    filters = read_prune_filters(orjson.dumps({key: ["1s"]}).decode())
    assert used_before_ns(filters, 5_000_000_000) == 4_000_000_000
    wrong = read_prune_filters(orjson.dumps({key: ["x"]}).decode())
    with pytest.raises(InvalidParameter) as refused:
        used_before_ns(wrong, 0)
    reason = 'failed to parse value as time or duration: "x"'
    wanted = f"\"{key}\" filter expects a duration (e.g., '24h') or a timestamp"
    assert str(refused.value) == f"failed to prune build cache: {wanted}: {reason}"


def test_without_filters_no_time() -> None:
    assert used_before_ns(read_prune_filters(""), 5) == 0


def test_broken_json_has_no_word_before() -> None:
    with pytest.raises(InvalidParameter, match=r"^invalid filter$"):
        read_prune_filters("x")
