"""One launch of a container, from its sandbox to its loaded program: everything is made here, or nothing is left."""

import asyncio
import contextlib
import json
import os
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

from seaway_agent import endpoints, joining
from seaway_agent.core import instructions
from seaway_agent.endpoints import Connection
from seaway_agent.gear import Gear, gather
from seaway_agent.kernel import seccomp_bpf
from seaway_agent.kernel.cgroups import has_weights
from seaway_agent.kernel.clones import clone_in_namespace_of
from seaway_agent.kernel.procs import find, open_pidfd
from seaway_agent.kernel.spawn import Spawned
from seaway_agent.oci import devices
from seaway_agent.oci import spec as oci
from seaway_agent.plumbing import Plumbing
from seaway_agent.rootfs.passwd import additional_groups, resolve_user
from seaway_agent.runtime import shim
from seaway_agent.runtime.bundle import Attachment, BundlePlan, make_and_start, unmount
from seaway_agent.runtime.conmon import LOG_DRIVERS_WITHOUT_FILE, Report, ShimPlan
from seaway_agent.runtime.failures import runtime_failure
from seaway_agent.runtime.flags import global_flags, is_filtered_by_host, knows_keyrings, recursive_read_only
from seaway_agent.runtime.host_devices import all_of_host, asked_for
from seaway_agent.runtime.run import ContainerRun
from seaway_agent.runtime.shims import end_with_children
from seaway_agent.volumes import binds
from seaway_contracts.containers import ContainerSpec
from seaway_kit.failpoints import Failpoint, reach

_SHM: Final = "shm"


def shim_plan(node: Plumbing, spec: ContainerSpec) -> ShimPlan:
    """How conmon is to be called for a container. Raises SeawayError for an unknown runtime."""
    name, program = node.runtime(spec.runtime)
    layout, command = node.layout, spec.command
    return ShimPlan(
        container=spec.id,
        conmon=node.conmon,
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


def exit_files(node: Plumbing, container: str) -> shim.ExitFiles:
    """Where conmon leaves word of a container's end."""
    layout = node.layout
    return shim.ExitFiles.of(layout.exits, layout.persist(container), layout.bundle(container), container)


def note_of(order: instructions.Launch, connection: Connection, apparmor: str) -> bytes:
    """What the next agent must know of a run that this one may not live to write down."""
    body = {
        "run": order.run,
        "starters": [(ask.command, ask.actor) for ask in order.starters],
        "restarters": [(ask.command, ask.actor) for ask in order.restarters],
        "endpoints": [endpoint.model_dump(exclude_defaults=True) for endpoint in connection.endpoints],
        "ports": [port.model_dump() for port in connection.ports],
        "apparmor": apparmor,
    }
    return json.dumps(body).encode()


class Launch:
    """Carries out one launch, but for the start."""

    def __init__(
        self, node: Plumbing, spec: ContainerSpec, lowers: tuple[str, ...], order: instructions.Launch
    ) -> None:
        self._node = node
        self._spec = spec
        self._lowers = lowers
        self._order = order
        self._shim = shim_plan(node, spec)
        self._spawned: Spawned | None = None
        self._apparmor = node.apparmor.profile_for(spec.security)
        self._seccomp = node.seccomp.section(spec)

    async def create(self) -> ContainerRun:
        """Everything but the start. Raises SeawayError, OSError, ValueError with plain files left at most."""
        node, spec = self._node, self._spec
        node.attach_lock.warm()
        await node.apparmor.see_to(self._apparmor)
        connection = await endpoints.connect(node.network, spec)
        reach(Failpoint.START_CONNECTED)
        try:
            plan = await asyncio.to_thread(self._plan, connection) if spec.mounts else self._plan(connection)
            report = await self._start_shim(plan)
        except BaseException:
            await endpoints.disconnect(node.network, spec, connection)
            reach(Failpoint.START_DISCONNECTED)
            raise
        assert self._spawned is not None
        reach(Failpoint.START_CREATED)
        try:
            pidfd = open_pidfd(report.pid)
        except ProcessLookupError:
            pidfd = -1
        if connection.sandbox is not None:
            connection.sandbox.hand_over()
        filtered = self._seccomp is not None and is_filtered_by_host(node.runtime(spec.runtime)[0])
        return ContainerRun(
            connection,
            report.pid,
            pidfd,
            self._spawned.pidfd,
            child=True,
            apparmor=self._apparmor,
            filtered=filtered,
        )

    async def _start_shim(self, plan: BundlePlan) -> Report:
        launcher = self._node.launcher
        self._clear_leftovers()
        reader, writer = os.pipe2(os.O_CLOEXEC)
        try:
            try:
                spawning = launcher.call(make_and_start, plan, writer, self._node.output_fd)
                self._spawned = spawned = await asyncio.shield(asyncio.wrap_future(spawning))
                reach(Failpoint.START_SPAWNED)
            finally:
                os.close(writer)
            try:
                report = await shim.read_report(reader)
            except BaseException:
                await self._end_shim(spawned)
                raise
        finally:
            os.close(reader)
            launcher.call(unmount, plan)
        if report.pid <= 0:
            await shim.reaped(spawned.pidfd)
            raise runtime_failure(report.message, self._apparmor)
        return report

    async def _end_shim(self, spawned: Spawned) -> None:
        """It hangs, and the runtime below it maybe as well."""
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._node.workers, end_with_children, find(spawned.pid))
        os.close(spawned.pidfd)

    def _clear_leftovers(self) -> None:
        """Of a run before this one: a stale exit file would end the new one at once; conmon needs its socket's name."""
        exit_files(self._node, self._spec.id).clear()
        with contextlib.suppress(FileNotFoundError):
            (self._shim.bundle / "attach").unlink()

    def _plan(self, connection: Connection) -> BundlePlan:
        node, spec = self._node, self._spec
        upper = node.uppers.locate(spec.id)
        binds.check_binds(spec)
        binds.check_propagation(spec)
        extra = gather(node, spec)
        found = asked_for((*spec.resources.devices, *extra.edits.devices))
        if spec.security.privileged:
            found = (*found, *all_of_host())

        theirs = joining.etc_files(node, spec)
        files = endpoints.etc_files(spec, connection, extra.hosts) if theirs is None else theirs
        hostname = files["hostname"].strip()
        bundle, rro = self._shim.bundle, recursive_read_only(node.runtime(spec.runtime)[0])

        def surroundings(user: oci.User, mounts: tuple[oci.HostMount, ...]) -> oci.Surroundings:
            return self._surroundings(connection, hostname, user, mounts, found, extra)

        return BundlePlan(
            spec=spec,
            shim=self._shim,
            lowers=self._lowers,
            upper=upper.upper,
            work=upper.work,
            files=files,
            binds=(*binds.bind_mounts(spec, bundle, rro=rro), *extra.edits.mounts, *self._init_mount()),
            volumes=node.volumes.mounts(spec, rro=rro),
            attachments=(*binds.attachments(spec), *node.volumes.attachments(spec), *self._shared_memory()),
            surroundings=surroundings,
            resolve_user=_identity,
            note=note_of(self._order, connection, self._apparmor),
        )

    def _shared_memory(self) -> tuple[Attachment, ...]:
        """Another container's /dev/shm, which only its own mount namespace shows."""
        pid = joining.shared_memory_pid(self._node, self._spec)
        return (Attachment(_SHM, partial(clone_in_namespace_of, pid, "/dev/shm")),) if pid else ()

    def _init_mount(self) -> tuple[oci.HostMount, ...]:
        if not self._spec.command.init:
            return ()
        return (oci.HostMount(self._node.init_path, "/sbin/docker-init", ("bind", "ro")),)

    def _surroundings(
        self,
        connection: Connection,
        hostname: str,
        user: oci.User,
        mounts: tuple[oci.HostMount, ...],
        found: tuple[devices.HostDevice, ...],
        extra: Gear,
    ) -> oci.Surroundings:
        node, spec = self._node, self._spec
        joined = joining.namespaces(node, spec)
        if connection.sandbox is not None:
            joined["network"] = connection.sandbox.path
        groups = tuple(dict.fromkeys((*user.groups, *extra.edits.groups)))
        compiled = node.seccomp.compiled(spec, node.runtime(spec.runtime)[0])
        return oci.Surroundings(
            rootfs=str(rootfs_of(node, spec)),
            cgroups_path=node.cgroups_path(spec),
            hostname=hostname,
            user=replace(user, groups=groups),
            mounts=mounts,
            joined=joined,
            seccomp=None if compiled else self._seccomp,
            annotations={seccomp_bpf.ANNOTATION: compiled} if compiled else {},
            cgroup_v2=node.cgroup_v2,
            host_devices=found,
            grantable=node.grantable,
            env=extra.env,
            late_env=extra.edits.env,
            hooks=extra.edits.hooks,
            block_devices=extra.block_devices,
            shared_memory=str(self._shim.bundle / _SHM) if "ipc" in joined else "",
            weights=has_weights(node.cgroups),
            apparmor=self._apparmor,
            open_files=node.open_files,
        )


def rootfs_of(node: Plumbing, spec: ContainerSpec) -> Path:
    """Where the container's rootfs is mounted for the runtime."""
    return node.layout.bundle(spec.id) / "rootfs"


def _identity(user: str, passwd: str, group: str, further: tuple[str, ...]) -> oci.User:
    found = resolve_user(user, passwd, group)
    groups = tuple(dict.fromkeys((*found.groups, *additional_groups(further, group))))
    return oci.User(found.uid, found.gid, groups, found.home)
