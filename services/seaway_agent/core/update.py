"""What `docker update` makes of a container's spec (moby 26.1 `container/container_unix.go` UpdateContainer). Pure."""

from typing import Final

from seaway_contracts.containers import ContainerSpec, Resources, RestartPolicy
from seaway_contracts.errors import SeawayError, conflict

_TAKEN_OVER: Final = (
    "memory",
    "memory_swap",
    "memory_reservation",
    "nano_cpus",
    "cpu_shares",
    "cpu_period",
    "cpu_quota",
    "cpuset_cpus",
    "cpuset_mems",
    "cpu_realtime_period",
    "cpu_realtime_runtime",
    "blkio_weight",
)
_ABOVE_SWAP: Final = (
    "Memory limit should be smaller than already set memoryswap limit, update the memoryswap at the same time"
)


def updated(spec: ContainerSpec, limits: Resources, restart: RestartPolicy | None) -> ContainerSpec:
    """The spec with these changes; a limit at its default stays. Raises SeawayError (409) for what doesn't go together.

    Other fields of `limits` (devices, ulimits) can't be changed and are left out, as in Docker.
    """
    _check(spec, limits, restart)
    changes: dict[str, object] = {name: value for name in _TAKEN_OVER if (value := getattr(limits, name))}
    if limits.pids_limit is not None:
        changes["pids_limit"] = max(0, limits.pids_limit)
    update: dict[str, object] = {"resources": spec.resources.model_copy(update=changes)} if changes else {}
    if restart is not None:
        update["restart"] = restart
    return spec.model_copy(update=update)


def refusal(container: str, reason: str) -> SeawayError:
    """Docker's 409."""
    return conflict(f"Cannot update container {container}: {reason}")


def _check(spec: ContainerSpec, limits: Resources, restart: RestartPolicy | None) -> None:
    old = spec.resources
    for new, present, words in (
        (limits.nano_cpus, old.cpu_period, "Nano CPUs cannot be updated as CPU Period"),
        (limits.nano_cpus, old.cpu_quota, "Nano CPUs cannot be updated as CPU Quota"),
        (limits.cpu_period, old.nano_cpus, "CPU Period cannot be updated as NanoCPUs"),
        (limits.cpu_quota, old.nano_cpus, "CPU Quota cannot be updated as NanoCPUs"),
    ):
        if new > 0 and present > 0:
            raise refusal(spec.id, f"Conflicting options: {words} has already been set")
    if limits.memory and limits.memory > old.memory_swap and not limits.memory_swap:
        raise refusal(spec.id, _ABOVE_SWAP)
    if restart is not None and restart.name != "no" and spec.auto_remove:
        text = "Restart policy cannot be updated because AutoRemove is enabled for the container"
        raise refusal(spec.id, text)
