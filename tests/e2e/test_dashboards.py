"""Every query of the dashboards and rules, and of well-known dashboards for cAdvisor, finds data in a healthy suite."""

import contextlib
import math
from collections.abc import Iterable, Iterator

import pytest
import yaml
from e2e_rig.docker_cli import DockerCli
from e2e_rig.prometheus import Prometheus, scraping
from e2e_rig.seaway import Seaway
from e2e_rig.waits import eventually
from tests.prometheus_queries import DEPLOY, RULES, Query, dashboard_queries, measured, metrics, rule_queries

pytestmark = [pytest.mark.seaway_only, pytest.mark.timeout(300)]

PRESSURE = [
    f"container_pressure_{what}_{how}_seconds_total"
    for what in ("cpu", "memory", "io")
    for how in ("waiting", "stalled")
]
QUIET = {
    "seaway_bus_outbox_dropped_total": "a series begins with the first event that is dropped",
    "seaway_bus_foreign_total": "a series begins with the first thing that a node says of another one's container",
    "seaway_metadata_purged_events_total": "a series begins with the first event that is removed from a full stream",
    "seaway_scheduler_refusals_total": "a series begins with the first container for which no node is found",
    "container_fs_reads_total": "the kernel counts I/O of some disks only; test_metrics.py has one of these",
    "container_fs_reads_bytes_total": "the same",
    "container_fs_writes_total": "the same",
    "container_fs_writes_bytes_total": "the same",
    **dict.fromkeys(PRESSURE, "the kernel may have no PSI (pressure stall information)"),
    "SeawayApiErrors": "no request has failed",
    "SeawayServiceUnknown": "all services are known",
}
"""What may have no data in a healthy suite, by metric or alert, and why."""

_OF_14282 = 'instance=~"$host",name=~"$container",name=~".+"'
OTHERS = {  # grafana.com/grafana/dashboards/193 (Docker monitoring) and 14282 (Cadvisor exporter); parts of more
    "193": (
        'count(container_last_seen{image!=""})',
        'sum(container_memory_usage_bytes{image!=""})/1024/1024',
        'sum(rate(container_cpu_user_seconds_total{image!=""}[5m]) * 100)',
        'rate(container_cpu_user_seconds_total{image!=""}[5m]) * 100',
        'container_memory_usage_bytes{image!=""}',
        'irate(container_network_receive_bytes_total{image!=""}[5m])',
        'irate(container_network_transmit_bytes_total{image!=""}[5m])',
    ),
    "14282": (
        f"sum(rate(container_cpu_usage_seconds_total{{{_OF_14282}}}[5m])) by (name) *100",
        f"sum(container_memory_rss{{{_OF_14282}}}) by (name)",
        f"sum(container_memory_cache{{{_OF_14282}}}) by (name)",
        f"sum(rate(container_network_receive_bytes_total{{{_OF_14282}}}[5m])) by (name)",
        f"sum(rate(container_network_transmit_bytes_total{{{_OF_14282}}}[5m])) by (name)",
        f"(time() - container_start_time_seconds{{{_OF_14282}}})/86400",
        '{__name__=~"container.*",instance=~"$host"}',
    ),
    "179, 893 and others": (
        'count(rate(container_last_seen{name=~".+"}[5m]))',
        'sum(container_memory_swap{name=~".+"}) by (name)',
        'sum(container_memory_working_set_bytes{id="/"}) / sum(machine_memory_bytes) * 100',
        'sum(rate(container_cpu_usage_seconds_total{id="/"}[5m])) / sum(machine_cpu_cores) * 100',
        'label_replace(cadvisor_version_info, "host", "$1", "instance", "(.*)")',
    ),
    "dockerd's": (
        'engine_daemon_container_states_containers{state="running"}',
        "rate(engine_daemon_container_actions_seconds_sum[5m])",
        "engine_daemon_engine_info",
    ),
}
"""What well-known dashboards for cAdvisor and dockerd ask for."""


@pytest.fixture(scope="module")
def busy(engine: Seaway, docker_cli: DockerCli) -> Iterator[str]:
    """A container that works and asks for names, with limits, a network of users and a volume; its name.

    Beside it one that has ended and was restarted once.
    """
    docker_cli("network", "create", "dashboards")
    joined = ["--network", "dashboards", "--volume", "dashboards:/data"]
    limits = ["--memory", "64m", "--cpus", "0.5", "--health-cmd", "true", "--health-interval", "1s"]
    script = "while :; do nslookup busy >/dev/null; done"
    docker_cli("run", "-d", "--name", "busy", *joined, *limits, "busybox", "sh", "-c", script)
    docker_cli("run", "-d", "--name", "ended", "--restart", "on-failure:1", "busybox", "false")
    yield "busy"
    engine.api.remove_all()
    engine.api.remove_networks()
    engine.api.remove_volumes()


@pytest.fixture(scope="module")
def prometheus(engine: Seaway, busy: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """As deploy/prometheus has it: it asks the API alone for the suite's metrics, and evaluates the rules."""
    config = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text())
    (job,) = (job for job in config["scrape_configs"] if job["job_name"] == "seaway")
    url = engine.row("api")["metrics"].replace("/metrics", "/sd")
    made = {"job_name": job["job_name"], "http_sd_configs": [{"url": url, "refresh_interval": "1s"}]}
    with scraping(tmp_path_factory.mktemp("prometheus"), made, rules=str(RULES / "*.yml")) as running:
        yield running


def _is_quiet(query: Query) -> bool:
    return query.place in QUIET or not QUIET.keys().isdisjoint(metrics(query.text))


def has_data(prometheus: Prometheus, query: Query) -> bool:
    """Whether a query finds a sample that is a number."""
    return any(not math.isnan(float(sample["value"][1])) for sample in prometheus.ask(query.text))


def without_data(prometheus: Prometheus, cli: DockerCli, queries: Iterable[Query]) -> set[Query]:
    """The queries that find nothing, while containers are started and end."""
    waiting = {query for query in queries if not _is_quiet(query)}
    assert waiting

    def none() -> bool:
        cli("run", "--rm", "busybox", "true")
        waiting.difference_update([query for query in waiting if has_data(prometheus, query)])
        return not waiting

    with contextlib.suppress(TimeoutError):
        eventually(none, "data for each query", 120)  # sizes of writable layers are measured once a minute
    return waiting


def test_what_may_be_quiet_is_asked_for() -> None:
    queries = [*dashboard_queries(), *rule_queries()]
    assert QUIET.keys() <= {query.place for query in queries}.union(*(metrics(query.text) for query in queries))


def test_dashboards(prometheus: Prometheus, docker_cli: DockerCli, busy: str) -> None:
    queries = dashboard_queries({"$name": f"{busy}|ended"})
    assert not without_data(prometheus, docker_cli, queries)


def test_rules(prometheus: Prometheus, docker_cli: DockerCli) -> None:
    """Of an alert's query what it measures: whether that is bad or not."""
    queries = [Query(query.place, measured(query.text)) for query in rule_queries()]
    assert not without_data(prometheus, docker_cli, queries)


@pytest.mark.parametrize("dashboard", OTHERS)
def test_dashboards_of_others(prometheus: Prometheus, docker_cli: DockerCli, busy: str, dashboard: str) -> None:
    texts = [text.replace("$host", ".*").replace("$container", busy) for text in OTHERS[dashboard]]
    assert not without_data(prometheus, docker_cli, [Query(text, text) for text in texts])
