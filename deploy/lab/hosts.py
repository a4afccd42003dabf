"""A host of the lab: its machine, its directories, and the suite or the agent that runs there. Blocks."""

import json
import shlex
import shutil
import subprocess
import sys
import time
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from deploy.lab import certificates
from deploy.lab.errors import LabError
from deploy.lab.links import address_of
from deploy.lab.machine import Machine

_COMMANDS: Final = Path(sys.executable).parent
_START_S: Final = 90.0
_POLL_S: Final = 0.02
_READY: Final = "is ready"
_AGENT: Final = f"^[^ ]*python[^ ]* {_COMMANDS}/seaway-agent "


class Host(ABC):
    """What both kinds of hosts have. `root` lasts; `run` is emptied at each boot, as a tmpfs would be."""

    def __init__(self, machine: Machine, directory: Path) -> None:
        self.machine, self.directory = machine, directory
        self.root, self.run = directory / "root", directory / "run"
        self._boot_id = directory / "boot_id"

    @property
    def name(self) -> str:
        """Also the node's name."""
        return self.machine.name

    @abstractmethod
    def start(self) -> Callable[[], None]:
        """Start what runs on it; the function that is returned waits until it is ready. Both raise LabError."""

    @property
    def address(self) -> str:
        """Its address on the lab's network."""
        return address_of(self.name)

    @property
    def endpoint(self) -> str:
        """For DOCKER_HOST, where an API runs on it."""
        return f"unix://{self.run}/docker.sock"

    def boot(self, *, with_us: bool) -> None:
        """Make its machine, with nothing running on it. Raises LabError."""
        self.directory.mkdir(exist_ok=True)
        self._boot_id.write_text(str(uuid.uuid4()))
        shutil.rmtree(self.run, ignore_errors=True)
        self.machine.boot(with_us=with_us)

    def seaway(self, *words: str) -> str:
        """Run `seaway WORDS` there, with the host's directories; what it says. Raises LabError."""
        own = ("--root", str(self.root), "--run", str(self.run))
        return self.machine.run(str(_COMMANDS / "seaway"), *words, *own)

    def start_program(self, program: str, *words: str) -> Callable[[], None]:
        """Start one of Seaway's services there, which logs to `agent.log`, `api.log` …; what it returns waits until the
        service is ready, and raises LabError if it isn't.
        """
        log = self.directory / f"{program.removeprefix('seaway-')}.log"
        before = log.stat().st_size if log.exists() else 0
        process = self.machine.start(self._command(program, *words), log)
        return lambda: self._wait(process, program, log, before)

    def _wait(self, process: "subprocess.Popen[str]", program: str, log: Path, before: int) -> None:
        deadline = time.monotonic() + _START_S
        while _READY not in (said := log.read_bytes()[before:].decode(errors="replace")):
            if process.poll() is not None or time.monotonic() > deadline:
                raise LabError(f"{program} has not started on {self.name}: {said[-2000:]}")
            time.sleep(_POLL_S)

    def _command(self, program: str, *words: str) -> list[str]:
        """All hosts share one kernel, which doesn't boot with them: so each boot of a host gets an id of its own."""
        own = ("--root", str(self.root), "--run", str(self.run), "--node", self.name)
        return ["env", f"SEAWAY_BOOT_ID={self._boot_id.read_text()}", str(_COMMANDS / program), *words, *own]


class Server(Host):
    """The host with NATS, all services and an agent: `seaway up --listen`."""

    @property
    def ca(self) -> Path:
        """The CA that has signed its certificate."""
        return self.directory / "ca.pem"

    def start(self) -> Callable[[], None]:
        """Start the suite. It is ready when this returns."""
        if not self.ca.exists():
            certificates.make(self.directory, self.address)
        files = [f"--tls{name}={self.directory / file}" for name, file in _TLS_FILES]
        self.machine.run(*self._command("seaway", "up", "--detach", "--listen", self.address, *files))
        return lambda: None

    def invite(self, nodes: int) -> list[str]:
        """Make a token for so many nodes; the words `seaway join …` by which they join. Raises LabError."""
        said = self.seaway("token", "create", "--uses", str(nodes))
        return shlex.split(said.splitlines()[-1])

    def start_copy(self, service: str, host: Host) -> Callable[[], None]:
        """Start one more copy of a service (`api`, `metadata`, `scheduler`) on another host, as deploy/README.md says.

        What it returns waits until the service is ready, and raises LabError if it isn't.
        """
        place = host.directory / service
        place.mkdir(exist_ok=True)
        ca, password = (shutil.copy(file, place) for file in (self.ca, self.root / "secrets" / service))
        login = ("--nats-ca", str(ca), "--nats-user", service, "--nats-password-file", str(password))
        return host.start_program(f"seaway-{service}", "--nats", self.nats, *login)

    @property
    def nats(self) -> str:
        """The URL of its NATS server."""
        return f"nats://{self.address}:{json.loads((self.root / 'suite.json').read_text())['nats_port']}"


class Node(Host):
    """A host with an agent alone."""

    @property
    def log(self) -> Path:
        """The output of its agents."""
        return self.directory / "agent.log"

    def join(self, server: Server, invitation: Sequence[str]) -> None:
        """Become a node by the server's invitation, with a copy of its CA. Raises LabError."""
        ca = shutil.copy(server.ca, self.directory / "ca.pem")
        self.machine.run(*self._command(*invitation, "--nats-ca", str(ca)))

    def start(self) -> Callable[[], None]:
        """Start the agent; what it returns waits until the agent is ready, and raises LabError if it isn't."""
        return self.start_program("seaway-agent", "--config", str(self.root / "join" / "agent.toml"))

    def kill_agent(self) -> None:
        """Kill the agent alone (SIGKILL); `start` starts the next one. Raises LabError if none runs."""
        self.machine.run("pkill", "-KILL", "--oldest", "-f", _AGENT)

    @property
    def has_agent(self) -> bool:
        """Whether its agent runs."""
        try:
            return bool(self.machine.run("pgrep", "--oldest", "-f", _AGENT))
        except LabError:
            return False

    def leave(self) -> None:
        """Stop the agent and remove all that it made, and the node's key. Raises LabError."""
        self.seaway("purge")


_TLS_FILES: Final = (("cert", "cert.pem"), ("key", "key.pem"), ("cacert", "ca.pem"))
