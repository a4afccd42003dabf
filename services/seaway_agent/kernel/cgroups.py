"""The cgroups of containers, on cgroup v1, hybrid and v2 hosts. All of it blocks."""
# os functions on str cost a third of pathlib, and this is on the hot path.
# ruff: noqa: PTH103, PTH106, PTH110

import contextlib
import errno
import os
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final

from seaway_agent.kernel import cgroup_limits
from seaway_agent.kernel.cgroup_limits import Limits, Write
from seaway_agent.kernel.cgroup_sample import (
    PRESSURE_FILES,
    V1_DETAILS,
    V1_FILES,
    V1_STATS,
    V2_DETAILS,
    V2_FILES,
    V2_STATS,
    CgroupSample,
    sample_v1,
    sample_v2,
)
from seaway_agent.kernel.cgroup_text import CgroupLayout, CgroupMode, parse_keyed, parse_layout, parse_limit

# A dying process holds its cgroup for some milliseconds after its exit was reported.
_BUSY_WAITS: Final = (0.0005, 0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064)
_POLL: Final = 0.001
_READ_SIZE: Final = 16384
_GONE: Final = frozenset({errno.ENOENT, errno.ENODEV})
_ABSENT: Final = _GONE | {errno.EOPNOTSUPP}
"""EOPNOTSUPP: a pressure file of a kernel that was booted without PSI."""


def host_layout() -> CgroupLayout:
    """The host's layout, as the main thread sees it (a launcher thread covers the cgroup2 mount for itself only)."""
    return parse_layout(Path("/proc/self/mountinfo").read_text())


def read_text(path: str) -> str:
    """The text of a cgroup file; "" when the file or its cgroup is gone."""
    try:
        with open(path) as file:
            return file.read()
    except OSError as error:
        if error.errno in _GONE:
            return ""
        raise


def write_text(path: str, value: str) -> None:
    """Write a cgroup file. The error names the file and the value."""
    try:
        with open(path, "w") as file:
            file.write(value)
    except OSError as error:
        raise OSError(error.errno, f"cannot write {value!r}: {error.strerror}", path) from error


def enter(layout: CgroupLayout, cgroups_path: str) -> None:
    """Make the cgroup and put the calling thread (v1), or the whole process (v2, which moves no threads), into it."""
    file = "cgroup.procs" if layout.mode is CgroupMode.V2 else "tasks"
    number = os.getpid() if layout.mode is CgroupMode.V2 else threading.get_native_id()
    mounts = [layout.unified] if layout.mode is CgroupMode.V2 else dict.fromkeys(layout.controllers.values())
    for mount in mounts:
        directory = f"{mount}{cgroups_path}"
        os.makedirs(directory, exist_ok=True)
        if "cpuset" in layout.controllers and mount == layout.controllers["cpuset"]:
            _inherit_cpuset(mount, cgroups_path)
        write_text(f"{directory}/{file}", str(number))


def make(layout: CgroupLayout, cgroups_path: str) -> None:
    """Make a cgroup in all hierarchies, ready to take processes. Raises OSError."""
    for directory in layout.directories(cgroups_path):
        os.makedirs(directory, exist_ok=True)
    if "cpuset" in layout.controllers:
        _inherit_cpuset(layout.controllers["cpuset"], cgroups_path)


def move(layout: CgroupLayout, cgroups_path: str, pid: int) -> None:
    """Put a process into a cgroup in all hierarchies. Raises OSError."""
    for directory in layout.directories(cgroups_path):
        write_text(f"{directory}/cgroup.procs", str(pid))


def _inherit_cpuset(mount: str, cgroups_path: str) -> None:
    """A new v1 cpuset is empty and takes no task until its CPUs and memory nodes are set, from the top down."""
    directory = mount
    for part in cgroups_path.strip("/").split("/"):
        above, directory = directory, f"{directory}/{part}"
        for file in ("cpuset.cpus", "cpuset.mems"):
            if not read_text(f"{directory}/{file}").strip():
                write_text(f"{directory}/{file}", read_text(f"{above}/{file}").strip())


def remove(directories: Iterable[str]) -> None:
    """Remove cgroups and all below them; missing ones are ignored.

    Raises OSError (EBUSY) for the first one that still has processes after about 130 ms; the others are removed.
    """
    waits = iter(_BUSY_WAITS)
    failed: OSError | None = None
    for directory in directories:
        try:
            _remove_tree(directory, waits)
        except OSError as error:
            failed = failed or error
    if failed is not None:
        raise failed


def _remove_tree(directory: str, waits: Iterator[float]) -> None:
    while True:
        try:
            os.rmdir(directory)
            return
        except FileNotFoundError:
            return
        except OSError as error:
            if error.errno not in (errno.EBUSY, errno.ENOTEMPTY):
                raise
            children = [entry.path for entry in _scan(directory) if entry.is_dir(follow_symlinks=False)]
            for child in children:
                _remove_tree(child, waits)
            if not children:
                pause = next(waits, None)
                if pause is None:
                    reason = f"cgroup still has processes {procs(directory)[:5]}: kill them first"
                    raise OSError(errno.EBUSY, reason, directory) from error
                time.sleep(pause)


def _scan(directory: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(directory) as entries:
            return list(entries)
    except FileNotFoundError:
        return []


def procs(directory: str) -> list[int]:
    """The processes of a cgroup and of its descendants."""
    found = [int(line) for line in read_text(f"{directory}/cgroup.procs").split()]
    for entry in _scan(directory):
        if entry.is_dir(follow_symlinks=False):
            found += procs(entry.path)
    return found


def _until(condition: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL)
    return True


def freeze(layout: CgroupLayout, cgroups_path: str, *, seconds: float = 2.0) -> None:
    """Freeze a cgroup. Raises TimeoutError, with all thawed again, when it isn't frozen in time."""
    if layout.mode is CgroupMode.V2:
        directory = f"{layout.unified}{cgroups_path}"
        write_text(f"{directory}/cgroup.freeze", "1")
        frozen = _until(lambda: parse_keyed(read_text(f"{directory}/cgroup.events")).get("frozen") == 1, seconds)
    else:
        state = f"{layout.controllers['freezer']}{cgroups_path}/freezer.state"

        def is_frozen() -> bool:
            write_text(state, "FROZEN")
            return read_text(state).strip() == "FROZEN"

        frozen = _until(is_frozen, seconds)
    if not frozen:
        thaw(layout, cgroups_path)
        raise TimeoutError(errno.ETIMEDOUT, f"not frozen within {seconds} s: a process hangs", cgroups_path)


def thaw(layout: CgroupLayout, cgroups_path: str) -> None:
    """Thaw a cgroup: its processes continue."""
    if layout.mode is CgroupMode.V2:
        write_text(f"{layout.unified}{cgroups_path}/cgroup.freeze", "0")
    else:
        write_text(f"{layout.controllers['freezer']}{cgroups_path}/freezer.state", "THAWED")


def kill_all(layout: CgroupLayout, cgroups_path: str, *, seconds: float = 2.0) -> None:
    """SIGKILL every process of a cgroup, also frozen ones, and wait until none is left. Raises TimeoutError."""
    kill_file = f"{layout.unified}{cgroups_path}/cgroup.kill"
    if layout.mode is CgroupMode.V2 and os.path.exists(kill_file):
        write_text(kill_file, "1")
        directory = f"{layout.unified}{cgroups_path}"
        gone = _until(lambda: not procs(directory), seconds)
    else:
        gone = _until(lambda: not _kill_each(layout, cgroups_path), seconds)
    if not gone:
        raise TimeoutError(errno.ETIMEDOUT, f"processes are left {seconds} s after SIGKILL", cgroups_path)


def _kill_each(layout: CgroupLayout, cgroups_path: str) -> list[int]:
    """Kill the processes found; returns them. The next round finds forks in between."""
    directory = layout.directory("freezer", cgroups_path) or layout.directories(cgroups_path)[0]
    found = procs(directory)
    for pid in found:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    if found:
        with contextlib.suppress(OSError):
            thaw(layout, cgroups_path)  # a frozen process on cgroup v1 dies only when thawed
    return found


def oom_kills(layout: CgroupLayout, cgroups_path: str) -> int:
    """How many processes of the cgroup the OOM killer has killed."""
    file = "memory.events" if layout.mode is CgroupMode.V2 else "memory.oom_control"
    return parse_keyed(read_text(f"{layout.directory('memory', cgroups_path)}/{file}")).get("oom_kill", 0)


def update_limits(layout: CgroupLayout, cgroups_path: str, limits: Limits) -> None:
    """Change the limits of a running container. Raises OSError that names file and value; earlier writes stay."""
    for write in (*_writes(layout, cgroups_path, limits), *_weight(layout, cgroups_path, limits)):
        directory = layout.directory(write.controller, cgroups_path)
        if directory is None:
            reason = f"this host has no {write.controller} controller, so {write.file} can't be set"
            raise OSError(errno.ENOTSUP, reason, cgroups_path)
        write_text(f"{directory}/{write.file}", write.value)


def has_weights(layout: CgroupLayout) -> bool:
    """Whether the kernel supports block I/O weights; without it Docker discards the option.

    On cgroup v2 the root has no weight file: with iocost it has `io.cost.qos`, with BFQ its children have weights.
    """
    if layout.mode is not CgroupMode.V2:
        return weight_file(layout, "") is not None
    root = Path(layout.unified or "/")
    return (root / "io.cost.qos").exists() or any(root.glob("*/io.bfq.weight"))


def has_realtime(layout: CgroupLayout) -> bool:
    """Whether cgroups have real-time limits: on cgroup v1, with RT_GROUP_SCHED in the kernel."""
    directory = layout.directory("cpu", "")
    return layout.mode is not CgroupMode.V2 and os.path.exists(f"{directory}/cpu.rt_period_us")


def weight_file(layout: CgroupLayout, cgroups_path: str) -> tuple[str, str] | None:
    """The controller and file of the block I/O weight; None where the kernel's scheduler has none."""
    controller = "io" if layout.mode is CgroupMode.V2 else "blkio"
    directory = layout.directory(controller, cgroups_path)
    names = (f"{controller}.weight", f"{controller}.bfq.weight")
    return next(((controller, name) for name in names if os.path.exists(f"{directory}/{name}")), None)


def _weight(layout: CgroupLayout, cgroups_path: str, limits: Limits) -> list[Write]:
    file = weight_file(layout, cgroups_path) if limits.blkio_weight is not None else None
    return [Write(*file, str(limits.blkio_weight))] if file is not None else []


def _writes(layout: CgroupLayout, cgroups_path: str, limits: Limits) -> list[Write]:
    memory, cpu = layout.directory("memory", cgroups_path), layout.directory("cpu", cgroups_path)
    if layout.mode is not CgroupMode.V2:
        memsw = parse_limit(read_text(f"{memory}/memory.memsw.limit_in_bytes"))
        return cgroup_limits.writes_v1(limits, memory_swap_now=memsw)
    quota, _, period = read_text(f"{cpu}/cpu.max").partition(" ")
    return cgroup_limits.writes_v2(
        limits,
        memory_now=parse_limit(read_text(f"{memory}/memory.max")),
        quota_now=parse_limit(quota),
        period_now=int(period or cgroup_limits.DEFAULT_PERIOD_US),
    )


class Sampler:
    """Samples one container's cgroup from files kept open (a fifth of the cost of opening them each time).

    Holds up to 20 descriptors: mind RLIMIT_NOFILE. Not for two threads at once.
    `details`: for Prometheus, which is shown more than `docker stats`, and no limits: the container's spec has them.
    """

    def __init__(self, layout: CgroupLayout, cgroups_path: str, *, details: bool = False) -> None:
        self._sample = sample_v2 if layout.mode is CgroupMode.V2 else sample_v1
        self._fds: dict[str, int] = {}
        try:
            for directory, file in _files(layout, cgroups_path, details=details):
                try:
                    self._fds[file] = os.open(f"{directory}/{file}", os.O_RDONLY | os.O_CLOEXEC)
                except OSError as error:
                    if error.errno not in _ABSENT:
                        raise
        except BaseException:
            self.close()
            raise

    def sample(self) -> CgroupSample:
        """The present counts; zeros for files that the kernel doesn't have, and after the cgroup is gone."""
        return self._sample({file: _pread(fd) for file, fd in self._fds.items()})

    def close(self) -> None:
        """Close the files; safe to call twice."""
        while self._fds:
            os.close(self._fds.popitem()[1])

    def __enter__(self) -> "Sampler":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _files(layout: CgroupLayout, cgroups_path: str, *, details: bool) -> Iterator[tuple[str, str]]:
    """Directory and name of each file that a sample may have."""
    if layout.mode is CgroupMode.V2:
        files = (*V2_FILES, *(V2_DETAILS if details else V2_STATS))
    else:
        files = (*V1_FILES, *(V1_DETAILS if details else V1_STATS))
    for controller, file in files:
        if (directory := layout.directory(controller, cgroups_path)) is not None:
            yield directory, file
    if details and layout.unified is not None:
        for file in PRESSURE_FILES:
            yield layout.unified + cgroups_path, file


def _pread(fd: int) -> str:
    try:
        text = piece = os.pread(fd, _READ_SIZE, 0)
        while len(piece) == _READ_SIZE:  # only a list of very many processes is that long
            piece = os.pread(fd, _READ_SIZE, len(text))
            text += piece
        return text.decode()
    except OSError as error:
        if error.errno in _ABSENT:
            return ""
        raise
