"""Every query of the dashboards and rules, and of well-known dashboards for cAdvisor, finds data in a healthy suite."""

import contextlib
import urllib.parse
from collections.abc import Iterable, Iterator

import pytest
from e2e_rig.docker_cli import DockerCli
from e2e_rig.prometheus import Prometheus
from e2e_rig.seaway import Seaway
from e2e_rig.waits import eventually
from tests.prometheus_queries import RULES, Query, dashboard_queries, measured, metrics, rule_queries

pytestmark = pytest.mark.seaway_only

QUIET = {
    "seaway_bus_outbox_dropped_total": "a series begins with the first event that is dropped",
    "seaway_bus_foreign_total": "a series begins with the first thing that a node says of another one's container",
    "seaway_metadata_purged_events_total": "a series begins with the first event that is removed from a full stream",
    "container_fs_reads_total": "the kernel counts I/O of some disks only; test_metrics.py has one of these",
    "container_fs_reads_bytes_total": "the same",
    "container_fs_writes_total": "the same",
    "container_fs_writes_bytes_total": "the same",
    "SeawayApiErrors": "no request has failed",
}
"""What may have no data in a healthy suite, by metric or alert, and why."""

_OF_14282 = 'instance=~"$host",name=~"$container",name=~".+"'
CADVISOR = {  # grafana.com/grafana/dashboards/193 (Docker monitoring) and 14282 (Cadvisor exporter)
    193: (
        'count(container_last_seen{image!=""})',
        'sum(container_memory_usage_bytes{image!=""})/1024/1024',
        'sum(rate(container_cpu_user_seconds_total{image!=""}[5m]) * 100)',
        'rate(container_cpu_user_seconds_total{image!=""}[5m]) * 100',
        'container_memory_usage_bytes{image!=""}',
        'irate(container_network_receive_bytes_total{image!=""}[5m])',
        'irate(container_network_transmit_bytes_total{image!=""}[5m])',
    ),
    14282: (
        f"sum(rate(container_cpu_usage_seconds_total{{{_OF_14282}}}[5m])) by (name) *100",
        f"sum(container_memory_rss{{{_OF_14282}}}) by (name)",
        f"sum(container_memory_cache{{{_OF_14282}}}) by (name)",
        f"sum(rate(container_network_receive_bytes_total{{{_OF_14282}}}[5m])) by (name)",
        f"sum(rate(container_network_transmit_bytes_total{{{_OF_14282}}}[5m])) by (name)",
        f"(time() - container_start_time_seconds{{{_OF_14282}}})/86400",
        '{__name__=~"container.*",instance=~"$host"}',
    ),
}


@pytest.fixture(scope="module")
def busy(engine: Seaway, docker_cli: DockerCli) -> Iterator[str]:
    """A container with limits that works; its name."""
    limits = ["--memory", "64m", "--cpus", "0.5", "--health-cmd", "true", "--health-interval", "1s"]
    docker_cli("run", "-d", "--name", "busy", *limits, "busybox", "sh", "-c", "while :; do :; done")
    yield "busy"
    engine.api.remove_all()


@pytest.fixture(scope="module")
def prometheus(engine: Seaway, busy: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """Scrapes the suite, with labels as /sd gives them, and evaluates the rules."""
    targets = [_target(engine, row["service"], row["metrics"]) for row in engine.rows() if row["metrics"]]
    config = {
        "rule_files": [str(RULES / "*.yml")],
        "scrape_configs": [{"job_name": "seaway", "static_configs": targets}],
    }
    running = Prometheus(tmp_path_factory.mktemp("prometheus"), config)
    try:
        running.start()
        yield running
    finally:
        running.stop()


def _target(engine: Seaway, service: str, url: str) -> dict[str, object]:
    labels = {"service": service, "node": engine.node, "instance": f"{service}/{engine.node}"}
    return {"targets": [urllib.parse.urlsplit(url).netloc], "labels": labels}


def _is_quiet(query: Query) -> bool:
    return query.place in QUIET or not QUIET.keys().isdisjoint(metrics(query.text))


def without_data(prometheus: Prometheus, cli: DockerCli, queries: Iterable[Query]) -> set[Query]:
    """The queries that find nothing, while containers are started and end."""
    waiting = {query for query in queries if not _is_quiet(query)}
    assert waiting

    def none() -> bool:
        cli("run", "--rm", "busybox", "true")
        waiting.difference_update([query for query in waiting if prometheus.has_data(query.text)])
        return not waiting

    with contextlib.suppress(TimeoutError):
        eventually(none, "data for each query", 60)
    return waiting


def test_dashboards(prometheus: Prometheus, docker_cli: DockerCli, busy: str) -> None:
    queries = dashboard_queries({"$name": busy})
    assert without_data(prometheus, docker_cli, queries) == set()


def test_rules(prometheus: Prometheus, docker_cli: DockerCli) -> None:
    """Of an alert's query what it measures: whether that is bad or not."""
    queries = [Query(query.place, measured(query.text)) for query in rule_queries()]
    assert without_data(prometheus, docker_cli, queries) == set()


@pytest.mark.parametrize("number", CADVISOR)
def test_dashboards_for_cadvisor(prometheus: Prometheus, docker_cli: DockerCli, busy: str, number: int) -> None:
    texts = [text.replace("$host", ".*").replace("$container", busy) for text in CADVISOR[number]]
    assert without_data(prometheus, docker_cli, [Query(text, text) for text in texts]) == set()
