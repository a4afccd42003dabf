"""The explanation of a placement as `seaway place` shows it. Pure."""

from typing import Final

from seaway_contracts.placement import NodeVerdict, PlacementExplanation

_TITLES: Final = ("RANK", "NODE", "FULL", "RUNNING", "CONTAINERS", "FILTER", "WHY")
_NUMBERS: Final = ("RANK", "FULL", "RUNNING", "CONTAINERS")
_UNMET: Final = {
    "constraint": "does not meet the wished constraints",
    "affinity": "does not meet the wished affinities",
    "host port": "a host port is taken",
    "limits": "has less free than the limits",
    "heard": "has not been heard since the scheduler began",
}


def explanation_text(found: PlacementExplanation) -> str:
    """A table with a line for each node, and the node that is chosen, if there is one."""
    rows = [_TITLES, *map(_row, found.verdicts)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(
            cell.rjust(width) if title in _NUMBERS else cell.ljust(width)
            for title, cell, width in zip(_TITLES, row, widths, strict=True)
        ).rstrip()
        for row in rows
    ]
    if found.left_out:
        lines.append(f"… and {found.left_out} more nodes")
    if found.node:
        lines.append(f"{found.node} is chosen, by the strategy {found.strategy}.")
    return "\n".join(lines)


def _row(verdict: NodeVerdict) -> tuple[str, ...]:
    if verdict.filter:
        return "-", verdict.node, "-", "-", "-", verdict.filter, verdict.reason
    remarks = [_UNMET.get(name, name) for name in verdict.unmet]
    if verdict.has_image:
        remarks.append("has a container of the image")
    numbers = f"{verdict.full:.0%}", str(verdict.running), str(verdict.containers)
    return str(verdict.rank), verdict.node, *numbers, "-", ", ".join(remarks) or "-"
