"""Writes dashboards/*.json anew."""

from pathlib import Path
from typing import Final

from deploy.grafana.containers import CONTAINER
from deploy.grafana.model import to_json
from deploy.grafana.nodes import CLUSTER, NODE
from deploy.grafana.services import EVENTS, SERVICES

DIRECTORY: Final = Path(__file__).parent / "dashboards"
DASHBOARDS: Final = (CLUSTER, NODE, CONTAINER, SERVICES, EVENTS)

if __name__ == "__main__":
    for dashboard in DASHBOARDS:
        (DIRECTORY / f"{dashboard.name}.json").write_text(to_json(dashboard))
