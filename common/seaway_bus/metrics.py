"""The bus's metrics, in every service."""

from functools import cache
from typing import Any, Final, TypeVar

from prometheus_client import Counter, Gauge, Histogram
from prometheus_client.metrics import MetricWrapperBase

Metric = TypeVar("Metric", bound=MetricWrapperBase)

_FAST: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


@cache
def labelled(metric: Metric, *values: str) -> Metric:
    """A metric's child with these labels, cached: the look-up takes longer than counting."""
    found: Any = metric.labels(*values)
    child: Metric = found
    return child


CONNECTED: Final = Gauge("seaway_bus_connected", "Whether there is a connection to the NATS server (1) or not (0).")
RECONNECTS: Final = Counter("seaway_bus_reconnects_total", "How often a lost connection to the NATS server came back.")
CALL_SECONDS: Final = Histogram(
    "seaway_bus_call_seconds", "Time from a request to its reply.", ("service", "call"), buckets=_FAST
)
SERVED_SECONDS: Final = Histogram("seaway_bus_served_seconds", "Time to handle a request.", ("call",), buckets=_FAST)
IN_HAND: Final = Gauge("seaway_bus_requests_in_hand", "Requests from the bus that are not answered yet.")
SERVED: Final = Counter("seaway_bus_served_total", "Requests handled, by outcome.", ("call", "code"))
STORE_SECONDS: Final = Histogram("seaway_bus_store_seconds", "Time until the stream had an event.", buckets=_FAST)
OUTBOX_DEPTH: Final = Gauge("seaway_bus_outbox_events", "Events in the outbox that are not stored in the stream yet.")
OUTBOX_BYTES: Final = Gauge("seaway_bus_outbox_bytes", "Bytes of those events.")
OUTBOX_BOUND: Final = Gauge("seaway_bus_outbox_bound_bytes", "Bytes of events that may wait before work is refused.")
OUTBOX_OLDEST: Final = Gauge(
    "seaway_bus_outbox_oldest_seconds", "How long the oldest event of the outbox has waited to be stored."
)
OUTBOX_DROPPED: Final = Counter(
    "seaway_bus_outbox_dropped_total", "Events of little weight that were left out as the outbox filled up.", ("event",)
)
OUTBOX_RETRIES: Final = Counter(
    "seaway_bus_outbox_retries_total", "Attempts to have events stored that had to be repeated."
)
FEED_EVENTS: Final = Counter("seaway_bus_feed_events_total", "Events received.", ("way",))
FEED_REPEATS: Final = Counter("seaway_bus_feed_repeats_total", "Events received more than once and dropped.")
FEED_LAG: Final = Histogram(
    "seaway_bus_feed_lag_seconds", "From an event's time to its delivery here, of live events.", buckets=_FAST
)
STREAMS_OPEN: Final = Gauge("seaway_bus_streams", "Open byte streams.")
STREAM_BYTES: Final = Counter("seaway_bus_stream_bytes_total", "Bytes sent over byte streams.")
