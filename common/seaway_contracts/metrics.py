"""Metrics of one process, as another one reads them over the bus."""

from seaway_contracts.base import Payload


class MetricsText(Payload):
    """All metrics of a process in Prometheus' text format 0.0.4: compressed (gzip), then base64."""

    gzip: str
