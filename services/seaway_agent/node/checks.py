"""Checks of a container's limits against this machine, at create and update.

The messages are Docker's (moby 26.1: daemon/daemon_unix.go).
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from seaway_agent.kernel import cgroups
from seaway_agent.kernel.cgroup_text import CgroupLayout, CgroupMode
from seaway_agent.rootfs.merged import find
from seaway_contracts.containers import Resources
from seaway_contracts.docker_errors import too_many_cpus
from seaway_contracts.errors import bad_request, internal
from seaway_docker.cpusets import parse_cpuset
from seaway_docker.errors import InvalidParameter

_SYSTEM: Final = Path("/sys/devices/system")
_CORE: Final = 1_000_000_000


def check(asked: Resources, host: CgroupLayout) -> None:
    """Raise SeawayError (400) for limits that this machine doesn't have."""
    cpus = os.cpu_count() or 1
    if asked.nano_cpus < 0 or asked.nano_cpus > cpus * _CORE:
        raise too_many_cpus(cpus)
    for text, what, place in (
        (asked.cpuset_cpus, "CPUs", "cpu"),
        (asked.cpuset_mems, "memory nodes", "node"),
    ):
        if text:
            _check_available(text, what, _SYSTEM / place / "online")
    if (asked.cpu_realtime_period or asked.cpu_realtime_runtime) and not cgroups.has_realtime(host):
        raise bad_request("Your kernel does not support CPU realtime scheduler")


def check_workdir(workdir: str, lowers: Sequence[str]) -> bool:
    """Whether the image has the working directory. Raises SeawayError (500, as Docker) where it has a file instead.

    Links are not followed: what is at their ends isn't seen here, and counts as missing.
    """
    layers = [Path(lower) for lower in lowers]
    parts = tuple(os.fsencode(part) for part in workdir.split("/") if part)
    for depth in range(1, len(parts) + 1):
        found = find(layers, parts[:depth])
        if found is None:
            return False
        if not (found.is_directory or found.target):
            raise internal(f"Cannot mkdir: {workdir} is not a directory")
        if found.target:
            return False
    return True


def _check_available(text: str, what: str, online: Path) -> None:
    try:
        there = online.read_text().strip()
    except OSError:  # a kernel without NUMA has node 0 alone
        there = "0"
    try:
        missing = parse_cpuset(text) - parse_cpuset(there)
    except InvalidParameter as error:
        raise bad_request(str(error)) from error
    if missing:
        raise bad_request(f"Requested {what} are not available - requested {text}, available: {there}")


def warnings(asked: Resources, host: CgroupLayout) -> tuple[str, ...]:
    """A sentence for each limit that this kernel discards."""
    return discarded(asked, weights=cgroups.has_weights(host), cgroup_v2=host.mode is CgroupMode.V2)


def discarded(asked: Resources, *, weights: bool, cgroup_v2: bool) -> tuple[str, ...]:
    """Docker's sentences for the limits that a kernel without block I/O weights, or with cgroup v2, discards."""
    absent, said = "or the cgroup is not mounted", []
    if asked.blkio_weight and not weights:
        said.append(f"Your kernel does not support Block I/O weight {absent}. Weight discarded.")
    if asked.blkio_weight_device and not weights:
        said.append(f"Your kernel does not support Block I/O weight_device {absent}. Weight-device discarded.")
    if asked.memory_swappiness is not None and cgroup_v2:
        said.append(
            f"Your kernel does not support memory swappiness capabilities {absent}. Memory swappiness discarded."
        )
    if asked.oom_kill_disable and cgroup_v2:
        said.append("Your kernel does not support OomKillDisable. OomKillDisable discarded.")
    return tuple(said)
