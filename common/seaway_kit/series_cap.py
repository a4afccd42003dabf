"""Bounds how many series a process exports, and counts what was left out."""

from collections.abc import Iterable
from typing import Final

from prometheus_client import Gauge, Metric
from prometheus_client.registry import Collector

LEFT_OUT: Final = Gauge(
    "seaway_metrics_left_out_series",
    "Series that were left out of this scrape, as there were more than --metrics-max-series.",
    registry=None,
)
_WHOLE: Final = frozenset({"histogram", "summary"})
"""Types of which a part would be wrong: a histogram without its last bucket."""


class CappedSeries(Collector):
    """What `source` collects, but at most `limit` series: the last ones of a family are left out.

    `waiting`: how many further series a text has, which follows what is collected; `room` is for how many of them there
    is room then.
    """

    def __init__(self, source: Collector, limit: int) -> None:
        self._source = source
        self._limit = limit
        self.waiting = 0
        self.room = limit

    def collect(self) -> Iterable[Metric]:
        """The families that fit, and how many series did not."""
        room, left_out = self._limit, 0
        for family in self._source.collect():
            count = len(family.samples)
            if count > room:
                family = _shortened(family, 0 if family.type in _WHOLE else room)
            left_out += count - len(family.samples)
            room -= len(family.samples)
            yield family
        self.room = room
        LEFT_OUT.set(left_out + max(0, self.waiting - room))
        yield from LEFT_OUT.collect()


def series_in(text: str) -> int:
    """The number of series in a text of Prometheus' format, in which each line ends with a line feed."""
    return text.count("\n") - text.count("\n# ") - text.startswith("# ")


def first_series(text: str, count: int) -> str:
    """The text with its first `count` series, and with all comments."""
    if series_in(text) <= count:
        return text
    kept = []
    for line in text.splitlines(keepends=True):
        comment = line.startswith("# ")
        count -= not comment
        if comment or count >= 0:
            kept.append(line)
    return "".join(kept)


def _shortened(family: Metric, count: int) -> Metric:
    """A copy with the first `count` samples."""
    shorter = Metric(family.name, family.documentation, family.type, family.unit)
    shorter.samples = family.samples[:count]
    return shorter
