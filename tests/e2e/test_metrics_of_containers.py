"""What actions, states, labels and networks of containers leave in the metrics."""

import urllib.request

import pytest
from e2e_rig.docker_cli import DockerCli
from e2e_rig.seaway import Seaway
from e2e_rig.waits import eventually
from prometheus_client.parser import text_string_to_metric_families

pytestmark = pytest.mark.seaway_only
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
Labels = dict[str, str]


def samples(url: str) -> list[tuple[str, Labels, float]]:
    with _opener.open(url, timeout=10) as reply:
        text = reply.read().decode()
    return [
        (sample.name, sample.labels, sample.value)
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    ]


def of(engine: Seaway, *services: str) -> list[tuple[str, Labels, float]]:
    """All samples of services."""
    urls = {row["service"]: row["metrics"] for row in engine.rows() if row["metrics"]}
    return [sample for service in services for sample in samples(urls[service])]


def values(engine: Seaway, metric: str, **labels: str) -> list[float]:
    """The values of an agent's metric with these labels."""
    return [value for name, own, value in of(engine, "agent") if name == metric and labels.items() <= own.items()]


def test_actions_and_states_are_counted(engine: Seaway, cli: DockerCli) -> None:
    def counted(action: str) -> float:
        return sum(values(engine, "engine_daemon_container_actions_seconds_count", action=action))

    before = {action: counted(action) for action in ("create", "start", "delete")}
    container = cli("run", "-d", "busybox", "sleep", "60").out
    assert values(engine, "engine_daemon_container_states_containers", state="running") == [1]
    cli("pause", container)
    assert values(engine, "engine_daemon_container_states_containers", state="paused") == [1]
    cli("rm", "--force", container)
    assert {action: counted(action) - number for action, number in before.items()} == dict.fromkeys(before, 1)


def test_the_state_of_containers(engine: Seaway, cli: DockerCli, name: str) -> None:
    assert cli.try_("run", "--name", name, "busybox", "sh", "-c", "exit 3").code == 3
    assert values(engine, "seaway_container_exit_code", name=name) == [3]
    assert values(engine, "seaway_container_state", name=name, state="exited") == [1]
    assert not values(engine, "container_processes", name=name)
    ill = cli("run", "-d", "--health-cmd", "test -e /well", "--health-interval", "100ms", "busybox", "sleep", "60").out
    probed = values(engine, "engine_daemon_health_checks_total")
    eventually(lambda: values(engine, "engine_daemon_health_checks_failed_total") > [0], "a probe that failed", 20)
    assert [value for n, own, value in of(engine, "agent") if n == "container_health_state" and ill in own["id"]] == [0]
    cli("exec", ill, "touch", "/well")

    def health() -> list[float]:
        return [value for n, own, value in of(engine, "agent") if n == "container_health_state" and ill in own["id"]]

    eventually(lambda: health() == [1], "a healthy container", 20)
    assert values(engine, "engine_daemon_health_checks_total") > probed


def test_labels_of_compose_are_labels_by_default(engine: Seaway, cli: DockerCli, name: str) -> None:
    labels = ["--label", "com.docker.compose.project=shop", "--label", "secret=s3cret"]
    cli("run", "-d", "--name", name, *labels, "busybox", "sleep", "60")
    shown = [own for n, own, _ in of(engine, "agent") if own.get("name") == name and n.startswith("container_")]
    assert shown and all(own["container_label_com_docker_compose_project"] == "shop" for own in shown)
    assert not [own for own in shown if "s3cret" in own.values()]


def test_networks_of_users(engine: Seaway, cli: DockerCli, name: str) -> None:
    """Each interface has its counters, questions are counted, and so are addresses."""
    for network in ("first", "second"):
        cli("network", "create", network)
    cli("run", "-d", "--name", name, "--network", "first", "busybox", "sleep", "60")
    cli("network", "connect", "second", name)

    def asked() -> float:
        return sum(values(engine, "seaway_agent_dns_queries_total", outcome="answered"))

    before = asked()
    cli("exec", name, "nslookup", "-type=a", name)
    eventually(lambda: asked() > before, "a counted question", 20)

    def interfaces() -> set[str]:
        found = of(engine, "agent")
        counted = [own for n, own, value in found if n == "container_network_transmit_packets_total" and value >= 0]
        return {own["interface"] for own in counted if own["name"] == name}

    eventually(lambda: interfaces() == {"eth0", "eth1"}, "both interfaces", 20)
    assert values(engine, "seaway_agent_network_endpoints", network="first") == [1]
    used = {own["network"]: value for n, own, value in of(engine, "metadata") if n == "seaway_network_addresses_used"}
    assert (used["first"], used["second"]) == (1, 1)
    sizes = {own["network"]: value for n, own, value in of(engine, "metadata") if n == "seaway_network_addresses"}
    assert sizes["first"] > 200


def test_a_refused_placement_counts_the_filter(engine: Seaway, cli: DockerCli) -> None:
    def refused() -> float:
        found = of(engine, "scheduler")
        return sum(v for n, own, v in found if n == "seaway_scheduler_refusals_total" and own["filter"] == "constraint")

    before = refused()
    assert cli.try_("create", "-e", "constraint:node.labels.disk==none", "busybox").code != 0
    assert refused() == before + 1
