"""A mount that a link leads below /proc after the links were checked: /proc, mounted last, hides it."""

import json
import shutil
import subprocess
import uuid
from pathlib import Path

import pytest

from seaway_agent.kernel import cgroups
from seaway_agent.kernel.launcher import Launcher
from seaway_agent.oci.spec import HostMount, SpecOptions, compose
from seaway_contracts.containers import Command, ContainerNetworking
from seaway_testing import builders

pytestmark = pytest.mark.root


def test_crun_follows_the_link_but_proc_stays_the_kernels(tmp_path: Path) -> None:
    rootfs, hostile, name = tmp_path / "rootfs", tmp_path / "hostile", f"proc-{uuid.uuid4().hex[:8]}"
    for directory in (rootfs / "bin", rootfs / "proc", hostile / "kernel"):
        directory.mkdir(parents=True)
    shutil.copy(str(shutil.which("busybox")), rootfs / "bin/busybox")
    (rootfs / "link").symlink_to("/proc")
    (hostile / "kernel/ostype").write_text("hostile\n")
    network = ContainerNetworking()
    spec = builders.spec(1, command=Command(cmd=("/bin/busybox", "cat", "/proc/sys/kernel/ostype")), network=network)
    path = f"/seaway-test/{name}"
    mounts = (HostMount(str(hostile), "/link/sys", ("rbind",)),)
    config = compose(spec, SpecOptions(str(rootfs), path, name, mounts=mounts))
    (tmp_path / "config.json").write_text(json.dumps(config))
    argv = ["crun", "--root", str(tmp_path / "state"), "run", "-b", str(tmp_path), name]
    launcher, layout = Launcher(), cgroups.host_layout()
    launcher.start()
    try:
        done = launcher.call(subprocess.run, argv, capture_output=True, text=True).result(60)
    finally:
        launcher.close()
        cgroups.remove(layout.directories(path))
        cgroups.remove(layout.directories("/seaway-test"))
    assert (rootfs / "proc/sys").is_dir(), "crun did not follow the link: the test shows nothing"
    assert (done.stdout, done.returncode) == ("Linux\n", 0), done.stderr
