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
    """What `source` collects, but at most `limit` series: the last ones of a family are left out."""

    def __init__(self, source: Collector, limit: int) -> None:
        self._source = source
        self._limit = limit

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
        LEFT_OUT.set(left_out)
        yield from LEFT_OUT.collect()


def _shortened(family: Metric, count: int) -> Metric:
    """A copy with the first `count` samples."""
    shorter = Metric(family.name, family.documentation, family.type, family.unit)
    shorter.samples = family.samples[:count]
    return shorter
