"""What an engine has on the machine: mounts, links, filters, cgroups, processes, files, descriptors.

Taken before and after a module of tests, it must be the same: what is more is a leak.
"""

import contextlib
import os
import re
import subprocess
from collections import Counter
from dataclasses import dataclass, fields
from pathlib import Path

from e2e_rig import census_network
from e2e_rig.engine import Engine

_SPAWNED = ("conmon", "crun", "runc", "containerd-shim")
_SUPERVISOR = "/execs/supervisor/process.py"
_RESOLVER = "/dns/resolver/process.py"
_VARYING = re.compile(r"[0-9a-f]{6,}")
_NUMBER = re.compile(r":\[\w+\]$")
_KEPT = (" socket", ":inotify", " /", " /dev/null")  # the last two are what libuv keeps in reserve
_CGROUPS = Path("/sys/fs/cgroup")
# Without what is mounted on it: what lies below `unified` there is a plain directory that a runtime left.
_BELOW_THE_MOUNTS = ["unshare", "--mount", "sh", "-c", "mount --bind /sys/fs/cgroup /mnt && find /mnt/unified -type d"]


@dataclass(frozen=True)
class Census:
    """Counts by what a thing is; `descriptors` counts open files by process and kind."""

    mounts: Counter[str]
    links: Counter[str]
    addresses: Counter[str]
    filters: Counter[str]
    namespaces: Counter[str]
    cgroups: Counter[str]
    processes: Counter[str]
    zombies: Counter[str]
    files: Counter[str]
    descriptors: Counter[str]

    @property
    def total(self) -> int:
        """How many things there are."""
        return sum(sum(getattr(self, one.name).values()) for one in fields(self))

    def beyond(self, baseline: "Census", *, idle: int = 0, slack: int = 0) -> dict[str, Counter[str]]:
        """What is here more often than in the baseline.

        No leak are `idle` more of what a process keeps for the next request (connections, the watch of logs), and
        `slack` more descriptors of any kind.
        """
        more = {one.name: getattr(self, one.name) - getattr(baseline, one.name) for one in fields(self)}
        spared = {name: max(slack, idle if name.endswith(_KEPT) else 0) for name in more["descriptors"]}
        more["descriptors"] = Counter({name: n for name, n in more["descriptors"].items() if n > spared[name]})
        return {name: counts for name, counts in more.items() if counts}


def take(engine: Engine) -> Census:
    """Count now."""
    pids = engine.processes()
    everybody = {*pids.values(), *_pids_naming(str(engine.run.parent))}
    spaces = _mount_spaces(everybody)
    return Census(
        mounts=_mounts(engine, spaces),
        links=census_network.links(),
        addresses=census_network.addresses(),
        filters=census_network.filters(),
        namespaces=census_network.namespaces(everybody),
        cgroups=_cgroups(engine, spaces),
        processes=_spawned(engine, set(pids.values())),
        zombies=_zombies(set(pids.values())),
        files=Counter(name for directory in engine.directories for name in _files(engine, directory)),
        descriptors=Counter(kind for name, pid in pids.items() for kind in _descriptors(engine, name, pid)),
    )


def _mount_spaces(pids: set[int]) -> list[Path]:
    """A task of each mount namespace that these processes and their threads live in, the caller's too."""
    spaces: dict[str, Path] = {}
    for pid in (os.getpid(), *pids):
        for task in _entries(Path(f"/proc/{pid}/task")):
            with contextlib.suppress(OSError):  # ended meanwhile
                spaces.setdefault(os.readlink(task / "ns" / "mnt"), task)
    return list(spaces.values())


def _entries(directory: Path) -> list[Path]:
    """Of a process that may have ended."""
    try:
        return list(directory.iterdir())
    except OSError:
        return []


def _mounts(engine: Engine, spaces: list[Path]) -> Counter[str]:
    """Mounts of the engine in each mount namespace that it lives in, once each."""
    found: Counter[str] = Counter()
    for task in spaces:
        try:
            text = (task / "mountinfo").read_text()
        except OSError:
            continue
        points = (line.split()[4] for line in text.splitlines())
        found.update(_name(engine, Path(point)) for point in points if str(engine.run.parent) in point)
    return found


def _name(engine: Engine, path: Path) -> str:
    """A path of the engine's, with ids in it made equal."""
    return _VARYING.sub("ID", str(path).removeprefix(str(engine.run.parent)))


def _files(engine: Engine, directory: Path) -> list[str]:
    names = (_name(engine, path) for path in directory.rglob("*") if path.suffix != ".log")
    return [name for name in names if not any(re.search(part, name) for part in engine.noise)]


def _cgroups(engine: Engine, spaces: list[Path]) -> Counter[str]:
    """In each hierarchy, and the plain directories below a hidden one."""
    found: Counter[str] = Counter()
    for top in (*_CGROUPS.glob(f"*/{engine.cgroup_parent}"), _CGROUPS / engine.cgroup_parent):
        found.update(_VARYING.sub("ID", str(path)) for path in top.rglob("*") if path.is_dir())
    plain = subprocess.run(_BELOW_THE_MOUNTS, capture_output=True, text=True).stdout.splitlines()
    for task in spaces:
        hidden = task / "root" / str(_CGROUPS / "unified").removeprefix("/")
        if hidden.is_dir() and not (hidden / "cgroup.controllers").exists():
            plain += map(str, hidden.rglob("*"))
    parent = f"/{engine.cgroup_parent}/"
    found.update("plain directory " + _VARYING.sub("ID", path.partition(parent)[2]) for path in plain if parent in path)
    return found


def _spawned(engine: Engine, own: set[int]) -> Counter[str]:
    """Shims and runtimes of the engine, by command, resolvers, and supervisors of execs that no agent has any more."""
    found: Counter[str] = Counter()
    for pid in _pids_naming(str(engine.run.parent)):
        try:
            name = Path(f"/proc/{pid}/comm").read_text().strip()
            words = Path(f"/proc/{pid}/cmdline").read_text(errors="replace")
            parent = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        if name.startswith(_SPAWNED):
            found[name] += 1
        elif _SUPERVISOR in words and parent not in own:
            found["supervisor"] += 1
        elif _RESOLVER in words:
            found["resolver"] += 1
    return found


def _pids_naming(text: str) -> list[int]:
    """Processes whose command line holds `text`."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                words = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if text.encode() in words:
                found.append(int(entry.name))
    return found


def _zombies(parents: set[int]) -> Counter[str]:
    found: Counter[str] = Counter()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal():
            continue
        try:
            name, _, rest = (entry / "stat").read_text().partition("(")[2].rpartition(")")
        except OSError:
            continue
        state, parent = rest.split()[:2]
        if state == "Z" and int(parent) in parents:
            found[name] += 1
    return found


def _descriptors(engine: Engine, name: str, pid: int) -> list[str]:
    """What a process has open, by kind; of NATS not the files of its store, which it opens and closes as it likes."""
    found = []
    for entry in _entries(Path(f"/proc/{pid}/fd")):
        with contextlib.suppress(OSError):  # closed meanwhile
            target = os.readlink(entry)
            if not target.startswith(str(engine.root / "nats")):
                found.append(f"{name} {_name(engine, Path(_NUMBER.sub('', target)))}")
    return found
