"""Bounds how many series a process exports, and counts what was left out."""

from collections.abc import Callable, Iterable
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

    `more` returns further families as text, for which the rest of the limit is.
    """

    def __init__(self, source: Collector, limit: int, more: Callable[[], str] = str) -> None:
        self._source = source
        self._limit = limit
        self._more = more
        self.text = ""
        """What fits of the further families, after each collecting."""

    def collect(self) -> Iterable[Metric]:
        """The families that fit, and how many series did not."""
        more = self._more()  # first, as a collector may count what was left out of it
        room, left_out = self._limit, 0
        for family in self._source.collect():
            count = len(family.samples)
            if count > room:
                family = _shortened(family, 0 if family.type in _WHOLE else room)
            left_out += count - len(family.samples)
            room -= len(family.samples)
            yield family
        self.text, cut = shortened_text(more, room)
        LEFT_OUT.set(left_out + cut)
        yield from LEFT_OUT.collect()


def _shortened(family: Metric, count: int) -> Metric:
    """A copy with the first `count` samples."""
    shorter = Metric(family.name, family.documentation, family.type, family.unit)
    shorter.samples = family.samples[:count]
    return shorter


def shortened_text(text: str, limit: int) -> tuple[str, int]:
    """A text of families with at most `limit` series, and how many were left out."""
    comments = text.count("\n#") + text.startswith("#")
    series = text.count("\n") - comments
    if series <= limit:
        return text, 0
    kept, room = [], limit
    for line in text.removesuffix("\n").split("\n"):  # not splitlines: a label may have U+2028
        if not line.startswith("#"):
            room -= 1
            if room < 0:
                continue
        kept.append(line)
    return "".join(f"{line}\n" for line in kept), series - limit
