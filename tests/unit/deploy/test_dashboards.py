"""Grafana's dashboards: written by their builder, well-formed, and of metrics that there are."""

import re
from itertools import combinations, product
from typing import Any

import pytest
import yaml
from deploy.grafana.__main__ import DASHBOARDS, DIRECTORY
from deploy.grafana.model import to_json
from tests.prometheus_queries import DEPLOY, Query, dashboard_queries, dashboards, metrics, rule_queries, rules
from tests.unit.deploy.documented import names_unknown


def test_the_files_are_what_the_builder_makes() -> None:
    written = {path.name: path.read_text() for path in DIRECTORY.iterdir()}
    made = {f"{dashboard.name}.json": to_json(dashboard) for dashboard in DASHBOARDS}
    assert written == made, "run .venv/bin/python -m deploy.grafana"


def test_each_dashboard_has_an_identity_of_its_own() -> None:
    uids = [dashboard["uid"] for dashboard in dashboards().values()]
    assert len(set(uids)) == len(uids) == 5


@pytest.mark.parametrize("name", dashboards())
def test_panels_stand_beside_each_other(name: str) -> None:
    panels = dashboards()[name]["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    for panel in panels:
        assert panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24
    for one, other in combinations(panels, 2):
        assert not _cells(one) & _cells(other), (one["title"], other["title"])


def _cells(panel: dict[str, Any]) -> set[tuple[int, int]]:
    grid = panel["gridPos"]
    return set(product(range(grid["x"], grid["x"] + grid["w"]), range(grid["y"], grid["y"] + grid["h"])))


@pytest.mark.parametrize("name", dashboards())
def test_variables_in_queries_are_declared(name: str) -> None:
    dashboard = dashboards()[name]
    declared = {variable["name"] for variable in dashboard["templating"]["list"]}
    queries = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", ())]
    used = {word for query in queries for word in re.findall(r"\$(\w+)", query)} - {"__rate_interval"}
    assert used == declared - {"datasource"}


@pytest.mark.parametrize("query", list(dashboard_queries()), ids=str)
def test_a_query_parses_and_its_metrics_are_documented(query: Query) -> None:
    recorded = {rule["record"] for rule in rules() if "record" in rule}
    assert not names_unknown(metrics(query.text) - recorded)


@pytest.mark.parametrize("query", list(rule_queries()), ids=str)
def test_a_rule_parses_and_its_metrics_are_documented(query: Query) -> None:
    recorded = {rule["record"] for rule in rules() if "record" in rule}
    assert not names_unknown(metrics(query.text) - recorded)


def test_grafana_assumes_the_scrape_interval_that_prometheus_has() -> None:
    prometheus = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text())
    (source,) = yaml.safe_load((DEPLOY / "grafana/provisioning/datasources/seaway.yml").read_text())["datasources"]
    assert source["jsonData"]["timeInterval"] == prometheus["global"]["scrape_interval"]
