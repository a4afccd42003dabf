"""The explanation of a placement as `seaway place` shows it."""

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from seaway_contracts.placement import NodeVerdict, PlacementExplanation

_UNMET = {
    "constraint": "does not meet the wished constraints",
    "affinity": "does not meet the wished affinities",
    "host port": "a host port is taken",
    "limits": "has less free than the limits",
    "heard": "has not been heard since the scheduler began",
}


def print_explanation(found: PlacementExplanation, console: Console | None = None) -> None:
    """Print a table with a line for each node, and the node that is chosen, if there is one."""
    console = console or Console(soft_wrap=True, highlight=False)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("RANK", "NODE", "FULL", "RUNNING", "CONTAINERS", "FILTER"):
        table.add_column(
            title, no_wrap=True, justify="left" if title in ("NODE", "FILTER") else "right", min_width=len(title)
        )
    table.add_column("WHY", overflow="fold", min_width=len("WHY"))
    for verdict in found.verdicts:
        table.add_row(*map(escape, _row(verdict)))
    console.print(table)
    if found.left_out:
        console.print(f"… and {found.left_out} more nodes")
    if found.node:
        console.print(escape(f"{found.node} is chosen, by the strategy {found.strategy}."))


def _row(verdict: NodeVerdict) -> tuple[str, ...]:
    if verdict.filter:
        return "-", verdict.node, "-", "-", "-", verdict.filter, verdict.reason
    remarks = [_UNMET.get(name, name) for name in verdict.unmet]
    if verdict.has_image:
        remarks.append("has a container of the image")
    numbers = f"{verdict.full:.0%}", str(verdict.running), str(verdict.containers)
    return str(verdict.rank), verdict.node, *numbers, "-", ", ".join(remarks) or "-"
