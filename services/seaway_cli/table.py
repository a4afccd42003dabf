"""`seaway status` for people."""

from typing import Any

from rich.console import Console
from rich.table import Table

_COLOUR = {"ready": "green", "starting": "yellow", "restarting": "red", "stopping": "yellow", "stopped": "red"}


def print_status(found: dict[str, Any], console: Console | None = None) -> None:
    """Print the supervisor's answer to `status`."""
    console = console or Console(soft_wrap=True, highlight=False)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("SERVICE", "PID", "STATE", "RESTARTS", "METRICS"):
        table.add_column(title, no_wrap=True, justify="right" if title in ("PID", "RESTARTS") else "left")
    for row in found["services"]:
        state = f"[{_COLOUR.get(row['state'], 'white')}]{row['state']}[/]"
        table.add_row(row["service"], str(row["pid"] or "-"), state, str(row["restarts"]), row["metrics"] or "-")
    console.print(table)
    registry = next((f"   registry {row['registry']}" for row in found["services"] if row.get("registry")), "")
    console.print(f"endpoint {' '.join(found['hosts'])}{registry}   nats {found['nats']}   supervisor {found['pid']}")
