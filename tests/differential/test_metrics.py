"""dockerd's metrics have the same names, types, labels and bounds here."""

import urllib.request
from contextlib import AbstractContextManager
from pathlib import Path

from differ.pair import DOCKER_METRICS, Pair
from e2e_rig.docker_cli import DockerCli
from e2e_rig.engine import Engine
from e2e_rig.seaway import Seaway
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def families(url: str, world: AbstractContextManager[None]) -> list[Metric]:
    with world, _opener.open(url, timeout=10) as reply:
        return list(text_string_to_metric_families(reply.read().decode()))


def work(engine: Engine, config: Path) -> None:
    """What dockerd has metrics of."""
    cli = DockerCli(engine.host, config)
    cli("network", "create", "measured")
    container = cli("run", "-d", "busybox", "sleep", "60").out
    cli("network", "connect", "measured", container)
    cli("diff", container)
    cli("commit", container, "measured:1")
    cli("info")
    cli("version")
    cli("rm", "--force", container)
    cli("network", "rm", "measured")
    cli("history", "measured:1")
    cli("tag", "measured:1", "127.0.0.1:1/measured:1")
    cli.try_("push", "127.0.0.1:1/measured:1")  # nothing listens there
    cli("rmi", "measured:1", "127.0.0.1:1/measured:1")


def shapes(found: list[Metric]) -> dict[tuple[str, str], set[tuple[str, object]]]:
    """By type and name of the engine's samples: the names of their labels, with the values of those that have few."""
    known: dict[tuple[str, str], set[tuple[str, object]]] = {}
    for family in found:
        for name, labels in ((sample.name, sample.labels) for sample in family.samples):
            if name.startswith("engine_daemon_"):
                words = known.setdefault((family.type, name), set())
                words |= {(key, _value(key, text)) for key, text in labels.items()}
    return known


def _value(label: str, text: str) -> object:
    if label == "le":
        return float(text)
    return text if label in ("state", "action") else ""


def test_dockerd_s_families_are_all_here(pair: Pair, tmp_path: Path) -> None:
    assert isinstance(pair.seaway, Seaway)
    for engine in (pair.docker, pair.seaway):
        work(engine, tmp_path)
    theirs = families(f"http://{DOCKER_METRICS}/metrics", pair.worlds[pair.docker].inside())
    urls = {row["service"]: row["metrics"] for row in pair.seaway.rows()}
    ours = [one for service in ("agent", "api") for one in families(urls[service], pair.worlds[pair.seaway].inside())]
    assert shapes(ours) == shapes(theirs)
