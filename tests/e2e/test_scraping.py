"""The real Prometheus finds all of the cluster at one port, and containers by its docker_sd."""

import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from e2e_rig import images
from e2e_rig.docker_cli import DockerCli
from e2e_rig.prometheus import Prometheus, fetch, scraping
from e2e_rig.seaway import Seaway, seaway
from e2e_rig.waits import eventually
from test_nodes import Second

from seaway_testing.ports import free_ports

pytestmark = [pytest.mark.seaway_only, pytest.mark.own_engines]
TOKEN = "a-token-of-this-test"
SERVICES = {"api", "metadata", "scheduler", "image", "agent"}


@pytest.fixture(scope="module")
def token(e2e_directory: Path) -> Path:
    file = e2e_directory / "scraping-token"
    file.write_text(f"{TOKEN}\n")
    file.chmod(0o600)
    return file


@pytest.fixture(scope="module")
def base() -> int:
    return free_ports(5)[0]


@pytest.fixture(scope="module")
def suite(e2e_directory: Path, token: Path, base: int) -> Iterator[Seaway]:
    """A suite with fixed ports and a token."""
    made = Seaway(e2e_directory / "scraped", up=("--metrics-port", str(base), "--metrics-token-file", str(token)))
    made.start()
    DockerCli(made.host, e2e_directory)("load", "-q", input=images.busybox_archive())
    yield made
    made.purge()


@pytest.fixture
def docker(suite: Seaway, docker_config: Path) -> Iterator[DockerCli]:
    yield DockerCli(suite.host, docker_config)
    suite.api.remove_all()


def cluster(base: int, token: Path) -> dict[str, Any]:
    """The scrape configuration of docs/metrics.md, with a token."""
    authorization = {"credentials_file": str(token)}
    discovery = {"url": f"http://127.0.0.1:{base}/sd", "authorization": authorization, "refresh_interval": "1s"}
    return {"job_name": "seaway", "authorization": authorization, "http_sd_configs": [discovery]}


def up(prometheus: Prometheus) -> dict[str, str]:
    return {row["metric"]["service"]: row["value"][1] for row in prometheus.ask('up{node="n1"}')}


def test_each_service_has_its_port(suite: Seaway, base: int) -> None:
    ports = {row["service"]: int(row["metrics"].split(":")[-1].split("/")[0]) for row in suite.rows() if row["metrics"]}
    assert ports == {"api": base, "metadata": base + 1, "scheduler": base + 2, "image": base + 3, "agent": base + 4}


def test_a_second_suite_is_refused_with_a_way_out(suite: Seaway, base: int, e2e_directory: Path) -> None:
    place = e2e_directory / "second-suite"
    words = ("--root", f"{place}/root", "--run", f"{place}/run", "--detach", "--metrics-port", str(base))
    done = seaway("up", *words)
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1
    assert f"port {base} of 127.0.0.1, for the metrics of api, can't be had (Address already in use)" in done.stderr
    assert "give another first port by --metrics-port, or 0 for any free ones" in done.stderr
    assert not (place / "root").exists() and not (place / "run").exists()


def test_a_killed_service_has_the_same_port(suite: Seaway) -> None:
    for service in ("agent", "scheduler"):
        row = suite.row(service)
        os.kill(row["pid"], signal.SIGKILL)
        suite.restarted(service, row["pid"])
        assert suite.row(service)["metrics"] == row["metrics"]


def test_one_port_shows_the_cluster(suite: Seaway, docker: DockerCli, base: int, token: Path, tmp_path: Path) -> None:
    container = docker("run", "-d", "--name", "busy", "busybox", "sleep", "300").out
    with scraping(tmp_path, cluster(base, token)) as prometheus:
        eventually(lambda: up(prometheus) == dict.fromkeys(SERVICES, "1"), "all services up", 60)
        query = 'container_memory_usage_bytes{name="busy"}'
        (memory,) = eventually(lambda: prometheus.ask(query), "the container's metrics", 30)
    labels = memory["metric"]
    assert (labels["service"], labels["node"], labels["instance"]) == ("agent", "n1", "agent/n1")
    assert container in labels["id"]


def test_a_second_agent_takes_the_next_port_and_says_so(
    suite: Seaway, base: int, e2e_directory: Path, token: Path, tmp_path: Path
) -> None:
    place = e2e_directory / "scraped-second"
    place.mkdir()
    first = base + 4  # of the suite's own agent
    words = ("--metrics", f"127.0.0.1:{first}-{first + 99}", "--metrics-token-file", str(token))
    second = Second(suite, place, *words)
    second.start()
    try:
        found = re.search(rf"port {first} is taken; metrics are at port (\d+)", second.log)
        assert found and first < int(found[1]) < first + 100, second.log
        assert f"agent is ready; metrics at http://127.0.0.1:{found[1]}/metrics" in second.log
        with scraping(tmp_path, cluster(base, token)) as prometheus:
            eventually(lambda: prometheus.ask('up{service="agent", node="n2"} == 1'), "the second agent up", 60)
    finally:
        second.stop()
        assert seaway("purge", "--root", f"{place}/root", "--run", f"{place}/run").returncode == 0
    removed = seaway("node", "rm", "n2", "--root", str(suite.root), "--run", str(suite.run))
    assert removed.returncode == 0, removed.stderr


def test_without_the_token_nothing_is_shown(suite: Seaway, base: int) -> None:
    for path in ("/sd", "/metrics/of/agent/n1", "/metrics/of/api/n1", "/other"):
        assert fetch(f"http://127.0.0.1:{base}{path}")[0] == 401
        assert fetch(f"http://127.0.0.1:{base}{path}", Authorization=f"Bearer {TOKEN}x")[0] == 401


def test_a_service_that_is_silent_is_down(suite: Seaway, base: int, token: Path, tmp_path: Path) -> None:
    with scraping(tmp_path, cluster(base, token)) as prometheus:
        eventually(lambda: up(prometheus) == dict.fromkeys(SERVICES, "1"), "all services up", 60)
        pid = suite.row("scheduler")["pid"]
        os.kill(pid, signal.SIGSTOP)
        try:
            expected = dict.fromkeys(SERVICES, "1") | {"scheduler": "0"}
            eventually(lambda: up(prometheus) == expected, "the scheduler alone to be down", 30)
            status, reason = fetch(
                f"http://127.0.0.1:{base}/metrics/of/scheduler/n1",
                Authorization=f"Bearer {TOKEN}",
                **{"X-Prometheus-Scrape-Timeout-Seconds": "1"},
            )
        finally:
            os.kill(pid, signal.SIGCONT)
        assert status == 503 and reason.startswith("the scheduler service did not answer metrics.read in time")
        eventually(lambda: up(prometheus) == dict.fromkeys(SERVICES, "1"), "the scheduler to be up again", 30)


def test_docker_sd_finds_containers(suite: Seaway, docker: DockerCli, tmp_path: Path) -> None:
    page = "mkdir /www; echo 'answer 42' >/www/metrics; exec httpd -f -p 8080 -h /www"
    for name, labels in (("shown", ["--label", "scrape=yes"]), ("hidden", [])):
        docker("run", "-d", "--name", name, *labels, "--expose", "8080", "busybox", "sh", "-c", page)
    job = {
        "job_name": "containers",
        "docker_sd_configs": [{"host": suite.host, "refresh_interval": "1s"}],
        "relabel_configs": [
            {"source_labels": ["__meta_docker_container_label_scrape"], "regex": "yes", "action": "keep"},
            {"source_labels": ["__meta_docker_container_name"], "target_label": "container"},
            {"source_labels": ["__meta_docker_network_name"], "target_label": "network"},
            {"source_labels": ["__meta_docker_port_private"], "target_label": "port"},
        ],
    }
    with scraping(tmp_path, job) as prometheus:
        (answer,) = eventually(lambda: prometheus.ask("answer == 42"), "the container's own metrics", 60)
        labels_found = answer["metric"]
        shown = (labels_found["container"], labels_found["network"], labels_found["port"])
        assert shown == ("/shown", "bridge", "8080")
        filtered = {"host": suite.host, "filters": [{"name": "label", "values": ["scrape=yes"]}]}
        assert len(prometheus.targets()) == 1
    (tmp_path / "filtered").mkdir()
    with scraping(tmp_path / "filtered", {"job_name": "filtered", "docker_sd_configs": [filtered]}) as prometheus:
        eventually(lambda: [target["health"] for target in prometheus.targets()] == ["up"], "one target", 60)
