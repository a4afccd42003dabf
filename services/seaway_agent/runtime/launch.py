"""Create one run of a container, from its bundle to its loaded program; a failure leaves nothing running."""

import contextlib
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path

from seaway_agent.kernel import seccomp_bpf
from seaway_agent.kernel.procs import open_pidfd
from seaway_agent.layout import Layout
from seaway_agent.oci import capabilities
from seaway_agent.oci import spec as oci
from seaway_agent.runtime import shim
from seaway_agent.runtime.bundle import BundlePlan
from seaway_agent.runtime.conmon import LOG_DRIVERS_WITHOUT_FILE, ShimPlan
from seaway_agent.runtime.container_cgroups import ContainerCgroups
from seaway_agent.runtime.contribution import SHARED_MEMORY
from seaway_agent.runtime.run import ContainerRun, RunPlan, RunRecord
from seaway_agent.runtime.runtimes import Runtimes, global_flags, is_filtered_by_host, knows_keyrings
from seaway_agent.runtime.shim_starter import ShimStarter
from seaway_contracts.containers import ContainerSpec
from seaway_contracts.errors import internal
from seaway_kit.failpoints import Failpoint, reach


@dataclass(frozen=True)
class ProcessDefaults:
    """What all containers of a node get. `grantable`: the capabilities that the node can give.

    `open_files`: soft and hard limit of containers that set none; None: the agent's own.
    """

    grantable: Collection[str] = capabilities.ALL
    open_files: tuple[int, int] | None = None


def shim_plan(layout: Layout, runtimes: Runtimes, conmon: str, spec: ContainerSpec) -> ShimPlan:
    """The parameters of a container's conmon. Raises SeawayError for an unknown runtime."""
    name, program = runtimes.find(spec.runtime)
    command = spec.command
    return ShimPlan(
        container=spec.id,
        conmon=conmon,
        runtime=program,
        runtime_root=layout.state_root(name, spec.id),
        bundle=layout.bundle(spec.id),
        exits=layout.exits,
        persist=layout.persist(spec.id),
        log=None if spec.log.driver in LOG_DRIVERS_WITHOUT_FILE else layout.log(spec.id),
        stdin=command.open_stdin,
        terminal=command.tty,
        leave_stdin_open=command.open_stdin and (command.tty or not command.stdin_once),
        runtime_args=global_flags(name),
        keyring_flag=knows_keyrings(name),
    )


def exit_files(layout: Layout, container: str) -> shim.ExitFiles:
    """Where conmon records a container's end."""
    return shim.ExitFiles.of(layout.exits, layout.persist(container), layout.bundle(container), container)


def rootfs_of(layout: Layout, container: str) -> Path:
    """Where the container's rootfs is mounted for the runtime."""
    return layout.bundle(container) / "rootfs"


class RunBuilder:
    """Builds one run, up to its start."""

    def __init__(
        self,
        plan: RunPlan,
        layout: Layout,
        runtimes: Runtimes,
        cgroups: ContainerCgroups,
        shims: ShimStarter,
        defaults: ProcessDefaults,
    ) -> None:
        self._plan = plan
        self._layout = layout
        self._runtime = runtimes.find(plan.spec.runtime)[0]
        self._cgroups = cgroups
        self._shims = shims
        self._defaults = defaults
        self._shim = shim_plan(layout, runtimes, shims.conmon, plan.spec)

    async def create(self) -> ContainerRun:
        """Create the run without starting it. Raises SeawayError, OSError, ValueError; leaves at most plain files."""
        bundle = self._bundle()
        self._clear_leftovers()
        spawned, pid = await self._shims.start(bundle)
        reach(Failpoint.START_CREATED)
        try:
            pidfd = open_pidfd(pid)
        except ProcessLookupError:
            pidfd = -1
        filtered = self._plan.parts.seccomp is not None and is_filtered_by_host(self._runtime)
        return ContainerRun(pid, pidfd, spawned.pidfd, child=True, filtered=filtered)

    def _clear_leftovers(self) -> None:
        """Remove an earlier run's exit file, which would end this run at once, and its conmon's socket."""
        exit_files(self._layout, self._plan.spec.id).clear()
        with contextlib.suppress(FileNotFoundError):
            (self._shim.bundle / "attach").unlink()

    def _bundle(self) -> BundlePlan:
        spec, parts = self._plan.spec, self._plan.parts
        if parts.rootfs is None:
            raise internal(f"container {spec.name} has no rootfs: no hook has contributed one")
        record = RunRecord(self._plan.order, parts.endpoints, parts.ports, parts.apparmor).dump()
        return BundlePlan(spec, self._shim, parts, parts.rootfs, self._spec_options, record)

    def _spec_options(self, user: oci.User, mounts: tuple[oci.HostMount, ...]) -> oci.SpecOptions:
        spec, parts, cgroups = self._plan.spec, self._plan.parts, self._cgroups
        return oci.SpecOptions(
            rootfs=str(rootfs_of(self._layout, spec.id)),
            cgroups_path=cgroups.path(spec),
            hostname=parts.files["hostname"].strip(),
            user=replace(user, groups=tuple(dict.fromkeys((*user.groups, *parts.groups)))),
            mounts=mounts,
            joined=parts.namespaces,
            seccomp=None if seccomp_bpf.ANNOTATION in parts.annotations else parts.seccomp,
            annotations=parts.annotations,
            cgroup_v2=cgroups.v2,
            host_devices=parts.devices,
            grantable=self._defaults.grantable,
            env=parts.env,
            late_env=parts.late_env,
            hooks=parts.runtime_hooks,
            block_devices=parts.block_devices,
            shared_memory=str(self._shim.bundle / SHARED_MEMORY) if "ipc" in parts.namespaces else "",
            weights=cgroups.weights,
            apparmor=parts.apparmor,
            open_files=self._defaults.open_files,
        )
