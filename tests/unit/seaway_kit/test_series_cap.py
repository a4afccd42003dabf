from collections.abc import Iterator

import pytest
from prometheus_client import CollectorRegistry, Gauge, Histogram
from prometheus_client.exposition import generate_latest

from seaway_kit.series_cap import CappedSeries, shortened_text


def families() -> CollectorRegistry:
    """Two gauges of three series each, with a histogram of four series (two buckets, count, sum) between them."""
    registry = CollectorRegistry()
    first = Gauge("first", "First.", ("n",), registry=registry)
    Histogram("second", "Second.", buckets=(1,), registry=registry)
    third = Gauge("third", "Third.", ("n",), registry=registry)
    for number in "123":
        first.labels(number).set(1)
        third.labels(number).set(1)
    return registry


def series(limit: int) -> Iterator[str]:
    text = generate_latest(CappedSeries(families(), limit)).decode()
    return (line.partition(" ")[0] for line in text.splitlines() if not line.startswith("#"))


@pytest.mark.parametrize(
    ("limit", "first", "second", "third", "left_out"),
    [(100, 3, 4, 3, 0), (10, 3, 4, 3, 0), (9, 3, 4, 2, 1), (7, 3, 4, 0, 3), (6, 3, 0, 3, 4), (1, 1, 0, 0, 9)],
)
def test_what_is_beyond_the_cap_is_left_out_and_counted(
    limit: int, first: int, second: int, third: int, left_out: int
) -> None:
    shown = list(series(limit))
    counts = [sum(name.startswith(prefix) for name in shown) for prefix in ("first", "second", "third")]
    assert counts == [first, second, third]
    text = generate_latest(CappedSeries(families(), limit)).decode()
    assert f"seaway_metrics_left_out_series {left_out}.0\n" in text


def test_the_source_is_left_as_it_is() -> None:
    registry = families()
    generate_latest(CappedSeries(registry, 1))
    assert generate_latest(registry).count(b'first{n="') == 3


TEXT = "# TYPE a gauge\na 1\na 2\n# TYPE b gauge\nb 1\n"


@pytest.mark.parametrize(("limit", "kept", "left_out"), [(3, "a a b", 0), (2, "a a", 1), (0, "", 3)])
def test_a_text_is_cut_behind_what_is_collected(limit: int, kept: str, left_out: int) -> None:
    shown, cut = shortened_text(TEXT, limit)
    assert (" ".join(line[0] for line in shown.splitlines() if line[0] != "#"), cut) == (kept, left_out)
    assert shown.count("# TYPE") == 2
    capped = CappedSeries(families(), limit + 10, lambda: TEXT)
    assert f"seaway_metrics_left_out_series {left_out}.0\n" in generate_latest(capped).decode()
    assert capped.text == shown
