"""What an engine has on the machine: mounts, links, tables, cgroups, processes, files, descriptors.

Taken before and after a module of tests, it must be the same: what is more is a leak.
"""

import json
import os
import re
import subprocess
from collections import Counter
from dataclasses import dataclass, fields
from pathlib import Path

from e2e_rig.engine import Engine

_SPAWNED = ("conmon", "crun", "runc", "containerd-shim")
_VARYING = re.compile(r"[0-9a-f]{6,}")


@dataclass(frozen=True)
class Census:
    """Counts by what a thing is; `descriptors` counts open files per process."""

    mounts: Counter[str]
    links: Counter[str]
    tables: Counter[str]
    cgroups: Counter[str]
    processes: Counter[str]
    zombies: Counter[str]
    files: Counter[str]
    descriptors: Counter[str]

    def beyond(self, baseline: "Census", slack: int) -> dict[str, Counter[str]]:
        """What is here more often than in the baseline; `slack` more descriptors per process are no leak."""
        more = {one.name: getattr(self, one.name) - getattr(baseline, one.name) for one in fields(self)}
        more["descriptors"] = Counter({name: n for name, n in more["descriptors"].items() if n > slack})
        return {name: counts for name, counts in more.items() if counts}


def take(engine: Engine) -> Census:
    """Count now."""
    pids = engine.processes()
    return Census(
        mounts=_mounts(engine, pids),
        links=Counter(_kind(link["ifname"]) for link in _json("ip", "-json", "link")),
        tables=Counter(" ".join(line.split()) for line in _run("nft", "list", "tables").splitlines()),
        cgroups=_cgroups(engine),
        processes=_spawned(engine),
        zombies=_zombies(set(pids.values())),
        files=Counter(_name(engine, path) for path in engine.run.rglob("*") if not _noise(engine, path)),
        descriptors=Counter({name: _open_files(pid) for name, pid in pids.items()}),
    )


def _mounts(engine: Engine, pids: dict[str, int]) -> Counter[str]:
    """Mounts of the engine in each mount namespace that it lives in, once each."""
    spaces: dict[str, int] = {}
    for pid in (os.getpid(), *pids.values(), *_pids_naming(str(engine.run))):
        try:
            spaces.setdefault(os.readlink(f"/proc/{pid}/ns/mnt"), pid)
        except OSError:
            continue
    found: Counter[str] = Counter()
    for pid in spaces.values():
        try:
            text = Path(f"/proc/{pid}/mountinfo").read_text()
        except OSError:
            continue
        points = (line.split()[4] for line in text.splitlines())
        found.update(_name(engine, Path(point)) for point in points if str(engine.run.parent) in point)
    return found


def _name(engine: Engine, path: Path) -> str:
    """A path of the engine's, with ids in it made equal."""
    return _VARYING.sub("ID", str(path).removeprefix(str(engine.run.parent)))


def _noise(engine: Engine, path: Path) -> bool:
    return path.suffix == ".log" or any(part in str(path) for part in engine.noise)


def _kind(link: str) -> str:
    return re.sub(r"^(veth|v[0-9a-z]{6})[0-9a-f]{7,8}$", r"\1*", link)


def _cgroups(engine: Engine) -> Counter[str]:
    found: Counter[str] = Counter()
    for top in Path("/sys/fs/cgroup").glob(f"*/{engine.cgroup_parent}"):
        found.update(_VARYING.sub("ID", str(path)) for path in top.rglob("*") if path.is_dir())
    return found


def _spawned(engine: Engine) -> Counter[str]:
    """Shims and runtimes that belong to the engine, by command."""
    found: Counter[str] = Counter()
    for pid in _pids_naming(str(engine.run.parent)):
        try:
            name = Path(f"/proc/{pid}/comm").read_text().strip()
        except OSError:
            continue
        if name.startswith(_SPAWNED):
            found[name] += 1
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


def _open_files(pid: int) -> int:
    try:
        return len(os.listdir(f"/proc/{pid}/fd"))
    except OSError:
        return 0


def _run(*words: str) -> str:
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout


def _json(*words: str) -> list[dict[str, str]]:
    found: list[dict[str, str]] = json.loads(_run(*words))
    return found
