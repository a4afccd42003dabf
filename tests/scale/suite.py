"""A suite as `seaway up` starts it, but without an agent: its nodes are simulated.

As a command, `python -m tests.scale.suite ROOT RUN NODES`, it makes the nodes' users and starts the suite.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from tests.scale.names import node_name

from seaway_cli import commands, control, nats_server, suite, up
from seaway_cli.layout import Layout
from seaway_cli.permissions import agent_user
from seaway_cli.supervisor import ServiceSpec
from seaway_kit.listeners import Listener

SERVICES: Final = ("nats", "image", "metadata", "scheduler", "api")
_TICK: Final = os.sysconf("SC_CLK_TCK")


class AgentlessSuite:
    """A suite in directories of its own below `directory`. Needs root."""

    def __init__(self, directory: Path) -> None:
        self.layout = Layout(directory / "root", directory / "run")

    def start(self, nodes: int) -> None:
        """Start it, with users for so many nodes. Raises CalledProcessError."""
        words = [str(self.layout.root), str(self.layout.run), str(nodes)]
        subprocess.run([sys.executable, "-m", "tests.scale.suite", *words], check=True, stdout=subprocess.DEVNULL)

    def purge(self) -> None:
        """Stop it, and remove what it made."""
        commands.purge(self.layout, lambda layout, token: None)

    @property
    def socket(self) -> str:
        """The API's socket."""
        return str(self.layout.run / "docker.sock")

    @property
    def nats(self) -> str:
        """The URL of its NATS server."""
        return str(self._status()["nats"])

    def pids(self) -> dict[str, int]:
        """The process of each service that runs now."""
        return {row["service"]: row["pid"] for row in self._status()["services"] if row["pid"]}

    def is_ready(self, service: str) -> bool:
        """Whether the service says that it is ready."""
        return any(row["service"] == service and row["state"] == "ready" for row in self._status()["services"])

    def _status(self) -> dict[str, Any]:
        return control.ask(self.layout.control, "status")

    def memory(self) -> dict[str, int]:
        """The resident bytes of each service."""
        return {service: _resident(pid) for service, pid in self.pids().items()}

    def cpu(self) -> dict[str, float]:
        """The seconds of processor time that each service has used."""
        return {service: _used(pid) for service, pid in self.pids().items()}


def _resident(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) << 10


def _used(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICK


def _without_agent(ready: up.Prepared, listeners: tuple[Listener, ...]) -> Iterator[ServiceSpec]:
    return (spec for spec in up.seaway_services(ready, listeners) if spec.name != "agent")


def main() -> int:
    """Start the suite of the command line, with users for nodes made as `seaway node add` makes them."""
    root, run, nodes = sys.argv[1:]
    layout = Layout(Path(root), Path(run))
    options = up.UpOptions(layout.root, layout.run, node="scale")
    with suite.prepared(layout):
        identity = suite.new().at(layout)
        for marker in (layout.marker, layout.run_marker):
            identity.save(marker)
        for number in range(int(nodes)):
            nats_server.password(layout.secret(agent_user(node_name(number))))
    return up.detached(options, _without_agent)


if __name__ == "__main__":
    sys.exit(main())
