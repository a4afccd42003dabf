"""A suite that nobody supervises: each service a program of its own, as systemd would start it, to be replaced."""

import os
from pathlib import Path

from e2e_rig.api import Api
from e2e_rig.engine import Daemon
from e2e_rig.seaway import COMMANDS, seaway

from seaway_testing.nats_server import NatsServer

_HERE = Path(__file__).parent
_RELEASED = sorted((_HERE.parents[1] / "contract" / "released").glob("asyncapi-*.json"))[-1]
ORDER = ("image", "metadata", "scheduler", "agent", "api")
_BESIDE = ("metadata", "scheduler")


class Pieces:
    """`start` all as the last release spoke, `replace` one by one by what is here."""

    def __init__(self, place: Path, nats: NatsServer) -> None:
        self.root, self.run = place / "root", place / "run"
        self.nats_url, self.login = nats.url, ("", "")
        self.api = Api(str(self.run / "docker.sock"))
        self._running: dict[str, Daemon] = {}
        for path in (self.root, self.run):
            path.mkdir(parents=True)

    @property
    def release(self) -> str:
        """Whose catalogue is spoken first."""
        return _RELEASED.stem.partition("-")[2]

    def start(self) -> None:
        """All of them."""
        environment = {"PYTHONPATH": str(_HERE / "released"), "SEAWAY_RELEASED_CATALOGUE": str(_RELEASED)}
        for service in ORDER:
            self._running[service] = self._started(service, environment)

    def replace(self, service: str) -> None:
        """Orderly: where two can be, the new one is there before the old one goes."""
        old = self._running[service]
        if service in _BESIDE:
            self._running[service] = self._started(service, {})
            assert old.stop() == 0
        else:
            assert old.stop() == 0
            self._running[service] = self._started(service, {})

    def _started(self, service: str, environment: dict[str, str]) -> Daemon:
        log = self.run.parent / f"{service}.log"
        said = log.read_text().count("is ready") if log.exists() else 0
        words = [str(COMMANDS / f"seaway-{service}"), "--root", str(self.root), "--run", str(self.run)]
        words += ["--node", "n1", "--nats", self.nats_url]
        daemon = Daemon(words, log, os.environ | environment)
        daemon.until(lambda: log.read_text().count("is ready") > said, service, 60)
        return daemon

    def close(self) -> None:
        """Stop all, and remove what the agent made."""
        for service in reversed(ORDER):
            if service in self._running:
                self._running.pop(service).stop()
        done = seaway("purge", "--root", str(self.root), "--run", str(self.run))
        assert done.returncode == 0, done.stderr
