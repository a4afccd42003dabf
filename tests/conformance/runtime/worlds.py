"""The runtimes that the one suite runs on: the twin in memory, and conmon with crun or runc on this kernel."""

import asyncio
import os
import shutil
import signal
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol

from seaway_agent.container.hook import Planning, RunHooks, RunRequest
from seaway_agent.container.hooks.confinement import ConfinementHook
from seaway_agent.container.hooks.etc_files import EtcFilesHook
from seaway_agent.container.hooks.rootfs import RootfsHook
from seaway_agent.core.instructions import Exit, Launch
from seaway_agent.kernel import cgroups, mountinfo, procs
from seaway_agent.kernel.attach_lock import AttachLock
from seaway_agent.kernel.launcher import Launcher
from seaway_agent.layout import Layout
from seaway_agent.oci import capabilities
from seaway_agent.rootfs.upper import UpperStore
from seaway_agent.runtime.apparmor import AppArmor
from seaway_agent.runtime.conmon_runtime import ConmonRuntime
from seaway_agent.runtime.container_cgroups import ContainerCgroups
from seaway_agent.runtime.exits import ExitWatch
from seaway_agent.runtime.fake import FakeRuntime, Script
from seaway_agent.runtime.launch import ProcessDefaults, exit_files
from seaway_agent.runtime.port import Runtime
from seaway_agent.runtime.run import ContainerRun, RunPlan
from seaway_agent.runtime.runtimes import Runtimes
from seaway_agent.runtime.seccomp import Seccomp
from seaway_agent.runtime.shim_starter import ShimStarter
from seaway_agent.runtime.shims import end_with_children, shims_below
from seaway_bus.bus import Bus
from seaway_contracts.containers import Command, ContainerSpec, Namespaces
from seaway_kit.tasks import Tasks
from seaway_testing import builders
from seaway_testing.waiting import until

SECCOMP: Final = Path("/usr/share/containers/seccomp.json")
_APPLETS: Final = ("sh", "true", "sleep", "cat", "stty", "dd", "echo", "tail")
_serial = iter(range(1, 1_000_000))


@dataclass(frozen=True)
class Program:
    """What is run: an argument vector for a kernel, a script for the twin."""

    args: tuple[str, ...]
    script: Script = field(default_factory=Script)
    host_pids: bool = False


def exits(code: int) -> Program:
    return Program(("sh", "-c", f"exit {code}"), Script(exits=code))


# The first process of a pid namespace takes no signal that it has no handler for, but SIGKILL and SIGSTOP.
SLEEPS: Final = Program(("sleep", "600"), Script(ignores=frozenset(set(range(1, 65)) - {9})))
SLEEPS_AS_ANY: Final = Program(("sleep", "600"), host_pids=True)


class World(Protocol):
    """One kind of runtime and all that it stands on."""

    async def make(self, *programs: Program, **fields: Any) -> "Box":
        """A container that will run these programs, one in each run."""

    async def over(self, box: "Box") -> None:
        """Wait until the run has ended, without the runtime being asked."""

    def kill(self, box: "Box") -> None:
        """SIGKILL from outside."""

    async def kill_before_start(self, box: "Box") -> None:
        """SIGKILL from outside, and wait for the end; the twin's script must play it."""

    async def kill_shim(self, box: "Box") -> None:
        """Somebody kills the shim."""

    def left(self) -> list[str]:
        """What is left on the host."""


class Box:
    """A container in a test, what its hooks prepare, and the ends that were reported of it."""

    def __init__(self, runtime: Runtime, specs: list[ContainerSpec], lowers: tuple[str, ...], hooks: RunHooks) -> None:
        self.runtime = runtime
        self.ends: list[Exit] = []
        self.number = 0
        self._specs = specs
        self._lowers = lowers
        self._hooks = hooks

    @property
    def id(self) -> str:
        return self._specs[0].id

    async def create(self) -> ContainerRun:
        self.number += 1
        spec = self._specs.pop(0) if len(self._specs) > 1 else self._specs[0]
        parts = await self._hooks.prepare(RunRequest(spec, self._lowers))
        try:
            run = await self.runtime.create(RunPlan(spec, Launch(self.number), parts))
        except Exception:
            await self._hooks.undo(spec.id)
            raise
        self._hooks.created(spec.id, run)
        return run

    def adopt(self, run: ContainerRun) -> None:
        self.runtime.adopt(run)
        self._hooks.created(self.id, run)

    async def clean_up(self) -> None:
        await self.runtime.clean_up()
        await self._hooks.undo(self.id)

    def watch(self) -> None:
        self.runtime.watch(self.ends.append)

    async def started(self) -> ContainerRun:
        """Created, started, watched."""
        run = await self.create()
        await self.runtime.start()
        self.watch()
        return run

    async def end(self, times: int = 1) -> Exit:
        await until(lambda: len(self.ends) >= times, what=f"end number {times}")
        return self.ends[times - 1]

    async def ran(self) -> Exit:
        """From create to clean-up."""
        before = len(self.ends)
        await self.started()
        how = await self.end(before + 1)
        await self.clean_up()
        return how


def _spec(container: str, program: Program, **fields: Any) -> ContainerSpec:
    plain: dict[str, Any] = {
        "command": Command(cmd=program.args, env=("PATH=/bin",)),
        "network": builders.networking("none"),
        "namespaces": Namespaces(pid="host" if program.host_pids else ""),
    }
    return builders.spec(next(_serial), id=container, **(plain | fields))


class FakeWorld:
    """In memory."""

    def __init__(self) -> None:
        self._runtimes: dict[str, FakeRuntime] = {}

    async def make(self, *programs: Program, **fields: Any) -> Box:
        container = os.urandom(32).hex()
        runtime = self._runtimes[container] = FakeRuntime(*(program.script for program in programs))
        return Box(runtime, [_spec(container, program, **fields) for program in programs], (), RunHooks(()))

    async def over(self, box: Box) -> None:
        await asyncio.sleep(0)

    def kill(self, box: Box) -> None:
        self._runtimes[box.id].end(137)

    async def kill_before_start(self, box: Box) -> None:
        await asyncio.sleep(0)

    async def kill_shim(self, box: Box) -> None:
        self._runtimes[box.id].kill_shim()

    def left(self) -> list[str]:
        return [container for container, runtime in self._runtimes.items() if runtime.run is not None]


class KernelWorld:
    """What a runtime stands on, without a network; one image of busybox. `bus` and `tasks` are for consoles."""

    def __init__(self, base: Path, rootfs: Path, runtime: str, bus: Bus, tasks: Tasks) -> None:
        self.bus = bus
        self.tasks = tasks
        self.suite = os.urandom(3).hex()
        self.layout = Layout.of(base / "root", base / "run", "n1")
        self.runtime = runtime
        self.runtimes = Runtimes({runtime: str(shutil.which(runtime))}, runtime)
        self.cgroups = ContainerCgroups(cgroups.host_layout(), self.suite, self.layout.cgroup_parents)
        self.workers = ThreadPoolExecutor(4)
        self.unmounters = ThreadPoolExecutor(2)
        self._base = base
        self._rootfs = rootfs
        self._boxes: dict[str, Box] = {}
        self._stack = AsyncExitStack()
        self._fds = Counter[str]()

    async def open(self) -> None:
        self.layout.make()
        self.launcher = Launcher()
        self.launcher.start()
        self._stack.callback(self.launcher.close)
        attach_lock = AttachLock(self.cgroups.host)
        attach_lock.start()
        self._stack.callback(attach_lock.close)
        output = os.open(self._base / "output", os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC)
        self._stack.callback(os.close, output)
        self.shims = ShimStarter(str(shutil.which("conmon")), self.launcher, attach_lock, output, self.workers)
        self._open_hooks()
        self._stack.callback(self.workers.shutdown)
        self._stack.callback(self.unmounters.shutdown)
        exits = ExitWatch(self.layout.exits, self._exit_seen)
        exits.start()
        self._stack.callback(exits.close)
        self._fds = _descriptors()

    def _open_hooks(self) -> None:
        self.uppers = UpperStore(self.layout.containers)
        self.uppers.start(())
        self._stack.callback(self.uppers.close)
        rootfs = RootfsHook(self.uppers, self.unmounters)
        self._stack.callback(rootfs.close)
        seccomp = Seccomp(SECCOMP, takers=[self.runtime] if self.runtime == "crun" else [])
        confinement = ConfinementHook(AppArmor(), seccomp, self.runtimes)
        self.hooks = RunHooks((confinement, rootfs, Planning((EtcFilesHook(lambda _: None, self.layout),))))

    def _runtime(self, spec: ContainerSpec) -> Runtime:
        defaults = ProcessDefaults(capabilities.in_mask(procs.bounding_set()))
        return ConmonRuntime(spec, self.layout, self.runtimes, self.cgroups, self.shims, self.workers, defaults)

    def _exit_seen(self, container: str) -> None:
        if container in self._boxes:
            self._boxes[container].runtime.check()

    async def make(self, *programs: Program, **fields: Any) -> Box:
        container = os.urandom(32).hex()
        specs = [_spec(container, program, **fields) for program in programs]
        self.uppers.acquire(container)
        box = self._boxes[container] = Box(self._runtime(specs[0]), specs, (str(self._rootfs),), self.hooks)
        return box

    async def over(self, box: Box) -> None:
        await until(lambda: exit_files(self.layout, box.id).read() is not None, what="the exit file")

    def kill(self, box: Box) -> None:
        assert box.runtime.run is not None
        os.kill(box.runtime.run.pid, signal.SIGKILL)

    async def kill_before_start(self, box: Box) -> None:
        self.kill(box)
        await self.over(box)

    async def kill_shim(self, box: Box) -> None:
        os.kill(shims_below(self.layout.run)[box.id].pid, signal.SIGKILL)
        await until(lambda: box.id not in shims_below(self.layout.run), what="the end of the shim")

    def log(self, box: Box) -> str:
        """What the container has written."""
        lines = self.layout.log(box.id).read_text().splitlines()
        return "".join(line.split(" ", 3)[3] + "\n" * (line.split(" ", 3)[2] == "F") for line in lines)

    def mounts(self) -> list[str]:
        """Mounts below the bundles in the launcher's namespace, when it has done all that it was asked to."""
        text = self.launcher.call(lambda: Path("/proc/thread-self/mountinfo").read_text()).result()
        return mountinfo.targets_below(text, str(self.layout.bundles))

    def left(self) -> list[str]:
        """cgroups, plain files, mounts, processes, descriptors."""
        host = self.cgroups.host
        found = [
            f"{directory}/{entry.name}"
            for directory in host.directories(f"/seaway/{self.suite}")
            if Path(directory).is_dir()
            for entry in os.scandir(directory)
            if entry.is_dir()
        ]
        run = self.layout.run
        found += [
            str(path)
            for part in ("c", "crun", "runc", "runsc", "persist", "exits")
            for path in (run / part).glob("[!.]*")
        ]
        found += [f"shim {shim.pid}" for shim in shims_below(run).values()]
        found += [f"mount {target}" for target in self.mounts()]
        return found + [f"descriptor of {target}" for target in (_descriptors() - self._fds).elements()]

    async def close(self) -> None:
        for shim in shims_below(self.layout.run).values():
            end_with_children(shim)
        for box in self._boxes.values():
            await box.clean_up()
        await self._stack.aclose()
        cgroups.remove(self.cgroups.host.directories(f"/seaway/{self.suite}"))


def _descriptors() -> Counter[str]:
    """What is open. Sockets are only counted: uvloop has two, and makes them anew for each fixture and test."""
    found = Counter[str]()
    for number in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{number}")
        except FileNotFoundError:
            continue
        found["a socket" if target.startswith("socket:") else f"{number} {target}"] += 1
    return found


def make_rootfs(directory: Path) -> Path:
    """An image with nothing but a static busybox."""
    for name in ("bin", "etc", "tmp", "root"):
        (directory / name).mkdir(parents=True)
    shutil.copy2("/bin/busybox", directory / "bin/busybox")
    for name in _APPLETS:
        (directory / "bin" / name).symlink_to("busybox")
    (directory / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
    (directory / "etc/group").write_text("root:x:0:root\n")
    (directory / "etc/notes").write_text("not a program\n")
    script = directory / "bin/broken"
    script.write_text("neither a program nor a script\n")
    script.chmod(0o755)
    return directory
