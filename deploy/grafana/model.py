"""Turns a short description of a dashboard into Grafana's JSON. Pure."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

_SCHEMA: Final = 39  # Grafana 10.4 and later
_WIDTH: Final = 24
_HEIGHTS: Final = {"row": 1, "stat": 4, "timeseries": 8, "table": 8}
_SOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}


@dataclass(frozen=True)
class Panel:
    """One panel. `queries` maps the legend of a series (`{{node}}` is a label's value) to its expression.

    `bad` is the value from which a stat is red. Of a table, each legend is a column, and `key` names the label that
    makes the rows.
    """

    title: str
    unit: str
    queries: Mapping[str, str]
    kind: str = "timeseries"
    width: int = 12
    bad: float | None = None
    stacked: bool = False
    key: str = ""


@dataclass(frozen=True)
class Variable:
    """A choice at the top of a dashboard: the values that `query` finds, several at a time."""

    name: str
    query: str


@dataclass(frozen=True)
class Dashboard:
    """A dashboard: its rows by title. `name` is the file's name and, behind `seaway-`, the uid."""

    name: str
    title: str
    rows: Mapping[str, tuple[Panel, ...]]
    variables: tuple[Variable, ...] = ()


def stat(title: str, unit: str, query: str, bad: float | None = None) -> Panel:
    """A single number, six to a line."""
    return Panel(title, unit, {"": query}, "stat", 4, bad)


def to_json(dashboard: Dashboard) -> str:
    """The file that Grafana loads: one line for each panel, so that a diff shows which ones differ."""
    made = {
        "uid": f"seaway-{dashboard.name}",
        "title": f"Seaway / {dashboard.title}",
        "tags": ["seaway"],
        "schemaVersion": _SCHEMA,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-1h", "to": "now"},
        "links": [{"type": "dashboards", "title": "Seaway", "tags": ["seaway"], "keepTime": True, "includeVars": True}],
        "templating": {"list": [_data_source(), *map(_variable, dashboard.variables)]},
    }
    panels = ",\n".join(map(json.dumps, _placed(dashboard.rows)))
    return f'{json.dumps(made)[:-1]}, "panels": [\n{panels}\n]}}\n'


def _data_source() -> dict[str, Any]:
    return {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus", "refresh": 1}


def _variable(variable: Variable) -> dict[str, Any]:
    return {
        "name": variable.name,
        "type": "query",
        "datasource": _SOURCE,
        "query": {"query": variable.query, "refId": variable.name},
        "definition": variable.query,
        "refresh": 2,  # whenever the time range changes
        "sort": 1,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "current": {"text": ["All"], "value": ["$__all"]},
    }


def _placed(rows: Mapping[str, tuple[Panel, ...]]) -> Iterator[dict[str, Any]]:
    """The panels of all rows from left to right and from top to bottom."""
    number = y = 0
    for title, panels in rows.items():
        number += 1
        yield {"type": "row", "title": title, "id": number, "collapsed": False, "panels": [], **_place(0, y, _WIDTH, 1)}
        y += 1
        x = height = 0
        for panel in panels:
            if x + panel.width > _WIDTH:
                x, y, height = 0, y + height, 0
            number += 1
            yield {"id": number, **_place(x, y, panel.width, _HEIGHTS[panel.kind]), **_panel(panel)}
            x, height = x + panel.width, max(height, _HEIGHTS[panel.kind])
        y += height


def _place(x: int, y: int, width: int, height: int) -> dict[str, Any]:
    return {"gridPos": {"x": x, "y": y, "w": width, "h": height}}


def _panel(panel: Panel) -> dict[str, Any]:
    options, custom = _LOOKS[panel.kind]
    defaults: dict[str, Any] = {"unit": panel.unit, "min": 0, "custom": dict(custom)}
    if panel.stacked:
        defaults["custom"]["stacking"] = {"mode": "normal"}
    if panel.kind == "stat":
        steps: list[dict[str, Any]] = [{"color": "green", "value": None}]
        steps += [{"color": "red", "value": panel.bad}] if panel.bad is not None else []
        defaults |= {"thresholds": {"mode": "absolute", "steps": steps}}
    made = {
        "type": panel.kind,
        "title": panel.title,
        "datasource": _SOURCE,
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "options": options,
        "targets": [
            _target(chr(ord("A") + number), legend, query, panel.kind == "table")
            for number, (legend, query) in enumerate(panel.queries.items())
        ],
    }
    return made | (_columns(panel) if panel.kind == "table" else {})


_LOOKS: Final[dict[str, tuple[dict[str, Any], dict[str, Any]]]] = {
    "timeseries": (
        {
            "legend": {"displayMode": "table", "placement": "bottom", "calcs": ["mean", "max", "lastNotNull"]},
            "tooltip": {"mode": "multi", "sort": "desc"},
        },
        {"fillOpacity": 10, "showPoints": "never"},
    ),
    "stat": ({"reduceOptions": {"calcs": ["lastNotNull"]}, "colorMode": "value", "graphMode": "area"}, {}),
    "table": ({"showHeader": True}, {}),
}


def _target(ref: str, legend: str, query: str, instant: bool) -> dict[str, Any]:
    made: dict[str, Any] = {"refId": ref, "datasource": _SOURCE, "expr": query, "legendFormat": legend}
    return made | ({"instant": True, "range": False, "format": "table"} if instant else {})


def _columns(panel: Panel) -> dict[str, Any]:
    """One row for each value of the key, one column for each query."""
    names = {f"Value #{chr(ord('A') + number)}": legend for number, legend in enumerate(panel.queries)}
    return {
        "transformations": [
            {"id": "merge", "options": {}},
            {"id": "filterFieldsByName", "options": {"include": {"names": [panel.key, *names]}}},
            {"id": "organize", "options": {"renameByName": names}},
        ]
    }
