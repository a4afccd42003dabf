"""The queries of deploy/grafana and deploy/prometheus, for tests."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import promql_parser
import yaml
from promql_parser import BinaryExpr, Expr, NumberLiteral, VectorSelector

DEPLOY: Final = Path(__file__).parents[1] / "deploy"
RULES: Final = DEPLOY / "prometheus" / "rules"
_COMPARISONS: Final = frozenset({"==", "!=", "<", "<=", ">", ">="})
_LABEL_VALUES: Final = re.compile(r"label_values\((.+), \w+\)")
_CHOICES: Final = {"$__rate_interval": "1m", "$__range": "1h", "$__interval": "15s"}


@dataclass(frozen=True)
class Query:
    """A query and where it stands."""

    place: str
    text: str

    def __str__(self) -> str:
        return self.place


def dashboards() -> dict[str, dict[str, Any]]:
    """The dashboards that Grafana loads, by file name."""
    return {path.stem: json.loads(path.read_text()) for path in (DEPLOY / "grafana" / "dashboards").glob("*.json")}


def dashboard_queries(choices: Mapping[str, str] | None = None) -> Iterator[Query]:
    """The queries of all panels and variables; `choices` are values of variables, else all (`.*`)."""
    for name, dashboard in dashboards().items():
        for variable in dashboard["templating"]["list"]:
            if variable["type"] == "query":
                found = _LABEL_VALUES.fullmatch(variable["definition"])
                assert found, variable
                yield Query(f"{name}/${variable['name']}", with_choices(found[1], choices))
        for panel in dashboard["panels"]:
            for target in panel.get("targets", ()):
                place = f"{name}/{panel['title']}/{target['refId']}"
                yield Query(place, with_choices(target["expr"], choices))


def with_choices(text: str, choices: Mapping[str, str] | None = None) -> str:
    """A query with Grafana's variables replaced by values."""
    for variable, value in (_CHOICES | dict(choices or {})).items():
        text = text.replace(variable, value)
    return re.sub(r"\$\w+", ".*", text)


def rules() -> Iterator[dict[str, Any]]:
    """All recording and alert rules."""
    for path in sorted(RULES.glob("*.yml")):
        for group in yaml.safe_load(path.read_text())["groups"]:
            yield from group["rules"]


def rule_queries() -> Iterator[Query]:
    """The queries of all rules, by name."""
    return (Query(rule.get("alert") or rule["record"], rule["expr"]) for rule in rules())


def metrics(text: str) -> set[str]:
    """The names of metrics in a query. Raises ValueError if it doesn't parse."""
    found: set[str] = set()

    def visit(node: Expr) -> None:
        if isinstance(node, VectorSelector) and node.name:
            found.add(node.name)

    promql_parser.walk(promql_parser.parse(text), visit)
    return found


def measured(text: str) -> str:
    """A query without its comparisons with numbers: of an alert's, what is measured, whether it is bad or not."""

    def replace(node: Expr) -> Expr | None:
        compares = isinstance(node, BinaryExpr) and str(node.op) in _COMPARISONS
        return node.lhs if compares and isinstance(node.rhs, NumberLiteral) else None

    return str(promql_parser.transform(promql_parser.parse(text), post_visit=replace))
