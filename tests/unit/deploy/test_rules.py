"""Rules of Prometheus: each has a test for promtool, and alerts say what they need to say."""

import re

import pytest
from tests.prometheus_queries import DEPLOY, rules

_TESTS = DEPLOY / "prometheus" / "tests" / "alerts.yml"
_ALERTS = [rule for rule in rules() if "alert" in rule]


def test_names_are_unique() -> None:
    names = [rule.get("alert") or rule["record"] for rule in rules()]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("rule", _ALERTS, ids=lambda rule: rule["alert"])
def test_an_alert_is_complete_and_fires_in_a_test(rule: dict[str, dict[str, str]]) -> None:
    assert rule["labels"]["severity"] in ("critical", "warning")
    assert set(rule["annotations"]) == {"summary", "description"}
    assert re.search(rf"""labels: '\{{alertname="{rule["alert"]}\"""", _TESTS.read_text())


def test_the_page_on_metrics_lists_all_alerts() -> None:
    page = (DEPLOY.parent / "docs" / "metrics.md").read_text()
    rows = re.findall(r"^\| (\w+) \| (critical|warning) \|", page, re.MULTILINE)
    assert rows == [(rule["alert"], rule["labels"]["severity"]) for rule in _ALERTS]
