"""The judge of this node's reservations: what does not fit is refused, whatever a scheduler knew or did not know."""

import contextlib
from collections.abc import Callable, Iterator, Mapping

from seaway_agent.inventory.inventory import Inventory
from seaway_agent.node.config import ReceivedConfig
from seaway_contracts.containers import ContainerSpec, Resources
from seaway_contracts.errors import Code, Reason, SeawayError
from seaway_contracts.node_settings import ClusterSettings, Reserved
from seaway_contracts.nodes import Capacity, Reservation, reservation, total


class Reservations:
    """What the node's containers reserve, and those that are being made."""

    def __init__(
        self,
        inventory: Inventory,
        config: ReceivedConfig,
        capacity: Capacity,
        devices: Callable[[], Mapping[str, int]],
    ) -> None:
        """`devices` returns the number of the host's devices of each CDI kind."""
        self._inventory = inventory
        self._config = config
        self._capacity = capacity
        self._devices = devices
        self._coming: dict[object, tuple[str, Reservation]] = {}

    @contextlib.contextmanager
    def taken(self, spec: ContainerSpec, *, again: bool) -> Iterator[None]:
        """Count a container while it is made. `again`: it was here before, and is not refused.

        Raises SeawayError: CONFLICT, with the reason NO_ROOM, where it does not fit, or the node gets nothing new.
        """
        wanted = reservation(spec.resources)
        if not again:
            self._config.check_takes_new()
            self._check(spec.id, wanted)
        with self._counted(spec.id, wanted):
            yield

    @contextlib.contextmanager
    def raised(self, container: str, limits: Resources) -> Iterator[None]:
        """Count a container's larger reservation while it is updated. Raises as `taken` where that does not fit."""
        runner = self._inventory.runners.get(container)
        if runner is None or limits.memory_reservation <= runner.spec.resources.memory_reservation:
            yield
            return
        self._check(container, Reservation(memory=limits.memory_reservation))
        present = reservation(runner.spec.resources)
        with self._counted(container, present.model_copy(update={"memory": limits.memory_reservation})):
            yield

    @contextlib.contextmanager
    def _counted(self, container: str, wanted: Reservation) -> Iterator[None]:
        """It is not in the container's spec yet; others are judged in the meantime."""
        token = object()
        self._coming[token] = container, wanted
        try:
            yield
        finally:
            del self._coming[token]

    def _check(self, container: str, wanted: Reservation) -> None:
        if wanted == Reservation():
            return
        devices = self._devices() if wanted.devices else {}
        config = self._config
        lacking = lacks(
            wanted, self._held(container), self._capacity, devices, config.settings.reserved, config.cluster
        )
        if lacking:
            node = self._inventory.node
            text = f"node {node} has too little {lacking} left to reserve for the container"
            raise SeawayError(Code.CONFLICT, text, Reason.NO_ROOM, {"node": node, "lacks": lacking})

    def _held(self, container: str) -> Reservation:
        """What all other containers reserve."""
        held = {one: reservation(runner.spec.resources) for one, runner in self._inventory.runners.items()}
        for one, wanted in self._coming.values():
            if one not in held or held[one].memory < wanted.memory:
                held[one] = wanted
        held.pop(container, None)
        return total(held.values())


def lacks(
    wanted: Reservation,
    held: Reservation,
    capacity: Capacity,
    devices: Mapping[str, int],
    kept_free: Reserved,
    cluster: ClusterSettings,
) -> str:
    """What a node lacks for a reservation: `memory`, `CPU`, a kind of devices; empty where it fits.

    Of a kind that the node does not have at all nothing is counted: the container's start says so, as in Docker.
    """
    if wanted.memory and held.memory + wanted.memory > capacity.memory * cluster.memory_overcommit - kept_free.memory:
        return "memory"
    cpus = capacity.nano_cpus * cluster.cpu_overcommit - kept_free.nano_cpus
    if wanted.nano_cpus and held.nano_cpus + wanted.nano_cpus > cpus:
        return "CPU"
    for kind, number in wanted.devices.items():
        if kind in devices and held.devices.get(kind, 0) + number > devices[kind]:
            return kind
    return ""
