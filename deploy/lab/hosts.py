"""A host of the lab: its machine, its directories, and the suite or the agent that runs there. Blocks."""

import shlex
import shutil
import subprocess
import sys
import time
import uuid
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


class Host:
    """What both kinds of hosts have. `root` lasts; `run` is emptied at each boot, as a tmpfs would be."""

    def __init__(self, machine: Machine, directory: Path) -> None:
        self.machine, self.directory = machine, directory
        self.root, self.run = directory / "root", directory / "run"

    @property
    def name(self) -> str:
        """Also the node's name."""
        return self.machine.name

    def start(self) -> Callable[[], None]:
        """Start what runs on it; the function that is returned waits until it is ready. Both raise LabError."""
        raise NotImplementedError

    @property
    def address(self) -> str:
        """Its address on the lab's network."""
        return address_of(self.name)

    def boot(self, *, with_us: bool) -> None:
        """Make its machine, with nothing running on it. Raises LabError."""
        self.directory.mkdir(exist_ok=True)
        shutil.rmtree(self.run, ignore_errors=True)
        self.machine.boot(with_us=with_us)

    def _command(self, program: str, *words: str) -> list[str]:
        """All hosts share one kernel, which doesn't boot with them: so each boot of a host gets an id of its own."""
        own = ("--root", str(self.root), "--run", str(self.run), "--node", self.name)
        return ["env", f"SEAWAY_BOOT_ID={uuid.uuid4()}", str(_COMMANDS / program), *words, *own]


class Server(Host):
    """The host with NATS, all services and an agent: `seaway up --listen`."""

    @property
    def endpoint(self) -> str:
        """For DOCKER_HOST."""
        return f"unix://{self.run}/docker.sock"

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
        own = ("--root", str(self.root), "--run", str(self.run))
        said = self.machine.run(str(_COMMANDS / "seaway"), "token", "create", "--uses", str(nodes), *own)
        return shlex.split(said.splitlines()[-1])


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
        """Start the agent."""
        before = self.log.stat().st_size if self.log.exists() else 0
        words = self._command("seaway-agent", "--config", str(self.root / "join" / "agent.toml"))
        agent = self.machine.start(words, self.log)
        return lambda: self._wait(agent, before)

    def _wait(self, agent: "subprocess.Popen[str]", before: int) -> None:
        deadline = time.monotonic() + _START_S
        while _READY not in (said := self.log.read_bytes()[before:].decode(errors="replace")):
            if agent.poll() is not None or time.monotonic() > deadline:
                raise LabError(f"the agent of {self.name} has not started: {said[-2000:]}")
            time.sleep(_POLL_S)


_TLS_FILES: Final = (("cert", "cert.pem"), ("key", "key.pem"), ("cacert", "ca.pem"))
