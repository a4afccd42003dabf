"""The real Prometheus, with scrape configurations of a test."""

import contextlib
import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from e2e_rig.engine import Daemon
from seaway_testing.ports import free_port

_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def fetch(url: str, **headers: str) -> tuple[int, str]:
    """Status and body of an answer. Raises OSError if there is none."""
    try:
        with _opener.open(urllib.request.Request(url, headers=headers), timeout=20) as reply:
            return int(reply.status), str(reply.read().decode())
    except urllib.error.HTTPError as refused:
        return refused.code, refused.read().decode()


class Prometheus:
    """A running one."""

    def __init__(self, url: str) -> None:
        self._url = url

    def ready(self) -> bool:
        """Whether it answers."""
        try:
            return fetch(f"{self._url}/-/ready")[0] == 200
        except OSError:
            return False

    def ask(self, query: str) -> list[dict[str, Any]]:
        """The answer to a query: series with their value now."""
        words = urllib.parse.urlencode({"query": query})
        return list(json.loads(fetch(f"{self._url}/api/v1/query?{words}")[1])["data"]["result"])

    def targets(self) -> list[dict[str, Any]]:
        """What it scrapes."""
        return list(json.loads(fetch(f"{self._url}/api/v1/targets")[1])["data"]["activeTargets"])


@contextlib.contextmanager
def scraping(place: Path, *jobs: dict[str, Any], rules: str = "") -> Iterator[Prometheus]:
    """Run Prometheus with these jobs, each second, and files of rules (a pattern); ends it afterwards."""
    every = {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"}
    config = {"global": every, "scrape_configs": jobs, "rule_files": [rules] if rules else []}
    (place / "prometheus.yml").write_text(json.dumps(config))
    listen = f"127.0.0.1:{free_port()}"
    words = ["prometheus", f"--config.file={place}/prometheus.yml", f"--storage.tsdb.path={place}/data"]
    daemon = Daemon([*words, f"--web.listen-address={listen}"], place / "prometheus.out")
    made = Prometheus(f"http://{listen}")
    try:
        daemon.until(made.ready, "Prometheus")
        yield made
    finally:
        daemon.stop()
