"""A rootfs of one static busybox, a launcher thread, cgroups of this test alone; leaks fail the test."""

import json
import os
import shutil
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from seaway_agent.kernel import cgroups
from seaway_agent.kernel.cgroup_text import CgroupLayout
from seaway_agent.kernel.launcher import Launcher


def held_by_process() -> set[str]:
    """Mounts and open files; what an earlier test has forgotten may go at any time, but nothing may be added."""
    return {*Path("/proc/self/mountinfo").read_text().splitlines(), *os.listdir("/proc/self/fd")}


@pytest.fixture(autouse=True)
def root_without_leaks() -> Iterator[None]:
    if os.geteuid() != 0:
        pytest.skip("needs root")
    before = held_by_process()
    yield
    assert held_by_process() - before == set()


@pytest.fixture
def launcher(root_without_leaks: None) -> Iterator[Launcher]:
    thread = Launcher()
    thread.start()
    yield thread
    thread.close()


@pytest.fixture
def layout() -> CgroupLayout:
    return cgroups.host_layout()


@pytest.fixture
def parent(root_without_leaks: None, layout: CgroupLayout) -> Iterator[str]:
    """An OCI cgroupsPath to put cgroups under."""
    path = f"/seaway-test-{uuid.uuid4().hex[:12]}"
    yield path
    cgroups.kill_all(layout, path)
    cgroups.remove(layout.directories(path))
    assert not [directory for directory in layout.directories(path) if os.path.exists(directory)]


@dataclass(frozen=True)
class Layers:
    lower: str
    upper: str
    work: str
    merged: str


@pytest.fixture
def layers(tmp_path: Path) -> Layers:
    busybox = shutil.which("busybox")
    if busybox is None:
        pytest.skip("needs busybox")
    names = {name: tmp_path / name for name in ("lower", "upper", "work", "merged")}
    for directory in (*names.values(), *(tmp_path / "lower" / name for name in ("bin", "proc", "dev", "sys", "tmp"))):
        directory.mkdir()
    shutil.copy(busybox, tmp_path / "lower/bin/busybox")
    for applet in ("sh", "sleep", "cat", "ls", "dd", "readlink"):
        (tmp_path / "lower/bin" / applet).symlink_to("busybox")
    return Layers(**{name: str(path) for name, path in names.items()})


def oci_spec(rootfs: str, cgroups_path: str, netns: str, *args: str) -> dict[str, Any]:
    namespaces: list[dict[str, str]] = [{"type": kind} for kind in ("pid", "ipc", "uts", "mount")]
    namespaces.append({"type": "network", "path": netns} if netns else {"type": "network"})
    resources = {
        "devices": [{"allow": False, "access": "rwm"}],
        "memory": {"limit": 64 << 20},
        "cpu": {"shares": 512, "quota": 50_000, "period": 100_000},
        "pids": {"limit": 50},
    }
    return {
        "ociVersion": "1.0.2",
        "process": {"user": {"uid": 0, "gid": 0}, "args": args, "env": ["PATH=/bin"], "cwd": "/"},
        "root": {"path": rootfs},
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755"]},
        ],
        "linux": {"namespaces": namespaces, "cgroupsPath": cgroups_path, "resources": resources},
    }


def write_bundle(directory: Path, spec: dict[str, Any]) -> str:
    directory.mkdir()
    (directory / "config.json").write_text(json.dumps(spec))
    return str(directory)
