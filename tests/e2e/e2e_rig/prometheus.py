"""The real Prometheus, scraping a suite."""

import json
import math
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any, Final

from e2e_rig.engine import Daemon
from seaway_testing.ports import free_port

_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
_INTERVALS: Final = {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"}


class Prometheus:
    """One with this configuration, to which it adds short intervals; its data are in `directory`."""

    def __init__(self, directory: Path, config: dict[str, Any]) -> None:
        (directory / "prometheus.yml").write_text(json.dumps(config | {"global": _INTERVALS}))
        listen = f"127.0.0.1:{free_port()}"
        self.url = f"http://{listen}"
        words = ["prometheus", f"--config.file={directory}/prometheus.yml", f"--storage.tsdb.path={directory}/data"]
        self._daemon = Daemon([*words, f"--web.listen-address={listen}"], directory / "prometheus.out")

    def start(self) -> None:
        """Wait until it answers."""
        self._daemon.until(self._is_ready, "Prometheus")

    def stop(self) -> None:
        """End it."""
        self._daemon.stop()

    def _is_ready(self) -> bool:
        try:
            return bool(fetch(f"{self.url}/-/ready"))
        except OSError:
            return False

    def ask(self, query: str) -> list[dict[str, Any]]:
        """The samples that a query finds now."""
        url = f"{self.url}/api/v1/query?{urllib.parse.urlencode({'query': query})}"
        return list(json.loads(fetch(url))["data"]["result"])

    def has_data(self, query: str) -> bool:
        """Whether a query finds a sample that is a number."""
        return any(not math.isnan(float(sample["value"][1])) for sample in self.ask(query))


def fetch(url: str) -> str:
    """What a page says."""
    with _opener.open(url, timeout=10) as reply:
        return str(reply.read().decode())
