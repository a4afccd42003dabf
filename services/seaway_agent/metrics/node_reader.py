"""Reads what the node's families show."""

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from math import inf
from typing import Final, Protocol

from prometheus_client import Metric

from seaway_agent.dns.port import OUTCOMES, ResolverError
from seaway_agent.inventory.inventory import Inventory
from seaway_agent.kernel.hostinfo import HostInfo
from seaway_agent.metrics.families import ACTIONS, ActionTimes, NodeReading
from seaway_agent.node.beats import ALIVE, free_of
from seaway_agent.node.health import Health
from seaway_bus.metrics import SERVED_SECONDS
from seaway_contracts.nodes import CORE, Capacity, reservation, total, wanted
from seaway_contracts.version import VERSION
from seaway_contracts.volumes import VolumeRecord

log = logging.getLogger(__name__)
_MODES: Final = ("bridge", "none")


class NetworksOfNode(Protocol):
    """The part of `NodeNetworks` that is shown."""

    def ready(self, mode: str) -> int:
        """How many sandboxes are ready."""

    def present(self) -> tuple[object, ...]:
        """The networks that are made."""


class Counting(Protocol):
    """The part of `NodeResolver` that is shown."""

    async def counts(self) -> Mapping[str, int]:
        """DNS questions so far, by outcome. Raises ResolverError."""


class NodeReader:
    """`health` reads what is free of the host; it raises OSError, ValueError. `volumes`: those of the node."""

    def __init__(
        self,
        inventory: Inventory,
        info: HostInfo,
        networks: NetworksOfNode,
        resolver: Counting,
        volumes: Callable[[], Iterable[VolumeRecord]],
        health: Callable[[], Health],
    ) -> None:
        self._inventory = inventory
        self._info = info
        self._networks = networks
        self._resolver = resolver
        self._volumes = volumes
        self._health = health
        self._dns: Mapping[str, int] = dict.fromkeys(OUTCOMES, 0)

    async def refresh(self) -> None:
        """Ask the resolver's process for its counts; without it the last ones stay."""
        try:
            self._dns = await self._resolver.counts()
        except (ResolverError, OSError) as error:
            log.debug("no counts of DNS questions: %s", error)

    def read(self, dropped: int) -> NodeReading:
        """The present reading. `dropped`: containers left out of scrapes so far."""
        info, runners = self._info, list(self._inventory.runners.values())
        health = self._read_health()
        capacity = Capacity(nano_cpus=info.cpus * CORE, memory=info.memory_total)
        taken = (wanted(runner.spec.resources) for runner in runners if runner.status.state in ALIVE)
        kinds = Counter("anonymous" if record.anonymous else "named" for record in self._volumes())
        return NodeReading(
            cpus=info.cpus,
            memory_total=info.memory_total,
            swap_total=info.swap_total,
            states=Counter(runner.status.state for runner in runners),
            ready={mode: self._networks.ready(mode) for mode in _MODES},
            dropped=dropped,
            capacity=health.added_to(capacity),
            free=health.added_to_free(free_of(capacity, taken)),
            reserved=total(reservation(runner.spec.resources) for runner in runners),
            volumes={kind: kinds[kind] for kind in ("named", "anonymous")},
            networks=len(self._networks.present()),
            endpoints=Counter(
                one.network for runner in runners if runner.status.pid for one in runner.status.endpoints
            ),
            dns=self._dns,
            engine=self._engine(),
            actions=action_times(SERVED_SECONDS.collect()),
        )

    def _read_health(self) -> Health:
        try:
            return self._health()
        except (OSError, ValueError) as error:
            log.warning("the host's health can't be read: %s", error)
            return Health()

    def _engine(self) -> Mapping[str, str]:
        """dockerd's labels; `daemon_id` is the node's name, and there is no commit."""
        info = self._info
        return {
            "architecture": info.architecture,
            "commit": "",
            "daemon_id": self._inventory.node,
            "graphdriver": "overlay2",
            "kernel": info.kernel_version,
            "os": info.operating_system,
            "os_type": "linux",
            "os_version": info.os_version,
            "version": VERSION,
        }


def action_times(served: Iterable[Metric]) -> dict[str, ActionTimes]:
    """The times of the commands that dockerd has metrics of, by its words, from the bus's histogram."""
    below: dict[str, dict[float, float]] = {}
    seconds: dict[str, float] = {}
    for sample in (sample for metric in served for sample in metric.samples):
        action = ACTIONS.get(sample.labels.get("call", ""))
        if action is None:
            continue
        if (bound := sample.labels.get("le")) is not None:
            below.setdefault(action, {})[inf if bound == "+Inf" else float(bound)] = sample.value
        elif sample.name.endswith("_sum"):
            seconds[action] = sample.value
    return {action: ActionTimes(below[action], seconds.get(action, 0.0)) for action in below}
