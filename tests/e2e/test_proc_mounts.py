"""Mounts at and below /proc: refused at the start, as runc does, with every runtime and by whatever links."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from e2e_rig import images
from e2e_rig.docker_cli import DockerCli

pytestmark = pytest.mark.root
INSIDE = "cannot be mounted because it is inside /proc"
NOT_PROC = "cannot be mounted because it is not of type proc"


@pytest.fixture(scope="module")
def linked(docker_cli: DockerCli) -> Iterator[str]:
    """An image with links to /proc, one of them in what a volume is filled with."""
    layer = images.Layer()
    layer.link("absolute", "/proc")
    layer.link("relative", "../proc/sys")
    layer.directory("data")
    layer.link("data/link", "/proc")
    config = {"Cmd": ["sh"], "Volumes": {"/data": {}}}
    docker_cli("load", input=images.archive([images.busybox_layer(), layer.bytes()], config, ["linked:latest"]))
    yield "linked:latest"
    docker_cli("rmi", "--force", "linked:latest")


@pytest.fixture(params=["crun", "runc", "runsc"])
def runtime(request: pytest.FixtureRequest) -> str:
    if shutil.which(request.param) is None:
        pytest.fail(f"the package {request.param} is missing: ./dev test installs it", pytrace=False)
    return str(request.param)


@pytest.mark.seaway_only
@pytest.mark.parametrize(
    ("target", "why"),
    [
        *(("/proc", NOT_PROC), ("/absolute", NOT_PROC), ("/proc/sys", INSIDE), ("//proc/../proc/self", INSIDE)),
        *(("/absolute/sys", INSIDE), ("/relative", INSIDE), ("/relative/kernel", INSIDE), ("/data/link/sys", INSIDE)),
    ],
)
def test_refused_at_the_start(
    cli: DockerCli, linked: str, name: str, tmp_path: Path, runtime: str, target: str, why: str
) -> None:
    for option in (["-v", f"{tmp_path}:{target}"], ["-v", f"v{name}:{target}"], ["--tmpfs", target]):
        cli("create", "--name", name, "--runtime", runtime, "--network", "none", *option, linked, "true")
        result = cli.try_("start", "-a", name)
        assert result.code != 0 and "OCI runtime create failed" in result.err and why in result.err, result.err
        assert cli("inspect", name, "--format", "{{.State.Status}}").out == "created"
        cli("rm", "-v", name)


def test_in_dockers_words(cli: DockerCli, linked: str, tmp_path: Path) -> None:
    for target, why in (("/proc", NOT_PROC), ("/relative", INSIDE), ("/data/link/sys", INSIDE)):
        result = cli.try_("run", "--rm", "-v", f"{tmp_path}:{target}", linked, "true")
        assert result.code == 125 and f'error mounting "{tmp_path}" to rootfs at "{target}"' in result.err
        assert why in result.err


@pytest.mark.parametrize("target", ["/proc/uptime", "/proc/cpuinfo", "/proc/sys/kernel/ns_last_pid"])
def test_files_of_lxcfs_are_allowed(cli: DockerCli, tmp_path: Path, target: str) -> None:
    (tmp_path / "file").write_text("mine\n")
    words = ["run", "--rm", "-v", f"{tmp_path}/file:{target}"]
    if target == "/proc/sys/kernel/ns_last_pid":  # /proc/sys is mounted once more over it, read-only, unless privileged
        words.append("--privileged")
    assert cli(*words, "busybox", "cat", target).out == "mine"


def test_the_hosts_proc_may_stand_at_proc(cli: DockerCli) -> None:
    assert (
        cli("run", "--rm", "-v", "/proc:/proc", "busybox", "cat", "/proc/1/comm").out
        == Path("/proc/1/comm").read_text().strip()
    )
