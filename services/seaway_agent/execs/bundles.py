"""The bundle of an exec: its directory with process.json, the OCI process to run."""

import asyncio
import functools
import os
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any, Final

import orjson

from seaway_agent.execs.plan import ExecPlan, process_of
from seaway_agent.kernel import paths, procs
from seaway_agent.kernel.launcher import Launcher
from seaway_agent.oci import spec as oci
from seaway_agent.rootfs.passwd import MOST_TEXT, additional_groups, resolve_user
from seaway_agent.runtime import gvisor
from seaway_contracts.docker_errors import container_not_running
from seaway_kit.failpoints import Failpoint, reach

_SMALL_TEXT: Final = 64 << 10


class ExecBundles:
    """Makes the bundles of execs. `grantable`: the capabilities that this node can give to a privileged exec."""

    def __init__(self, launcher: Launcher, grantable: Collection[str]) -> None:
        self._launcher = launcher
        self._grantable = grantable

    async def prepare(self, plan: ExecPlan) -> None:
        """Make the bundle. Raises OSError, SeawayError.

        In the launcher's thread only where a read may block, as the change of threads takes longer than the work.
        """
        user = _user(plan, paths.read_text_nonblocking, _SMALL_TEXT) if procs.has_namespace_root(plan.pid) else None
        if user is not None:
            self._write(plan, user)
        else:
            await asyncio.wrap_future(self._launcher.call(self.make, plan))

    def make(self, plan: ExecPlan) -> None:
        """Make the bundle; reads of the container's files may block. Raises OSError, SeawayError."""
        user = _user(plan, paths.read_text_in_root, MOST_TEXT)
        assert user is not None
        self._write(plan, user)

    def _write(self, plan: ExecPlan, user: oci.User) -> None:
        os.mkdir(plan.shim.bundle, 0o700)  # noqa: PTH102 - here and below a part of pathlib's cost
        about = os.stat(plan.config)  # noqa: PTH116
        first = _first_process(plan.config, about.st_ino, about.st_mtime_ns)
        process = process_of(first, plan.container, plan.asked, user, self._grantable)
        fd = os.open(plan.shim.process_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with open(fd, "wb", buffering=0) as file:
            file.write(orjson.dumps(process))
        reach(Failpoint.EXEC_BUNDLED)


@functools.lru_cache(maxsize=256)
def _first_process(config: Path, _inode: int, _mtime_ns: int) -> dict[str, Any]:
    """The OCI process of the container itself; inode and time of change make it that of this run."""
    found: dict[str, Any] = orjson.loads(config.read_bytes())["process"]
    return found


def _user(plan: ExecPlan, read: Callable[[int, str, int], str | None], most: int) -> oci.User | None:
    """The exec's user, looked up in the container's files as they are now; None where `read` returns None.

    Raises UserUnknown; SeawayError (409) where the container has ended.
    """
    container = plan.container
    try:
        pid = gvisor.gofer(plan.shim.runtime_root, container.id) if plan.sandboxed else plan.pid
        root = os.open(f"/proc/{pid}/root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except (FileNotFoundError, ProcessLookupError):
        raise container_not_running(container.id) from None
    try:
        passwd, group = (read(root, f"etc/{name}", most) for name in ("passwd", "group"))
    finally:
        os.close(root)
    if passwd is None or group is None:
        return None
    found = resolve_user(plan.asked.user or container.command.user, passwd, group)
    groups = (*found.groups, *additional_groups(container.security.group_add, group))
    return oci.User(found.uid, found.gid, tuple(dict.fromkeys(groups)), found.home)
