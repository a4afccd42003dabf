"""Metrics: the API reads those of any process, for a Prometheus that reaches the API alone."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from seaway_contracts.base import Empty
from seaway_contracts.catalogue.declare import AGENT, API, IMAGE, METADATA, SCHEDULER, call
from seaway_contracts.channels import CallChannel, Repeat, Role
from seaway_contracts.metrics import MetricsText


def _read(owner: Role) -> CallChannel[Empty, MetricsText]:
    return call(
        owner,
        "metrics.read",
        Empty,
        MetricsText,
        "Return all metrics of this process.",
        repeat=Repeat.NEVER,
        of_copy=owner is not AGENT,
    )


READ_METRICS: Final[Mapping[str, CallChannel[Empty, MetricsText]]] = MappingProxyType(
    {owner.value: _read(owner) for owner in (API, IMAGE, METADATA, SCHEDULER, AGENT)}
)
"""By service. A service other than the agent answers on a subject that ends with the node of its machine."""
