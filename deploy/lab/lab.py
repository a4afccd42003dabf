"""Many hosts on one machine: `with Lab(Path("/tmp/lab"), hosts=3) as lab: …`. Needs root. Blocks."""

import dataclasses
import json
import secrets
import shutil
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from deploy.lab import switch
from deploy.lab.errors import LabError
from deploy.lab.hosts import Host, Node, Server
from deploy.lab.links import Cut, Link, cuts_between, host_names
from deploy.lab.machine import Machine, remove_cgroup
from deploy.lab.switch import Switch

_STATE: Final = "lab.json"
Hosts = str | Iterable[str]
"""One host's name, or several."""


class Lab:
    """Hosts h1, h2 …: h1 runs the suite, each other one an agent. All that it makes on disk is below `directory`.

    `outlives`: it continues when this process ends. Methods raise LabError, and ValueError for what makes no sense.
    """

    def __init__(self, directory: Path, hosts: int = 3, *, outlives: bool = False) -> None:
        names = host_names(hosts)
        self._prepare(directory, secrets.token_hex(3), names, outlives)

    @classmethod
    def opened(cls, directory: Path) -> Self:
        """A lab that was brought up by another process."""
        try:
            state: dict[str, Any] = json.loads((directory / _STATE).read_text())
        except FileNotFoundError:
            raise LabError(f"there is no lab in {directory}: bring one up with `./dev lab 3`") from None
        except ValueError:
            raise LabError(f"{directory / _STATE} is no record of a lab: remove it by hand") from None
        lab = cls.__new__(cls)
        lab._prepare(directory, state["token"], state["hosts"], True)
        lab._cuts = {frozenset(pair) for pair in state["cuts"]}
        lab._links |= {name: Link(**link) for name, link in state["links"].items()}
        return lab

    def _prepare(self, directory: Path, token: str, names: list[str], outlives: bool) -> None:
        self.directory = directory = directory.absolute()
        self._token, self._with_us = token, not outlives
        self._cgroup = f"/seaway-lab-{token}"
        self._switch = Switch(self._machine(switch.NAME))
        self.server = Server(self._machine(names[0]), directory / names[0])
        self.nodes = [Node(self._machine(name), directory / name) for name in names[1:]]
        self._cuts: set[Cut] = set()
        self._links = {name: Link() for name in names}

    def _machine(self, name: str) -> Machine:
        return Machine(name, f"{self._cgroup}/{name}")

    # --- up and down

    def up(self) -> None:
        """Bring all up; returns when each agent is ready. If that fails, all is gone again."""
        self._claim()
        try:
            self._switch.start(with_us=self._with_us)
            for host in (self.server, *self.nodes):
                self._boot(host)
            self.server.start()
            invitation = self.server.invite(len(self.nodes)) if self.nodes else []
            for node in self.nodes:
                node.join(self.server, invitation)
            waits = [node.start() for node in self.nodes]
            for wait in waits:
                wait()
        except BaseException:
            self.down()
            raise

    def _claim(self) -> None:
        """Make the directory this lab's. Raises LabError if it is another one's, or not empty."""
        used = LabError(
            f"{self.directory} is in use: end the lab there with `./dev lab --directory {self.directory} down`"
        )
        self.directory.mkdir(parents=True, exist_ok=True)
        if any(self.directory.iterdir()):
            raise used
        try:
            with open(self.directory / _STATE, "x") as file:  # of two at once one makes it
                file.write(self._state())
        except FileExistsError:
            raise used from None

    def down(self) -> None:
        """End all hosts, and remove everything. The record of the lab goes last: `down` may be interrupted."""
        for host in (self.server, *self.nodes):
            host.machine.kill()
        self._switch.machine.kill()
        remove_cgroup(self._cgroup)
        for host in (self.server, *self.nodes):
            if host.directory.exists():
                shutil.rmtree(host.directory)
        for path in (self.directory / "lab.part", self.directory / _STATE):
            path.unlink(missing_ok=True)
        self.directory.rmdir()

    def __enter__(self) -> Self:
        self.up()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.down()

    # --- hosts

    @property
    def endpoint(self) -> str:
        """Where the cluster's API is, for DOCKER_HOST."""
        return self.server.endpoint

    @property
    def names(self) -> list[str]:
        """The names of all hosts."""
        return list(self._links)

    def host(self, name: str) -> Host:
        """One host. Raises ValueError."""
        for host in (self.server, *self.nodes):
            if host.name == name:
                return host
        raise ValueError(f"there is no host {name!r} in the lab: there are {', '.join(self._links)}")

    def kill(self, name: str) -> None:
        """Cut a host's power: its agent and its containers end at once; what is on its disk stays."""
        self.host(name).machine.kill()

    def start(self, name: str, *, wait: bool = True) -> None:
        """Boot a host that was killed. `wait`: until its agent is ready, which it never is without NATS."""
        host = self.host(name)
        if host.machine.is_on:
            raise LabError(f"{name} is on")
        try:
            self._boot(host)
            ready = host.start()
        except BaseException:
            host.machine.kill()
            raise
        if wait:
            ready()

    def _boot(self, host: Host) -> None:
        host.boot(with_us=self._with_us)
        self._switch.connect(host.machine)
        self._switch.shape(host.machine, self._links[host.name])

    # --- the network

    def partition(self, one: Hosts, other: Hosts) -> None:
        """Drop all packets between these hosts, without an error to either. Partitions before it stay."""
        self._filter(self._cuts | cuts_between(self._names(one), self._names(other)), self._links)

    def heal(self) -> None:
        """End all partitions."""
        self._filter(set(), self._links)

    def rate(self, rate: str, *hosts: str) -> None:
        """Limit these hosts' links (all, if none is named) to a rate such as `10mbit`, each way; empty: no limit."""
        self._change(hosts, rate=rate)

    def delay(self, milliseconds: float, *hosts: str) -> None:
        """Delay what passes these hosts' links, each way. Raises LabError where the kernel has no netem."""
        self._change(hosts, delay_ms=milliseconds)

    def loss(self, percent: float, *hosts: str) -> None:
        """Lose so much of what passes these hosts' links, each way, at random."""
        self._change(hosts, loss_percent=percent)

    def _change(self, hosts: Iterable[str], **qualities: Any) -> None:
        changed = {
            name: dataclasses.replace(self._links[name], **qualities) for name in self._names(hosts) or self._links
        }
        for name, link in changed.items():
            if (machine := self.host(name).machine).is_on:
                self._switch.shape(machine, link)
        self._filter(self._cuts, self._links | changed)

    def _names(self, hosts: Hosts) -> list[str]:
        """Raises ValueError for one that isn't there."""
        return [self.host(name).name for name in ([hosts] if isinstance(hosts, str) else hosts)]

    def _filter(self, cuts: set[Cut], links: dict[str, Link]) -> None:
        self._switch.filter(cuts, links)
        self._cuts, self._links = cuts, links
        self._save()

    def _save(self) -> None:
        """For `opened`."""
        part = self.directory / "lab.part"
        part.write_text(self._state())
        part.replace(self.directory / _STATE)

    def _state(self) -> str:
        links = {name: dataclasses.asdict(link) for name, link in self._links.items()}
        state = {
            "token": self._token,
            "hosts": list(self._links),
            "cuts": sorted(map(sorted, self._cuts)),
            "links": links,
        }
        return json.dumps(state)
