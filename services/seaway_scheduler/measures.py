"""What the scheduler counts and times."""

from typing import Final

from prometheus_client import Counter, Histogram

from seaway_scheduler.place import Rejected

PLACEMENTS: Final = Counter(
    "seaway_scheduler_placements", "Containers for which a node was sought: placed, refused.", ("outcome",)
)
for _outcome in ("placed", "refused"):  # from 0 on: PromQL's `increase` misses the first count of a new series
    PLACEMENTS.labels(_outcome)
PLACEMENT_SECONDS: Final = Histogram(
    "seaway_scheduler_placement_seconds",
    "Time to choose a node.",
    buckets=(0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1),
)
REFUSALS: Final = Counter(
    "seaway_scheduler_refusals", "Nodes that a filter refused, of placements that found no node.", ("filter",)
)


def count_refusal(found: Rejected) -> None:
    """Count a placement that found no node."""
    PLACEMENTS.labels("refused").inc()
    for name, nodes in found.filters.items():
        REFUSALS.labels(name).inc(nodes)
