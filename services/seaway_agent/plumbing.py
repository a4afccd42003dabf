"""What every container of a node shares: the node's places, kernel layers, journal."""

import base64
import logging
import platform
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import orjson

from seaway_agent.execs.supervisor.supervisor import ExecSupervisor
from seaway_agent.kernel import seccomp_bpf
from seaway_agent.kernel.attach_lock import AttachLock
from seaway_agent.kernel.cgroup_parents import CgroupParents
from seaway_agent.kernel.cgroup_text import CgroupLayout, CgroupMode, cgroups_path, suite_cgroup
from seaway_agent.kernel.launcher import Launcher
from seaway_agent.layout import Layout
from seaway_agent.network.driver import NetworkDriver
from seaway_agent.oci import capabilities, seccomp
from seaway_agent.rootfs.upper import UpperStore
from seaway_agent.runtime.apparmor import AppArmor
from seaway_agent.runtime.container_cgroups import ContainerCgroups
from seaway_agent.runtime.runtimes import Runtimes
from seaway_agent.state.journal import Journal
from seaway_agent.streams.log_watch import LogWatch
from seaway_agent.streams.spill import SpillRoom
from seaway_agent.volumes.volumes import Volumes
from seaway_bus.bus import Bus
from seaway_contracts.containers import ContainerRecord, ContainerSpec
from seaway_contracts.errors import bad_request
from seaway_kit.tasks import Tasks

log = logging.getLogger(__name__)


class Seccomp:
    """The node's default filter, made once for each set of capabilities.

    `takers`: the runtimes that take it compiled.
    """

    def __init__(self, profile: Path, takers: Collection[str] = ()) -> None:
        self._base = seccomp.base_names(orjson.loads(profile.read_bytes()))
        self._takers = frozenset(takers)
        self._made: dict[tuple[str, ...], dict[str, Any]] = {}
        self._compiled: dict[tuple[str, ...], str] = {}

    def section(self, spec: ContainerSpec) -> dict[str, Any] | None:
        """A container's filter; None for an unconfined one. Raises SeawayError for a bad profile of the user's."""
        security = spec.security
        if security.seccomp == "unconfined" or (security.privileged and not security.seccomp):
            return None
        caps = capabilities.effective(security.cap_add, security.cap_drop, security.privileged)
        if security.seccomp:
            try:
                return seccomp.from_docker_profile(orjson.loads(security.seccomp), caps, platform.machine())
            except (ValueError, KeyError, TypeError) as error:
                raise bad_request(f"decoding seccomp profile failed: {error}") from error
        if caps not in self._made:
            self._made[caps] = seccomp.compile_filter(self._base, caps, platform.machine())
        return self._made[caps]

    def compiled(self, spec: ContainerSpec, runtime: str) -> str:
        """The default filter in the form of `seccomp_bpf.ANNOTATION`; empty where the section is to be used."""
        security = spec.security
        if runtime not in self._takers or security.seccomp or security.privileged:
            return ""
        caps = capabilities.effective(security.cap_add, security.cap_drop, security.privileged)
        if caps not in self._compiled:
            self._compiled[caps] = _compiled(self.section(spec))
        return self._compiled[caps]


def _compiled(section: dict[str, Any] | None) -> str:
    try:
        found = seccomp_bpf.compile_tree(section) if section is not None else None
    except (OSError, ValueError) as error:
        log.warning("the seccomp filter is left to the runtime to compile: %s", error)
        found = None
    return base64.b64encode(found or b"").decode()


@dataclass
class Plumbing:
    """Handed to every container's runner."""

    node: str
    suite: str
    layout: Layout
    cgroups: CgroupLayout
    launcher: Launcher
    attach_lock: AttachLock
    network: NetworkDriver
    uppers: UpperStore
    volumes: Volumes
    journal: Journal
    seccomp: Seccomp
    tasks: Tasks
    spill: SpillRoom
    conmon: str
    runtimes: Mapping[str, str]
    default_runtime: str
    init_path: str
    output_fd: int
    open_files: tuple[int, int] | None = None
    """The limits that containers have, soft and hard; None: those of the agent."""
    grantable: Collection[str] = capabilities.ALL
    apparmor: AppArmor = field(default_factory=AppArmor)
    pid_of: Callable[[str], int] = lambda _: 0
    """The first process of a container of this node; 0 where it doesn't run."""
    peer: Callable[[str], ContainerRecord | None] = lambda _: None
    """Another container of this node; None where it isn't there."""
    bus: Bus | None = None
    """Where lines of containers with the log driver `nats` are published."""
    supervisor: ExecSupervisor = field(default_factory=ExecSupervisor)
    """Holds the execs that have no shim."""
    log_watch: LogWatch = field(default_factory=LogWatch)
    workers: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(4, thread_name_prefix="node"))
    """For short work that a container's life waits for."""
    unmounters: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(2, thread_name_prefix="unmount"))
    """For last unmounts, which wait for the disk."""
    packers: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(2, thread_name_prefix="pack"))
    """For rotated logs, which may take their time."""

    @property
    def cgroup_v2(self) -> bool:
        """Whether the host has only the unified hierarchy."""
        return self.cgroups.mode is CgroupMode.V2

    @cached_property
    def cgroup_parents(self) -> CgroupParents:
        """What stands above containers that were given a place of their own."""
        return CgroupParents(self.cgroups, self.layout.cgroup_parents)

    @cached_property
    def container_cgroups(self) -> ContainerCgroups:
        """Where the containers' cgroups are."""
        return ContainerCgroups(self.cgroups, self.suite, self.layout.cgroup_parents)

    @cached_property
    def oci_runtimes(self) -> Runtimes:
        """The OCI runtimes."""
        return Runtimes(self.runtimes, self.default_runtime)

    def cgroups_path(self, spec: ContainerSpec) -> str:
        """Where a container's cgroups are, below every hierarchy."""
        return cgroups_path(spec.resources.cgroup_parent or suite_cgroup(self.suite), spec.id)

    def runtime(self, name: str) -> tuple[str, str]:
        """A runtime's name and program. Raises SeawayError with Docker's text for one that isn't there."""
        chosen = name or self.default_runtime
        if chosen not in self.runtimes:
            raise bad_request(f"unknown or invalid runtime name: {chosen}")
        return chosen, self.runtimes[chosen]
