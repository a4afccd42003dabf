"""Five hosts of the lab as a cluster under fire: their agents, two schedulers, links, and what they have on disk."""

import json
import sqlite3
import ssl
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from deploy.lab import Lab, LabError
from deploy.lab.hosts import Node
from e2e_rig import images
from e2e_rig.api import Api
from e2e_rig.seaway import COMMANDS
from e2e_rig.waits import eventually
from e2e_rig.world import entered

from chaos_rig import stream
from seaway_agent.kernel import cgroups
from seaway_cli import control
from seaway_contracts.containers import ContainerSpec

T = TypeVar("T")
UNIT = 64 << 20
"""Containers reserve multiples of this. Bytes."""
_WHOLE_S = 90.0
_OVERCOMMIT = 0.5
_SOFT_LIMITS = ("memory.soft_limit_in_bytes", "memory.low")
_NO_LIMIT = 1 << 60


@dataclass(frozen=True)
class Stored:
    """A container as its node has it on disk."""

    id: str
    name: str
    reserved: int


class LabCluster:
    """`lab` is up. `units`: so many units of memory can be reserved on each node."""

    def __init__(self, lab: Lab, units: int) -> None:
        self.lab, self.units = lab, units
        self.api = Api(lab.endpoint.removeprefix("unix://"))
        self.nodes = [lab.server.name, *(node.name for node in lab.nodes)]
        self._scheduler = SecondScheduler(lab)

    def prepare(self) -> None:
        """Load the image, make the nodes small, start the second scheduler."""
        headers = {"Content-Type": "application/x-tar"}
        reply = self.api.request("POST", "/images/load", images.busybox_archive(), headers)
        assert reply.status == 200, reply
        self._seaway("cluster", "update", "--memory-overcommit", str(_OVERCOMMIT))
        for record in self.records():
            kept_free = int(record["capacity"]["memory"] * _OVERCOMMIT) - self.room
            self._seaway("node", "reserve", record["node"], "--memory", str(kept_free))
        self._scheduler.start()
        self.whole()

    @property
    def room(self) -> int:
        """What can be reserved on a node. Bytes."""
        return self.units * UNIT

    def records(self) -> list[dict[str, Any]]:
        """`seaway node ls`."""
        return list(json.loads(self._seaway("node", "ls", "--json")))

    def _seaway(self, *words: str) -> str:
        server = self.lab.server
        own = ("--root", str(server.root), "--run", str(server.run))
        return server.machine.run(str(COMMANDS / "seaway"), *words, *own)

    # --- hits

    def kill_service(self, service: str) -> bool:
        """Kill a service of the first host, which `seaway up` starts again; whether it was there."""
        row = next((row for row in self._rows() if row["service"] == service), None)
        if row is None or not row["pid"]:
            return False
        with suppress(LabError):  # it may have ended by another hit
            self.lab.server.machine.run("kill", "-KILL", str(row["pid"]))
            return True
        return False

    def kill_scheduler(self) -> bool:
        """Kill the second scheduler, and start the next one; whether it was there."""
        was_there = self._scheduler.kill()
        self._scheduler.start()
        return was_there

    def kill_agent(self, name: str) -> bool:
        """Kill a node's agent; whether it was there. On the first host `seaway up` starts the next one."""
        host = self.lab.host(name)
        if not isinstance(host, Node):
            return self.kill_service("agent")
        with suppress(LabError):
            host.kill_agent()
            return True
        return False

    def start_agent(self, name: str) -> None:
        """Start the next agent, without waiting for it."""
        host = self.lab.host(name)
        if isinstance(host, Node):
            host.start()

    def cut_power(self, name: str) -> None:
        """All on a host ends; not on the first one, which has the API."""
        self.lab.kill(name)

    def boot(self, name: str) -> None:
        """Boot it, and start its agent, without waiting for it."""
        self.lab.start(name, wait=False)
        self._scheduler.start()

    # --- the end

    def whole(self) -> None:
        """Wait until all is ready, each node up and each beat newer than what was done before."""
        ended = [node.name for node in self.lab.nodes if not node.has_agent]
        assert ended == [], f"agents that have ended by themselves: {ended}"
        self._scheduler.start()
        began = self._beats()

        def ready() -> bool:
            rows = self._rows()
            return bool(rows) and all(row["state"] == "ready" for row in rows) and self._scheduler.is_ready

        eventually(ready, "all services ready", _WHOLE_S)

        def beaten() -> bool:
            now = self._beats()
            up = all(record["state"] == "up" for record in self.records())
            return up and len(now) == len(self.nodes) and all(now[name] > began.get(name, 0) for name in now)

        eventually(beaten, "a beat of each node", _WHOLE_S)

    def _beats(self) -> dict[str, int]:
        try:
            return {record["node"]: record["last_beat_ns"] for record in self.records()}
        except LabError:  # metadata is not there just now
            return {}

    def _rows(self) -> list[dict[str, Any]]:
        with suppress(control.NotRunning):
            return list(control.ask(self.lab.server.run / "control.sock", "status")["services"])
        return []

    # --- what the nodes have

    def stored(self, name: str) -> list[Stored]:
        """The containers in a node's database."""
        path = self.lab.host(name).root / "agent" / name / "agent.db"
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
            rows = db.execute("SELECT spec FROM container").fetchall()
        specs = [ContainerSpec.model_validate_json(row[0]) for row in rows]
        return [Stored(spec.id, spec.name, spec.resources.memory_reservation) for spec in specs]

    def in_cgroups(self, name: str) -> int:
        """What the kernel is told to keep for the running containers of a node. Bytes."""
        return sum(self._soft_limits(name))

    def _soft_limits(self, name: str) -> Iterator[int]:
        for directory in cgroups.host_layout().directories(self.lab.host(name).machine.cgroup):
            for file in _SOFT_LIMITS:
                for path in Path(directory).rglob(file):
                    with suppress(OSError, ValueError):  # its container has ended
                        limit = int(path.read_text())
                        yield limit if limit < _NO_LIMIT else 0

    # --- the bus

    def numbered(self, since: float) -> dict[str, list[tuple[int, str]]]:
        """Number and action of each container's events in the stream, read on the first host's network."""
        server = self.lab.server
        identity = json.loads((server.root / "suite.json").read_text())
        url = f"tls://{server.address}:{identity['nats_port']}"
        login = ("cli", (server.root / "secrets" / "cli").read_text().strip())
        tls = ssl.create_default_context(cafile=str(server.ca))
        return self._on_the_server(lambda: stream.numbered(url, login, since, tls))

    def _on_the_server(self, work: Callable[[], T]) -> T:
        def there() -> T:
            with entered(self.lab.server.machine.pid):
                return work()

        with ThreadPoolExecutor(1) as threads:
            return threads.submit(there).result()

    def log(self) -> str:
        """The ends of what all have said."""
        paths = [*(node.log for node in self.lab.nodes), self._scheduler.log_file]
        paths += sorted((self.lab.server.run / "log").glob("*.log"))
        return "\n".join(f"--- {path}\n{path.read_text()[-4000:]}" for path in paths if path.exists())


class SecondScheduler:
    """A scheduler on the second host: it is parted from the bus with its host, and ends with it."""

    def __init__(self, lab: Lab) -> None:
        self._lab, self._host = lab, lab.nodes[0]
        self.log_file = self._host.directory / "scheduler.log"
        self._ready_before = 0

    def start(self) -> None:
        """Start it, if it doesn't run and its host does."""
        if self.is_running or not self._host.machine.is_on:
            return
        server, place = self._lab.server, self._host.directory / "scheduler"
        identity = json.loads((server.root / "suite.json").read_text())
        words = [str(COMMANDS / "seaway-scheduler"), "--root", f"{place}/root", "--run", f"{place}/run"]
        words += ["--nats", f"tls://{server.address}:{identity['nats_port']}", "--nats-ca", str(server.ca)]
        words += ["--nats-user", "scheduler", "--nats-password-file", str(server.root / "secrets" / "scheduler")]
        self._ready_before = self._readiness()
        self._host.machine.start(words, self.log_file)

    def kill(self) -> bool:
        """Kill it; whether it ran."""
        with suppress(LabError):
            self._host.machine.run("pkill", "-KILL", "-f", f"{COMMANDS}/seaway-scheduler ")
            eventually(lambda: not self.is_running, "the scheduler's end")
            return True
        return False

    @property
    def is_running(self) -> bool:
        """Whether its process is there."""
        with suppress(LabError):
            return bool(self._host.machine.run("pgrep", "-f", f"{COMMANDS}/seaway-scheduler "))
        return False

    @property
    def is_ready(self) -> bool:
        """Whether it runs and has said that it is ready."""
        return self._readiness() > self._ready_before

    def _readiness(self) -> int:
        return self.log_file.read_text().count("is ready") if self.log_file.exists() else 0
