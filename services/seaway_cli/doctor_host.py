"""`seaway doctor`: whether this machine has what Seaway needs: kernel, cgroups, programs, room, a right clock."""

import ctypes
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from seaway_cli import nats_server
from seaway_cli.doctor_finding import Finding, fail, note, ok
from seaway_cli.doctor_firewall import other_docker, other_firewalls
from seaway_cli.errors import CliError

_OLDEST_KERNEL: Final = (5, 12)
"""The first with mount_setattr(2), by which mounts become private."""
_CONTROLLERS: Final = ("cpu", "memory", "pids")
_NETAVARK: Final = tuple(
    f"{place}/podman/netavark" for place in ("/usr/local/libexec", "/usr/local/lib", "/usr/libexec", "/usr/lib")
)
"""Where buildah looks for it, though a build's network is ours (buildah 1.39, containers-common)."""
_PROGRAMS: Final = (
    ("conmon", ("conmon",), True, "it watches containers: install the package conmon"),
    ("crun", ("crun",), True, "it is the default runtime: install the package crun"),
    ("init", ("tini-static", "tini", "catatonit", "docker-init"), False, "`docker run --init` needs one: install tini"),
    ("buildah", ("buildah",), False, "it builds images (`docker build`): install the package buildah"),
    ("netavark", _NETAVARK, False, "buildah doesn't begin without it: install the package netavark"),
    ("docker", ("docker",), False, "the examples use it: install docker-cli (Debian 13) or docker.io"),
)
"""What is looked for, the names of it, whether nothing works without it, and what to do."""
_LEAST_PART: Final = 20
_LEAST_DISK: Final = 1 << 30
_LEAST_MEMORY: Final = 100 << 20
_UNSYNCHRONISED: Final = 5  # TIME_ERROR of adjtimex(2)
_ASK_S: Final = 10.0
_MIB: Final = 1 << 20


@dataclass(frozen=True)
class Host:
    """This machine, as seen from below `top`. `root`: where Seaway's data is, or will be."""

    root: Path
    top: Path = field(default=Path("/"))
    path: str = field(default_factory=lambda: f"{os.environ.get('PATH', '')}:/usr/local/sbin:/usr/sbin:/sbin")

    def read(self, name: str) -> str:
        """A file's text; empty where it can't be read."""
        try:
            return (self.top / name).read_text()
        except OSError:
            return ""


def examine(host: Host, *, needs_nats: bool) -> Iterator[Finding]:
    """All checks of the machine. `needs_nats`: it is to run a NATS server of its own."""
    if os.geteuid() != 0:
        yield note("user", "not root, so not everything can be seen", "sudo seaway doctor")
    yield kernel(host)
    yield overlay(host)
    yield cgroups(host)
    yield from programs(host)
    if needs_nats:
        yield nats_program()
    yield disk(host)
    yield memory(host)
    yield clock(clock_state())
    yield from other_firewalls(host.top)
    yield from other_docker(host.top)


def kernel(host: Host) -> Finding:
    """Its release."""
    release = host.read("proc/sys/kernel/osrelease").strip()
    found = re.match(r"(\d+)\.(\d+)", release)
    if found and (int(found[1]), int(found[2])) < _OLDEST_KERNEL:
        return fail("kernel", f"Linux {release} is too old", "run Linux 5.12 or newer; Debian 12 has 6.1")
    return ok("kernel", f"Linux {release}")


def overlay(host: Host) -> Finding:
    """Whether it has the file system of containers' roots, or a module of it."""
    release = host.read("proc/sys/kernel/osrelease").strip()
    modules = host.top / "lib/modules" / release / "kernel/fs/overlayfs"
    if re.search(r"\boverlay$", host.read("proc/filesystems"), re.MULTILINE) or modules.is_dir():
        return ok("overlay", "the kernel has the overlay file system")
    return fail("overlay", "the kernel has no overlay file system", "modprobe overlay, or run your system's own kernel")


def cgroups(host: Host) -> Finding:
    """Whether limits can be set: version 2, or the hierarchies of version 1."""
    version, found = mounted_controllers(host)
    missing = [name for name in _CONTROLLERS if name not in found]
    if not version:
        return fail("cgroups", "no cgroups are mounted", "mount -t cgroup2 none /sys/fs/cgroup")
    if missing:
        todo = (
            f"boot the kernel with cgroup_enable={missing[0]}" if "memory" in missing else "enable them in the kernel"
        )
        return fail("cgroups", f"version {version} lacks the controllers {', '.join(missing)}", todo)
    return ok("cgroups", f"version {version}, with {', '.join(sorted(found))}")


def mounted_controllers(host: Host) -> tuple[int, set[str]]:
    """The version in use (0: none is mounted), and its controllers."""
    ones, unified = set[str](), ""
    for line in host.read("proc/self/mountinfo").splitlines():
        before, _, after = line.partition(" - ")
        kind, *_, options = after.split()
        if kind == "cgroup":
            ones |= {option for option in options.split(",") if option in ("cpu", "memory", "pids", "cpuset", "blkio")}
        elif kind == "cgroup2":
            unified = before.split()[4]
    if ones:
        return 1, ones
    if not unified:
        return 0, set()
    return 2, set(host.read(f"{unified.lstrip('/')}/cgroup.controllers").split())


def programs(host: Host) -> Iterator[Finding]:
    """What the agent runs, with versions."""
    for what, names, is_needed, todo in _PROGRAMS:
        paths = [path for name in names if (path := shutil.which(name, path=host.path)) is not None]
        if paths:
            yield ok(what, f"{paths[0]}, {version_of(paths[0])}")
        else:
            missing = f"{' or '.join(names)} is missing"
            yield fail(what, missing, todo) if is_needed else note(what, missing, todo)
    if host.read("sys/module/apparmor/parameters/enabled").strip() == "Y":
        if shutil.which("apparmor_parser", path=host.path):
            yield ok("apparmor", "on, and profiles can be loaded")
        else:
            text = "apparmor_parser is missing: containers run without Docker's profile"
            yield note("apparmor", text, "install the package apparmor")


def version_of(program: str) -> str:
    """What it says of its version, in a word."""
    try:
        done = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=_ASK_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"which can't be run ({error})"
    found = re.search(r"\d+\.\d[\w.+-]*", done.stdout + done.stderr)
    return f"version {found[0]}" if found else "of a version that it doesn't say"


def nats_program() -> Finding:
    """Whether the embedded NATS server can be started."""
    try:
        program = nats_server.find_program()
    except CliError as error:
        return fail("nats-server", error.message, "./dev up installs one, or use an outside server: seaway up --nats")
    return ok("nats-server", f"{program}, {version_of(program)}")


def disk(host: Host) -> Finding:
    """Whether there is room where Seaway's data is. The limits are those at which a node reports pressure."""
    place = next(path for path in (host.root, *host.root.parents) if path.exists())
    found = os.statvfs(place)
    size, free = found.f_blocks * found.f_frsize, found.f_bavail * found.f_frsize
    text = f"{free // _MIB} of {size // _MIB} MiB are free in {place}"
    if free < min(size // _LEAST_PART, _LEAST_DISK):
        return fail("disk", text, "make room: docker system prune, seaway node inspect; or give another --root")
    if found.f_files and found.f_favail < found.f_files // _LEAST_PART:
        return fail("disk", f"{text}, but only {found.f_favail} inodes", "remove small files, or give another --root")
    return ok("disk", text)


def memory(host: Host) -> Finding:
    """Whether memory is available."""
    found = re.search(r"^MemAvailable: +(\d+) kB", host.read("proc/meminfo"), re.MULTILINE)
    if found is None:
        return note("memory", "the kernel doesn't say what is available", "mount /proc")
    free = int(found[1]) << 10
    text = f"{free // _MIB} MiB are available"
    return note("memory", text, "stop something, or add memory") if free < _LEAST_MEMORY else ok("memory", text)


def clock_state() -> int:
    """The state of the kernel's clock by adjtimex(2), which is asked and not changed; -1 where it can't be asked."""
    buffer = ctypes.create_string_buffer(512)  # a zeroed struct timex: no mode bit is set
    try:
        return int(ctypes.CDLL(None).adjtimex(buffer))
    except (OSError, AttributeError):
        return -1


def clock(state: int) -> Finding:
    """Whether somebody keeps the clock right. `state`: from `clock_state`."""
    if state in (_UNSYNCHRONISED, -1):
        todo = "install chrony: times of events and `--since` go by the nodes' clocks"
        return note("time", "nothing keeps this machine's clock right", todo)
    return ok("time", "the clock is synchronised")
