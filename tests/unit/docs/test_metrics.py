"""The page on metrics has every metric that the code declares, with its type, and no other."""

import importlib
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from prometheus_client import Metric
from prometheus_client.metrics import MetricWrapperBase

from seaway_agent.metrics.container_families import HOST, OWN
from seaway_agent.metrics.families import NodeReading, node_families
from seaway_agent.metrics.state_families import STATE
from seaway_metadata.commands.measures import record_families

PAGE: Final = (Path(__file__).parents[3] / "docs" / "metrics.md").read_text()
_PACKAGES: Final = (
    "seaway_bus",
    "seaway_kit",
    "seaway_api",
    "seaway_image",
    "seaway_metadata",
    "seaway_scheduler",
    "seaway_agent",
)


def _declared() -> Iterator[Metric]:
    """What stands in the modules themselves: the process's registry may hold metrics of other tests."""
    for package in map(importlib.import_module, _PACKAGES):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            for value in vars(importlib.import_module(module.name)).values():
                if isinstance(value, MetricWrapperBase):
                    yield from value.describe()
    yield from node_families(NodeReading(0, 0))
    yield from record_families({}, (), {}, {})


def _exposed(metric: Metric) -> str:
    return f"{metric.name}_total" if metric.type == "counter" else metric.name


def test_each_metric_has_a_row_and_each_row_a_metric() -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \| (\w+) \|", PAGE, re.MULTILINE))
    types = {_exposed(metric): metric.type for metric in _declared()}
    types |= {family.name: family.type for family in (*HOST, *OWN, *STATE)}
    assert rows == types
