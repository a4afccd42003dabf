"""Makes a container's bundle and starts its shim, in one go, in the launcher's thread and mount namespace.

The overlay is mounted in the launcher's namespace only until the shim reports: by then the container's mount namespace
has its own copy. So a killed agent leaves no mount on the host.
"""

import contextlib
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import orjson

from seaway_agent.kernel import overlay, paths, syscalls
from seaway_agent.kernel.clones import detach_clone
from seaway_agent.kernel.spawn import Spawned, spawn
from seaway_agent.oci import spec as oci
from seaway_agent.rootfs.passwd import MOST_TEXT, additional_groups, resolve_user
from seaway_agent.runtime.conmon import SYNC_FD, ShimPlan
from seaway_agent.runtime.contribution import Contribution, Rootfs
from seaway_agent.runtime.proc_mounts import check_proc_mounts
from seaway_agent.runtime.run import RUN_FILE
from seaway_contracts.containers import ContainerSpec
from seaway_kit.failpoints import Failpoint, reach
from seaway_kit.private_files import write_private


@dataclass(frozen=True)
class BundlePlan:
    """What a bundle is made of. `spec_options` returns what the node adds to the spec, given a user and mounts."""

    spec: ContainerSpec
    shim: ShimPlan
    parts: Contribution
    layers: Rootfs
    spec_options: Callable[[oci.User, tuple[oci.HostMount, ...]], oci.SpecOptions]
    record: bytes

    @property
    def rootfs(self) -> Path:
        """Where the overlay is mounted until the shim reports."""
        return self.shim.bundle / "rootfs"


def make_and_start(plan: BundlePlan, report_fd: int, output_fd: int) -> Spawned:
    """Write the bundle, mount the rootfs, start conmon. An error leaves at most the bundle's plain files."""
    _make_directories(plan)
    reach(Failpoint.START_DIRECTORIES)
    layers = plan.layers
    overlay.mount_overlay(str(plan.rootfs), layers.lowers, str(layers.upper), str(layers.work))
    reach(Failpoint.START_MOUNTED)
    try:
        _attach(plan)
        _prepare(plan)
        reach(Failpoint.START_BUNDLED)
        fds = {SYNC_FD: report_fd, 1: output_fd, 2: output_fd}
        return spawn(plan.shim.argv(), env=plan.shim.env(), cwd=str(plan.shim.bundle), fds=fds)
    except BaseException:
        unmount(plan)
        raise


def unmount(plan: BundlePlan) -> None:
    """Unmount overlay and attachments in the launcher's namespace, if they are mounted."""
    with contextlib.suppress(OSError):
        overlay.umount(str(plan.rootfs))
    for one in plan.parts.attachments:
        detach_clone(str(plan.shim.bundle / one.name))


def _attach(plan: BundlePlan) -> None:
    for one in plan.parts.attachments:
        place, fd = plan.shim.bundle / one.name, one.clone()
        try:
            if stat.S_ISDIR(os.fstat(fd).st_mode):
                place.mkdir(exist_ok=True)
            else:
                place.touch()
            syscalls.attach_mount(fd, str(place))
        finally:
            os.close(fd)


def _make_directories(plan: BundlePlan) -> None:
    shim = plan.shim
    for directory in (shim.bundle, plan.rootfs, shim.persist, shim.runtime_root):
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_private(shim.bundle / RUN_FILE, plan.record)
    for name, content in plan.parts.files.items():
        path = shim.bundle / name
        path.write_text(content, errors="surrogateescape")  # another container may have written it
        path.chmod(0o644)


def _prepare(plan: BundlePlan) -> None:
    root = os.open(plan.rootfs, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        command = plan.spec.command
        passwd, group = (paths.read_text_in_root(root, f"etc/{name}", MOST_TEXT) for name in ("passwd", "group"))
        user = _user(command.user, passwd, group, plan.spec.security.group_add)
        if command.workdir not in ("", "/"):
            os.close(paths.mkdir_all_in_root(root, command.workdir))
        config = oci.compose(plan.spec, plan.spec_options(user, _mounts(plan)))
        if plan.spec.mounts:
            check_proc_mounts(
                root, config["mounts"], {mount.target: mount.source or mount.type for mount in plan.spec.mounts}
            )
    finally:
        os.close(root)
    write_private(plan.shim.bundle / "config.json", orjson.dumps(config))


def _user(user: str, passwd: str, group: str, further: tuple[str, ...]) -> oci.User:
    found = resolve_user(user, passwd, group)
    groups = tuple(dict.fromkeys((*found.groups, *additional_groups(further, group))))
    return oci.User(found.uid, found.gid, groups, found.home)


def _mounts(plan: BundlePlan) -> tuple[oci.HostMount, ...]:
    """The generated files for /etc, except where the user mounts over them, then the hooks' mounts."""
    options = ("rbind", "rprivate", *(("ro",) if plan.spec.security.read_only_rootfs else ()))
    own = tuple(oci.HostMount(str(plan.shim.bundle / name), f"/etc/{name}", options) for name in plan.parts.files)
    taken = {mount.target for mount in plan.parts.mounts}
    return (*(mount for mount in own if mount.target not in taken), *plan.parts.mounts)
