"""The node's heartbeat: its capacity, what of that is free and reserved, its health; its facts when they change."""

import asyncio
import hashlib
import logging
import math
import os
import time
from collections.abc import Callable, Iterable
from typing import Final, Protocol

from seaway_agent.inventory.inventory import Inventory
from seaway_agent.kernel.hostinfo import HostInfo
from seaway_agent.network.errors import NetworkError
from seaway_agent.network.names import default_bridge
from seaway_agent.network.port import NetworkSpec
from seaway_agent.node.config import ReceivedConfig
from seaway_agent.node.health import Health
from seaway_agent.oci.cdi import kinds_of
from seaway_agent.runtime.host_devices import CDI_DIRECTORIES, cdi_specs
from seaway_agent.runtime.runtimes import Runtimes
from seaway_agent.state.journal import Journal
from seaway_bus.bus import Bus, Command
from seaway_bus.transport import TransportError
from seaway_contracts.base import Empty
from seaway_contracts.catalogue import BEAT, NODE_FACTS
from seaway_contracts.containers import State
from seaway_contracts.nodes import (
    CORE,
    GPU_KIND,
    MOST_ROUTES,
    Beat,
    BridgeFacts,
    Capacity,
    KnownFacts,
    NodeFacts,
    Reservation,
    reservation,
    total,
    wanted,
)
from seaway_contracts.version import VERSION

log = logging.getLogger(__name__)
_HOST_EVERY_S: Final = 10.0
_FACTS_SENT: Final = 3
"""In how many beats changed facts are sent: one of them may be lost."""
ALIVE: Final = frozenset({State.RUNNING, State.PAUSED, State.RESTARTING})


def free_of(capacity: Capacity, taken: Iterable[Capacity]) -> Capacity:
    """`capacity` less what is `taken`; never below zero."""
    given = list(taken)
    return Capacity(
        nano_cpus=max(0, capacity.nano_cpus - sum(c.nano_cpus for c in given)),
        memory=max(0, capacity.memory - sum(c.memory for c in given)),
    )


class HostNetwork(Protocol):
    """What may change of the host's network. Both raise NetworkError, OSError."""

    async def routes(self) -> tuple[str, ...]:
        """The destinations of the host's routes (CIDR notation), without its containers' networks."""

    async def warnings(self) -> tuple[str, ...]:
        """What keeps networks from working, and how to change that."""


class Heartbeat:
    """Publishes a node's beats. `journal` gives the inventory's revision, and a warning where events can't be sent.

    `host` reads what may change of the host's network, for the facts. `config` has the interval that metadata demands.
    `health` reads what is free of the host; it raises OSError, ValueError. `address` gives the node's address.
    """

    def __init__(
        self,
        bus: Bus,
        inventory: Inventory,
        journal: Journal,
        info: HostInfo,
        facts: NodeFacts,
        interval_s: float,
        host: HostNetwork,
        config: ReceivedConfig,
        health: Callable[[], Health],
        address: Callable[[], str],
    ) -> None:
        self._address = address
        self._config = config
        self._health = health
        self._facts_id = ""
        self._facts_due = 0
        self._bus = bus
        self._inventory = inventory
        self._journal = journal
        self._facts = facts
        self._interval_s = interval_s
        self._host = host
        self._host_read_at = -math.inf
        self._host_warnings: tuple[str, ...] = ()
        self._capacity = Capacity(nano_cpus=info.cpus * CORE, memory=info.memory_total)
        self._leaving = False

    def beat(self) -> Beat:
        """The present beat. Facts that have changed since the last ones are sent in some beats only."""
        runners = self._inventory.runners.values()
        live = [runner for runner in runners if runner.status.state in ALIVE]
        known, health = self.facts(), self._read_health()
        if known.id != self._facts_id:
            self._facts_id, self._facts_due = known.id, _FACTS_SENT
        has_facts = self._facts_due > 0
        self._facts_due -= has_facts
        return Beat(
            node=self._inventory.node,
            epoch=self._inventory.epoch,
            inventory=self._journal.revision,
            time_ns=time.time_ns(),
            interval_ns=int(self.interval_s * 1e9),
            capacity=health.added_to(self._capacity),
            free=health.added_to_free(
                free_of(self._capacity, (wanted(runner.spec.resources) for runner in live)),
            ),
            running=len(live),
            containers=len(self._inventory.runners),
            reserved=self.reserved(),
            pressure=health.pressure,
            leaving=self._leaving,
            monotonic_ns=time.monotonic_ns(),
            facts_id=known.id,
            has_facts=has_facts,
            facts=known.facts if has_facts else NodeFacts(),
        )

    def facts(self) -> KnownFacts:
        """The present facts."""
        facts = self._facts_now()
        return KnownFacts(id=hashlib.sha256(facts.model_dump_json().encode()).hexdigest()[:16], facts=facts)

    def reserved(self) -> Reservation:
        """What all containers of the node reserve, whether they run or not."""
        return total(reservation(runner.spec.resources) for runner in self._inventory.runners.values())

    @property
    def interval_s(self) -> float:
        """Seconds between two beats: at least what metadata demands."""
        return max(self._interval_s, self._config.beat_interval_s)

    async def serve(self) -> None:
        """Begin to answer requests for the facts."""

        async def facts(request: Empty, command: Command) -> KnownFacts:
            return self.facts()

        await self._bus.serve(NODE_FACTS, facts, node=self._inventory.node)

    def _read_health(self) -> Health:
        try:
            return self._health()
        except (OSError, ValueError) as error:
            log.warning("the host's health can't be read: %s", error)
            return Health()

    def _facts_now(self) -> NodeFacts:
        trouble = (self._journal.trouble,) if self._journal.trouble else ()
        passing = (*self._host_warnings, *trouble)
        if not passing:
            return self._facts
        return self._facts.model_copy(update={"warnings": (*self._facts.warnings, *passing)})

    async def run(self) -> None:
        """Publish a beat every `interval_s`, the first at once; skip one that can't be sent."""
        while True:
            interval_s = await self._send()
            await asyncio.sleep(interval_s)

    async def leave(self) -> None:
        """The agent stops on request: publish that at once, and in each beat from now on."""
        self._leaving = True
        await self._send()

    async def _send(self) -> float:
        """Send a beat; the seconds until the next one, as the beat says them: they may change at any time."""
        await self._read_host()
        beat = self.beat()
        try:
            await self._bus.publish(BEAT, beat, node=self._inventory.node)
        except TransportError as error:
            log.debug("no heartbeat: %s", error)
        return beat.interval_ns / 1e9

    async def _read_host(self) -> None:
        """Read the host's address, routes and firewall, which may change at any time, every few seconds."""
        if time.monotonic() < self._host_read_at + _HOST_EVERY_S:
            return
        self._host_read_at = time.monotonic()
        self._facts = self._facts.model_copy(update={"address": self._address()})
        try:
            changes = {"routes": (await self._host.routes())[:MOST_ROUTES], "devices": devices()}
            self._facts = self._facts.model_copy(update=changes)
            self._warn(await self._host.warnings())
        except (NetworkError, OSError) as error:
            log.warning("the host's routes and firewall can't be read: %s", error)

    def _warn(self, texts: tuple[str, ...]) -> None:
        """Log each new warning once, and have the next beats carry them all."""
        warnings = tuple(f"node {self._inventory.node}: {text}" for text in texts)
        for text in warnings:
            if text not in self._host_warnings:
                log.warning("%s", text)
        self._host_warnings = warnings


def facts_of(
    info: HostInfo,
    runtimes: Runtimes,
    suite: str,
    network: NetworkSpec,
    labels: Iterable[str],
    root: str,
    volumes: str,
    boot: str,
    builder: str = "",
) -> NodeFacts:
    """What seldom changes about this node. `network`: the default one; `labels`: `key=value`; `root`: where data is."""
    return NodeFacts(
        hostname=info.hostname,
        version=VERSION,
        os_version=info.os_version,
        operating_system=info.operating_system,
        architecture=info.architecture,
        kernel_version=info.kernel_version,
        cgroup_version="2" if info.cgroup_mode.value == "v2" else "1",
        runtimes=dict(runtimes.programs),
        default_runtime=runtimes.default,
        security_options=info.security_options,
        labels=dict(label.partition("=")[::2] for label in labels),
        root=root,
        volumes=volumes,
        boot_id=boot,
        builder=builder,
        cdi_directories=tuple(map(str, CDI_DIRECTORIES)),
        bridge=BridgeFacts(
            name=default_bridge(suite), subnet=str(network.subnet), gateway=str(network.gateway), mtu=network.mtu
        ),
        warnings=tuple(warnings()),
    )


def devices() -> dict[str, int]:
    """The number of the host's devices of each CDI kind. A GPU may also have its UUID as a name: numbers count."""
    try:
        kinds = kinds_of(cdi_specs())
    except (KeyError, TypeError, AttributeError) as error:
        log.warning("the host's CDI files can't be read: %s", error)
        return {}
    return {
        kind: len([name for name in set(names) if (name.isdigit() if kind == GPU_KIND else name != "all")])
        for kind, names in kinds.items()
    }


def warnings() -> list[str]:
    """What a user should know of this host."""
    return [] if os.geteuid() == 0 else ["WARNING: the agent does not run as root"]
