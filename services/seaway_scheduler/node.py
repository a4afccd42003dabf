"""A node as placement sees it. Pure.

What is left of it is counted when something changes, not when it is asked.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from seaway_contracts.node_settings import ClusterSettings, NodeSettings
from seaway_contracts.nodes import Beat, Capacity, Reservation, reservation, wanted
from seaway_contracts.placement import PlaceRequest
from seaway_scheduler.conditions import NodeTraits

LEAST_S: Final = 3.0
MISSED: Final = 3


@dataclass(frozen=True, slots=True)
class Policy:
    """How the cluster places. Reservations may add up to a node's capacity times the overcommit."""

    strategy: Literal["spread", "binpack", "random"] = "spread"
    cpu_overcommit: float = 1.0
    memory_overcommit: float = 1.0
    version: int = 0

    @classmethod
    def of(cls, settings: ClusterSettings) -> "Policy":
        """The policy that a cluster's settings are."""
        return cls(settings.strategy, settings.cpu_overcommit, settings.memory_overcommit, settings.version)


@dataclass(frozen=True, slots=True)
class NodeTerms:
    """What operators have set for a node. `reserved`: what containers may not reserve of it.

    `version` grows with each change.
    """

    availability: Literal["active", "pause", "drain"] = "active"
    labels: Mapping[str, str] = field(default_factory=dict)
    reserved: Reservation = field(default_factory=Reservation)
    version: int = 0

    @classmethod
    def of(cls, settings: NodeSettings) -> "NodeTerms":
        """The terms of a node with these settings."""
        share = settings.reserved
        reserved = Reservation(nano_cpus=share.nano_cpus, memory=share.memory)
        return cls(settings.availability, settings.labels, reserved, settings.version)


@dataclass(slots=True)
class Promise:
    """A placement that the node's beats don't show yet."""

    node: str
    wanted: Capacity
    reserved: Reservation
    since: float
    made: bool = False

    @classmethod
    def of(cls, request: PlaceRequest, node: str, since: float) -> "Promise":
        """The promise that a placement is."""
        return cls(node, wanted(request.resources), reservation(request.resources), since)


class Node:
    """A node. Its counters include what has been promised.

    `free_…` is what limits leave, `room_…` what can be reserved. CPUs are in billionths of a core,
    memory in bytes. Whoever changes `beat`, `terms` or promises calls `count`.
    `heard`: it has beaten since this scheduler began; else metadata says that it is up. `due`: when the cluster looks
    whether it has been silent for too long.
    """

    __slots__ = (
        "availability",
        "beat",
        "containers",
        "cores",
        "cpus",
        "due",
        "free_cpus",
        "free_memory",
        "heard",
        "heard_at",
        "memory",
        "name",
        "promises",
        "room_cpus",
        "room_devices",
        "room_memory",
        "running",
        "terms",
        "traits",
        "up",
    )

    def __init__(self, beat: Beat, heard_at: float, *, heard: bool, terms: NodeTerms, policy: Policy) -> None:
        self.name = beat.node
        self.beat = beat
        self.heard_at = heard_at
        self.heard = heard
        self.terms = terms
        self.up = False
        self.due = 0.0
        self.promises: dict[str, Promise] = {}
        self.describe()
        self.count(policy)

    def describe(self) -> None:
        """Read what seldom changes: facts and terms."""
        facts = self.beat.facts
        labels = {**facts.labels, **self.terms.labels}
        self.traits = NodeTraits(
            self.name,
            facts.hostname,
            facts.os,
            facts.architecture,
            facts.operating_system,
            facts.kernel_version,
            labels,
        )
        self.availability = self.terms.availability

    def count(self, policy: Policy) -> None:
        """Count what is left of it from its beat, its terms and all promises."""
        beat, share = self.beat, self.terms.reserved
        whole = beat.capacity
        self.cpus, self.memory = whole.nano_cpus, whole.memory
        self.cores = max(1.0, whole.nano_cpus / 1e9)
        self.free_cpus, self.free_memory = beat.free.nano_cpus, beat.free.memory
        self.running, self.containers = beat.running, beat.containers
        held = beat.reserved
        self.room_cpus = int(whole.nano_cpus * policy.cpu_overcommit) - share.nano_cpus - held.nano_cpus
        self.room_memory = int(whole.memory * policy.memory_overcommit) - share.memory - held.memory
        self.room_devices: dict[str, int] = {}
        if beat.facts.devices:
            self.room_devices = {
                kind: number - share.devices.get(kind, 0) - held.devices.get(kind, 0)
                for kind, number in beat.facts.devices.items()
            }
        for promise in self.promises.values():
            self.take(promise, 1)

    def take(self, promise: Promise, number: int) -> None:
        """Count a promise; `number` -1: it is taken back."""
        self.free_cpus -= promise.wanted.nano_cpus * number
        self.free_memory -= promise.wanted.memory * number
        self.room_cpus -= promise.reserved.nano_cpus * number
        self.room_memory -= promise.reserved.memory * number
        self.running += number
        self.containers += number
        for kind, count in promise.reserved.devices.items():
            if kind in self.room_devices:
                self.room_devices[kind] -= count * number

    @property
    def silent_at(self) -> float:
        """The time from which on its silence means that it is down."""
        return self.heard_at + max(LEAST_S, MISSED * self.beat.interval_ns / 1e9)
