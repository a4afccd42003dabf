"""One machine of the lab: its namespaces, its cgroup, and commands that run there. Blocks.

The cgroup is the only record of a machine: its first process is found in it, and `kill` ends all that is in it.
"""

import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from deploy.lab.errors import LabError

from seaway_agent.kernel import cgroups
from seaway_agent.kernel.cgroup_text import CgroupMode

_SCRIPT: Final = str(Path(__file__).with_name("machine"))
_WITH_US: Final = ("setpriv", "--pdeathsig", "KILL")
_END_S: Final = 20.0


class Machine:
    """Namespaces for network, mounts, processes, IPC, host name and cgroups. `cgroup` is a path in each hierarchy."""

    def __init__(self, name: str, cgroup: str) -> None:
        self.name, self.cgroup = name, cgroup
        self._layout = cgroups.host_layout()
        self._children: list[subprocess.Popen[str]] = []

    def boot(self, *, with_us: bool) -> None:
        """Make it. `with_us`: it ends with this process. Raises LabError."""
        directories = self._layout.directories(self.cgroup)
        for directory in directories:
            _make(Path(directory), v2=self._layout.mode is CgroupMode.V2)
        words = [*(_WITH_US if with_us else ()), _SCRIPT, "boot", self.name, *directories]
        child = subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self._children.append(child)
        assert child.stdout is not None
        assert child.stderr is not None
        with child.stdout, child.stderr:
            if child.stdout.readline() != "ready\n":
                raise LabError(f"{self.name} can't be made on this machine: {child.stderr.read().strip()}")

    @property
    def pid(self) -> int:
        """Its first process, as this process sees it. Raises LabError if the machine is off."""
        depth = len(_pids("self")) + 1
        for text in cgroups.read_text(f"{self._entry[0]}/cgroup.procs").split():
            numbers = _pids(text)
            if len(numbers) == depth and numbers[-1] == "1":
                return int(text)
        raise LabError(f"{self.name} is off")

    @property
    def is_on(self) -> bool:
        """Whether it runs."""
        try:
            return bool(self.pid)
        except LabError:
            return False

    def entered(self, *words: str) -> list[str]:
        """The command that runs `words` on the machine, in all its namespaces and its cgroup."""
        return [_SCRIPT, "enter", str(self.pid), *self._entry, "--", *words]

    def run(self, *words: str) -> str:
        """Run a command on the machine; its output. Raises LabError with what it says if it fails."""
        return _output(self.entered(*words))

    def start(self, words: Sequence[str], log: Path) -> "subprocess.Popen[str]":
        """Start a program on the machine, in the background; what it says goes to `log`."""
        with open(log, "ab") as out:
            child = subprocess.Popen(
                self.entered(*words),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                text=True,
                start_new_session=True,
            )
        self._children.append(child)
        return child

    def on_its_network(self, *words: str, input: str = "") -> str:
        """Run a command in the network namespace alone; process ids are this process's. Raises LabError."""
        return _output(["nsenter", f"--net=/proc/{self.pid}/ns/net", "--", *words], input)

    def kill(self) -> None:
        """As a power cut: all its processes end at once, and its cgroups, mounts and links are gone."""
        if Path(self._layout.directories(self.cgroup)[0]).exists():
            cgroups.kill_all(self._layout, self.cgroup, seconds=_END_S)
        for child in self._children:
            child.wait()
        self._children.clear()
        cgroups.remove(self._layout.directories(self.cgroup))

    @property
    def _entry(self) -> list[str]:
        """The cgroups that take processes."""
        directories = self._layout.directories(self.cgroup)
        return [f"{path}/init" if self._layout.mode is CgroupMode.V2 else path for path in directories]


def remove_cgroup(cgroup: str) -> None:
    """Kill what is in a cgroup and remove it, in each hierarchy; fine if it isn't there."""
    Machine("", cgroup).kill()


def _make(directory: Path, *, v2: bool) -> None:
    """Make a cgroup, and above it what it needs to have controllers (v2) or to take a process (v1's cpuset)."""
    parent = directory.parent
    if not parent.exists():
        _make(parent, v2=v2)
    if v2:
        for controller in (parent / "cgroup.controllers").read_text().split():
            (parent / "cgroup.subtree_control").write_text(f"+{controller}")
    directory.mkdir(exist_ok=True)
    for name in ("cpuset.cpus", "cpuset.mems"):
        file = directory / name
        if not v2 and file.exists() and not file.read_text().strip():
            file.write_text((parent / name).read_text())


def _pids(process: str) -> list[str]:
    """A process's ids, one for each PID namespace from ours down to its own; [] if it has ended."""
    text = cgroups.read_text(f"/proc/{process}/status")
    return next((line.split()[1:] for line in text.splitlines() if line.startswith("NSpid:")), [])


def _output(words: Sequence[str], input: str = "") -> str:
    done = subprocess.run(words, input=input, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise LabError(f"{' '.join(words)} failed: {(done.stderr or done.stdout).strip()}")
    return done.stdout
