"""Which metrics docs/metrics.md has."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

_PAGE: Final = (Path(__file__).parents[3] / "docs" / "metrics.md").read_text()
_ROWS: Final = dict(re.findall(r"^\| `(\w+)` \| (\w+) \|", _PAGE, re.MULTILINE))
_OF_PROMETHEUS: Final = frozenset({"up"})
_OF_THE_CLIENT: Final = ("process_", "python_")
_PARTS: Final = re.compile(r"(\w+)_(bucket|sum|count)")


def names_unknown(metrics: Iterable[str]) -> set[str]:
    """Those of the metrics that the page doesn't have."""
    return {name for name in metrics if not _is_known(name)}


def _is_known(name: str) -> bool:
    if name in _ROWS:
        return _ROWS[name] != "histogram"
    part = _PARTS.fullmatch(name)
    of_histogram = part is not None and _ROWS.get(part[1]) == "histogram"
    return of_histogram or name in _OF_PROMETHEUS or name.startswith(_OF_THE_CLIENT)
