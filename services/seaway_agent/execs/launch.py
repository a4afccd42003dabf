"""Brings an exec to life: its directory, its process, its shim; or leaves nothing."""

import asyncio
import functools
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import orjson

from seaway_agent.execs.plan import ATTACH_FD, START_FD, SYNC_FD, ExecShim
from seaway_agent.execs.process import process_of
from seaway_agent.execs.supervisor.supervisor import SupervisedExec
from seaway_agent.kernel import paths, procs
from seaway_agent.kernel.spawn import Spawned, spawn
from seaway_agent.oci import spec as oci
from seaway_agent.plumbing import Plumbing
from seaway_agent.rootfs.passwd import MOST_TEXT, additional_groups, resolve_user
from seaway_agent.runtime import gvisor, shim
from seaway_agent.runtime.failures import exec_failure, last_error
from seaway_agent.runtime.flags import RUNSC, global_flags
from seaway_agent.runtime.shims import end_with_children
from seaway_contracts.containers import ContainerSpec
from seaway_contracts.errors import conflict
from seaway_contracts.execs import ExecSpec
from seaway_docker.errors import container_not_running
from seaway_kit.failpoints import Failpoint, reach

_GO: Final = b"\0"
_SMALL_TEXT: Final = 64 << 10


@dataclass
class ExecRun:
    """What an exec that runs holds. `pidfd` is its process, `conmon_fd` its shim (-1: it is gone), a child or not.

    `supervised`: it is in the hands of this agent's supervisor. `shimless`: it was in those of a former agent's.
    """

    pid: int
    pidfd: int
    conmon_fd: int
    child: bool
    supervised: SupervisedExec | None = None
    shimless: bool = False


@dataclass(frozen=True)
class ExecPlan:
    """What to run, and in which container: `pid` is that one's first process, or that of its sandbox."""

    container: ContainerSpec
    pid: int
    asked: ExecSpec
    shim: ExecShim
    config: Path
    sandboxed: bool = False
    supervised: bool = False


def plan_of(node: Plumbing, container: ContainerSpec, pid: int, asked: ExecSpec, *, attached: bool) -> ExecPlan:
    """How an exec is to be run. Raises SeawayError for an unknown runtime."""
    name, program = node.runtime(container.runtime)
    layout = node.layout
    conmon = ExecShim(
        exec_id=asked.id,
        container=container.id,
        conmon=node.conmon,
        runtime=program,
        runtime_root=layout.state_root(name, container.id),
        bundle=layout.exec_bundle(asked.id),
        stdin=asked.attach_stdin and attached,
        terminal=asked.tty,
        attached=attached,
        runtime_args=global_flags(name),
    )
    config = layout.bundle(container.id) / "config.json"
    supervised = attached and not asked.tty and name != RUNSC
    return ExecPlan(container, pid, asked, conmon, config, sandboxed=name == RUNSC, supervised=supervised)


class ExecLaunch:
    """One launch. `join` is called with the shim's directory when its streams can be joined, before the start."""

    def __init__(self, node: Plumbing, plan: ExecPlan, join: Callable[[Path], None]) -> None:
        self._node = node
        self._plan = plan
        self._join = join
        self._ours: list[int] = []

    async def run(self) -> ExecRun:
        """Start it. Raises SeawayError (in Docker's words where the runtime refused), OSError; nothing is left then."""
        try:
            return await self._run()
        except BaseException:
            shutil.rmtree(self._plan.shim.bundle, ignore_errors=True)
            raise
        finally:
            for fd in self._ours:
                os.close(fd)

    async def _run(self) -> ExecRun:
        self._node.attach_lock.warm()
        theirs, report_fd, attach_fd, start_fd = self._pipes()
        try:
            spawning = self._node.launcher.call(_make_and_spawn, self._node, self._plan, theirs)
            spawned = await asyncio.shield(asyncio.wrap_future(spawning))
        finally:
            for fd in (theirs[SYNC_FD], *(theirs[n] for n in (START_FD, ATTACH_FD) if n in theirs)):
                os.close(fd)
        reach(Failpoint.EXEC_SPAWNED)
        try:
            if self._plan.shim.attached:
                await shim.read_report(attach_fd)
                self._join(self._plan.shim.bundle)
                os.write(start_fd, _GO)
            report = await shim.read_report(report_fd)
        except BaseException:
            await self._end_shim(spawned)
            raise
        if report.pid <= 0:
            await shim.reaped(spawned.pidfd)
            raise exec_failure(self._logged() or report.message)
        return ExecRun(report.pid, pidfd_of(report.pid), spawned.pidfd, child=True)

    def _logged(self) -> str:
        try:
            return last_error(self._plan.shim.log_file.read_bytes())
        except FileNotFoundError:
            return ""

    def _pipes(self) -> tuple[dict[int, int], int, int, int]:
        """conmon's descriptors, and our ends: reports, attach, start (-1: none). conmon reads its start pipe twice:
        before all else, for which the first byte lies ready, and before it runs the program.
        """
        output = self._node.output_fd
        report_fd, sync = os.pipe2(os.O_CLOEXEC)
        self._ours.append(report_fd)
        theirs = {SYNC_FD: sync, 1: output, 2: output}
        if not self._plan.shim.attached:
            return theirs, report_fd, -1, -1
        attach_fd, ready = os.pipe2(os.O_CLOEXEC)
        start, start_fd = os.pipe2(os.O_CLOEXEC)
        self._ours += [attach_fd, start_fd]
        os.write(start_fd, _GO)
        return {**theirs, START_FD: start, ATTACH_FD: ready}, report_fd, attach_fd, start_fd

    async def _end_shim(self, spawned: Spawned) -> None:
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._node.workers, end_with_children, procs.find(spawned.pid))
        os.close(spawned.pidfd)


def _make_and_spawn(node: Plumbing, plan: ExecPlan, fds: dict[int, int]) -> Spawned:
    """In the launcher's thread: the runtime needs its mount namespace."""
    conmon = plan.shim
    _prepare(node, plan)
    with procs.oom_score(plan.container.resources.oom_score_adj):  # crun leaves it as it is
        return spawn(conmon.argv(), env=conmon.env(), cwd=str(conmon.bundle), fds=fds)


async def prepare(node: Plumbing, plan: ExecPlan) -> None:
    """Make the exec's directory, and write there what is to be run.

    In another thread only where that may have to wait, as the change of threads takes longer than the work. Raises
    OSError, SeawayError.
    """
    at_once = procs.has_first_root(plan.pid)
    user = _user(plan, paths.read_text_at_once, _SMALL_TEXT) if at_once else None
    if user is not None:
        _write(node, plan, user)
    else:
        await asyncio.wrap_future(node.launcher.call(_prepare, node, plan))


def _prepare(node: Plumbing, plan: ExecPlan) -> None:
    user = _user(plan, paths.read_text_in_root, MOST_TEXT)
    assert user is not None
    _write(node, plan, user)


def _write(node: Plumbing, plan: ExecPlan, user: oci.User) -> None:
    os.mkdir(plan.shim.bundle, 0o700)  # noqa: PTH102 - here and below a part of pathlib's cost
    about = os.stat(plan.config)  # noqa: PTH116
    first = _first_process(plan.config, about.st_ino, about.st_mtime_ns)
    process = process_of(first, plan.container, plan.asked, user, node.grantable)
    fd = os.open(plan.shim.process_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with open(fd, "wb", buffering=0) as file:
        file.write(orjson.dumps(process))
    reach(Failpoint.EXEC_BUNDLED)


@functools.lru_cache(maxsize=256)
def _first_process(config: Path, _inode: int, _mtime_ns: int) -> dict[str, Any]:
    """The container's own, of this run."""
    found: dict[str, Any] = orjson.loads(config.read_bytes())["process"]
    return found


def _user(plan: ExecPlan, read: Callable[[int, str, int], str | None], most: int) -> oci.User | None:
    """Who it runs as, looked up in the container as it is now; None where `read` gives None.

    Raises UserUnknown; 409 where the container has ended.
    """
    container = plan.container
    try:
        pid = gvisor.gofer(plan.shim.runtime_root, container.id) if plan.sandboxed else plan.pid
        root = os.open(f"/proc/{pid}/root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except (FileNotFoundError, ProcessLookupError):
        raise conflict(container_not_running(container.id)) from None
    try:
        passwd, group = (read(root, f"etc/{name}", most) for name in ("passwd", "group"))
    finally:
        os.close(root)
    if passwd is None or group is None:
        return None
    found = resolve_user(plan.asked.user or container.command.user, passwd, group)
    groups = (*found.groups, *additional_groups(container.security.group_add, group))
    return oci.User(found.uid, found.gid, tuple(dict.fromkeys(groups)), found.home)


def pidfd_of(pid: int) -> int:
    """Of a process that has just begun; -1 where it has ended already."""
    try:
        return procs.open_pidfd(pid)
    except ProcessLookupError:
        return -1
