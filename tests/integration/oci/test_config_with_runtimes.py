"""The composed config, run by real runtimes: what the filter refuses, and what the process finds."""

import base64
import errno
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from seaway_agent.kernel import cgroups, seccomp_bpf
from seaway_agent.kernel.launcher import Launcher
from seaway_agent.oci.capabilities import effective
from seaway_agent.oci.seccomp import base_names, compile_filter
from seaway_agent.oci.spec import HostMount, SpecOptions, User, compose
from seaway_contracts.containers import Command, Security
from seaway_testing import builders

PROFILE = Path("/usr/share/containers/seccomp.json")
pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root"),
    pytest.mark.skipif(not PROFILE.exists(), reason="needs the package golang-github-containers-common"),
]
# Tries each call with arguments that are wrong in themselves: what comes back tells whether the filter let it through.
PROBE = """
import ctypes, json, os, socket
libc = ctypes.CDLL(None, use_errno=True)
def call(number, *args):
    ctypes.set_errno(0)
    return 0 if libc.syscall(ctypes.c_long(number), *map(ctypes.c_long, args)) >= 0 else ctypes.get_errno()
def family(number):
    try:
        socket.socket(number, socket.SOCK_DGRAM if number != 16 else socket.SOCK_RAW).close()
    except OSError as error:
        return error.errno
    return 0
found = {
    "unshare": call(272, 0x10000000), "mount": call(165, 0, 0, 0, 0, 0), "keyctl": call(250, 0, 0, 0, 0, 0),
    "bpf": call(321, 99, 0, 0), "clone3": call(435, 0, 0), "clone_ns": call(56, 0x10000000 | 17, 0, 0, 0, 0),
    "io_uring_setup": call(425, 0, 0), "getpid": call(39), "unknown": call(999),
    "AF_ALG": family(38), "AF_VSOCK": family(40), "AF_INET": family(2), "AF_UNIX": family(1), "AF_NETLINK": family(16),
    "domainname": open("/proc/sys/kernel/domainname").read().strip(),
    "hostname": socket.gethostname(), "groups": sorted(os.getgroups()),
    "seccomp": [l.split()[1] for l in open("/proc/self/status") if l.startswith("Seccomp:")][0],
    "capeff": [l.split()[1] for l in open("/proc/self/status") if l.startswith("CapEff:")][0],
}
print(json.dumps(found))
"""


@pytest.fixture
def launcher() -> Iterator[Launcher]:
    thread = Launcher()
    thread.start()
    yield thread
    thread.close()


@pytest.fixture(params=["crun", "runc"])
def runtime(request: pytest.FixtureRequest) -> str:
    found = shutil.which(request.param)
    if found is None:
        pytest.skip(f"needs {request.param}")
    return str(found)


@pytest.fixture(params=["as a section", "compiled"])
def given(request: pytest.FixtureRequest, runtime: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """How the runtime is given the filter: what of the surroundings says so."""
    if request.param == "as a section":
        return lambda section: {"seccomp": section}
    if not seccomp_bpf.is_supported_by(runtime):
        pytest.skip(f"{runtime} takes no compiled filter")

    def compiled(section: dict[str, Any]) -> dict[str, Any]:
        made = seccomp_bpf.compile_tree(section)
        assert made is not None
        return {"annotations": {seccomp_bpf.ANNOTATION: base64.b64encode(made).decode()}}

    return compiled


@pytest.fixture
def probe(
    launcher: Launcher, runtime: str, given: Callable[[dict[str, Any]], dict[str, Any]], tmp_path: Path
) -> Iterator[Callable[[Security], dict[str, Any]]]:
    """Runs the probe in a container with these privileges; its files are the host's, read-only."""
    name = f"probe-{uuid.uuid4().hex[:8]}"
    layout, path = cgroups.host_layout(), f"/seaway-test/{name}"

    def run(security: Security) -> dict[str, Any]:
        bundle = tmp_path / "bundle"
        (bundle / "rootfs").mkdir(parents=True)
        caps = effective(security.cap_add, security.cap_drop, security.privileged)
        filtered = compile_filter(base_names(json.loads(PROFILE.read_bytes())), caps, os.uname().machine)
        network = builders.networking("none", domainname="dom")
        spec = builders.spec(
            1, command=Command(cmd=(sys.executable, "-S", "-E", "-c", PROBE)), security=security, network=network
        )
        tops = sorted({"/usr", "/lib", "/lib64", "/bin", *_parts_of_python()})
        mounts = tuple(HostMount(top, top, ("rbind", "ro")) for top in tops if Path(top).exists())
        options = SpecOptions(
            str(bundle / "rootfs"), path, "probe", user=User(0, 0, (7,)), mounts=mounts, **given(filtered)
        )
        (bundle / "config.json").write_text(json.dumps(compose(spec, options)))
        argv = [runtime, "--root", str(tmp_path / "state"), "run", "-b", str(bundle), name]

        def start() -> subprocess.CompletedProcess[str]:
            return subprocess.run(argv, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)

        future: Future[subprocess.CompletedProcess[str]] = launcher.call(start)
        done = future.result(60)
        assert done.returncode == 0, done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    yield run
    cgroups.remove(layout.directories(path))
    cgroups.remove(layout.directories("/seaway-test"))


def _parts_of_python() -> set[str]:
    """Where the interpreter's own files are."""
    real = Path(sys.executable).resolve()
    return {str(real.parent.parent), str(Path(sys.executable).parent.parent), sysconfig.get_paths()["stdlib"]}


def test_the_default_filter_refuses_what_docker_refuses(probe: Callable[[Security], dict[str, Any]]) -> None:
    found = probe(Security())
    assert found["seccomp"] == "2"
    assert int(found["capeff"], 16) == 0xA80425FB
    refused = {name: found[name] for name in ("unshare", "mount", "keyctl", "bpf", "clone_ns", "AF_ALG", "AF_VSOCK")}
    assert set(refused.values()) == {errno.EPERM}, refused
    assert found["io_uring_setup"] == errno.EPERM
    assert found["clone3"] == found["unknown"] == errno.ENOSYS
    assert [found[name] for name in ("getpid", "AF_INET", "AF_UNIX", "AF_NETLINK")] == [0, 0, 0, 0]


def test_the_process_finds_its_names_and_groups(probe: Callable[[Security], dict[str, Any]]) -> None:
    found = probe(Security())
    assert (found["hostname"], found["domainname"], found["groups"]) == ("probe", "dom", [0, 7])


def test_sys_admin_may_unshare_and_mount_but_still_has_no_keys(probe: Callable[[Security], dict[str, Any]]) -> None:
    found = probe(Security(cap_add=("SYS_ADMIN",)))
    assert found["unshare"] == 0
    assert found["mount"] == errno.EFAULT
    assert found["bpf"] == errno.EINVAL
    assert found["keyctl"] == errno.EPERM
    assert found["clone3"] not in (errno.ENOSYS, errno.EPERM)
    assert found["AF_VSOCK"] == errno.EPERM
