"""Where buildx's builds end: files, archives, registries, and where their cache comes from and goes."""

import io
import json
import os
import signal
import tarfile
import urllib.request
from pathlib import Path

import pytest
from e2e_rig.buildkit_fixtures import context, until_gone, until_running
from e2e_rig.buildkitd import Buildkitd
from e2e_rig.docker_cli import DockerCli
from e2e_rig.registry import Registry

pytestmark = [pytest.mark.seaway_only, pytest.mark.own_engines, pytest.mark.usefixtures("no_built_images")]
BUILD_S = 90
_CHANCE = "RUN cat /proc/sys/kernel/random/uuid > /chance\n"


@pytest.fixture
def where(tmp_path: Path, name: str) -> str:
    """A context of two steps, different in each test."""
    return context(tmp_path / "c", f"FROM busybox\nRUN echo {name} > /name\nRUN cp /name /copy\n")


def test_files_and_archives(buildx: DockerCli, where: str, tmp_path: Path, name: str) -> None:
    buildx("build", "-o", str(tmp_path / "out"), where, timeout=BUILD_S)
    assert (tmp_path / "out/copy").read_text() == f"{name}\n"
    buildx("build", "-o", f"type=tar,dest={tmp_path}/out.tar", where, timeout=BUILD_S)
    with tarfile.open(tmp_path / "out.tar") as found:
        assert "copy" in {one.name.removeprefix("./") for one in found}
    piped = buildx("build", "-o", "-", where, timeout=BUILD_S)
    with tarfile.open(fileobj=io.BytesIO(piped.stdout)) as found:
        assert "copy" in {one.name.removeprefix("./") for one in found}
    assert buildx("images", "-q", "-f", "dangling=true").out == "", "only files were asked for"


def test_load(buildx: DockerCli, where: str, name: str) -> None:
    buildx("buildx", "build", "--load", "-t", name, where, timeout=BUILD_S)
    assert buildx("run", "--rm", name, "cat", "/copy").out == name


def test_no_output(buildx: DockerCli, where: str, name: str) -> None:
    buildx("buildx", "build", "-o", "type=cacheonly", "-t", name, where, timeout=BUILD_S)
    assert buildx("images", "-q", name).out == ""


def test_push(buildx: DockerCli, registry: Registry, where: str, name: str) -> None:
    target = f"{registry.address}/{name}:1"
    done = buildx("buildx", "build", "--push", "-t", target, where, timeout=BUILD_S)
    assert f"pushing {target}" in done.err, done.err
    assert urllib.request.urlopen(f"http://{registry.address}/v2/{name}/manifests/1").status == 200
    assert buildx("run", "--rm", target, "cat", "/copy").out == name


@pytest.mark.parametrize("cache", ["type=local,dest={}/c", "type=registry,ref=localhost/c"])
def test_what_buildx_has_no_docker_daemon_do(buildx: DockerCli, where: str, cache: str, tmp_path: Path) -> None:
    """It says so, as with a dockerd whose images are not in containerd's store."""
    refused = [("--cache-to", cache.format(tmp_path)), ("-o", f"type=oci,dest={tmp_path}/o")]
    for words in (*refused, ("-o", f"type=docker,dest={tmp_path}/d")):
        done = buildx.try_("build", *words, where, timeout=BUILD_S)
        assert done.code != 0 and "is not supported for the docker driver" in done.err, done.err


def test_cache_from_a_directory_and_a_registry(
    buildx: DockerCli, registry: Registry, buildkitd: Buildkitd, tmp_path: Path, name: str
) -> None:
    where = context(tmp_path / "c", f"FROM {registry.address}/lib/busybox:1\n{_CHANCE}")
    kept, ref, out = tmp_path / "cache", f"{registry.address}/{name}:cache", tmp_path / "out"
    words = ["--export-cache", f"type=local,dest={kept},mode=max", "--output", f"type=local,dest={out}"]
    words += ["--export-cache", f"type=registry,ref={ref},mode=max"]
    buildkitd.ctl(
        "build", "--frontend=dockerfile.v0", "--local", f"context={where}", "--local", f"dockerfile={where}", *words
    )
    made = (out / "chance").read_text()
    for source in (f"type=local,src={kept}", f"type=registry,ref={ref}"):
        _forget(buildx)
        buildx("build", "--cache-from", source, "-o", str(out), where, timeout=BUILD_S)
        assert (out / "chance").read_text() == made, source


def test_cache_in_the_image(buildx: DockerCli, registry: Registry, tmp_path: Path, name: str) -> None:
    target, where = f"{registry.address}/{name}:inline", context(tmp_path / "c", f"FROM busybox\n{_CHANCE}")
    buildx("buildx", "build", "--push", "--cache-to", "type=inline", "-t", target, where, timeout=BUILD_S)
    made = buildx("run", "--rm", target, "cat", "/chance").out
    buildx("rmi", target)
    _forget(buildx)
    buildx("build", "--cache-from", target, "-t", name, where, timeout=BUILD_S)
    assert buildx("run", "--rm", name, "cat", "/chance").out == made


def _forget(buildx: DockerCli) -> None:
    """The builder's own cache is emptied."""
    buildx("builder", "prune", "-af", timeout=BUILD_S)


def test_metadata_of_a_build(buildx: DockerCli, where: str, tmp_path: Path, name: str) -> None:
    buildx("buildx", "build", "--metadata-file", str(tmp_path / "m"), "-t", name, where, timeout=BUILD_S)
    said = json.loads((tmp_path / "m").read_text())
    assert said["containerimage.config.digest"] == json.loads(buildx("inspect", name).out)[0]["Id"]


def test_ctrl_c_ends_the_build(buildx: DockerCli, tmp_path: Path, name: str) -> None:
    seconds = str(int(name[1:8], 16))
    text = f"FROM busybox\nRUN echo a > /a\nRUN sleep {seconds}\n"
    with buildx.spawn("build", "-t", name, context(tmp_path, text)) as build:
        until_running(f"sleep {seconds}")
        os.kill(build.pid, signal.SIGINT)
        assert build.wait(60) != 0
    until_gone(f"sleep {seconds}")
    assert buildx("images", "-q", name).out == ""


def test_a_killed_client_ends_the_build(buildx: DockerCli, tmp_path: Path, name: str) -> None:
    seconds = str(int(name[1:8], 16))
    with buildx.spawn("build", "-t", name, context(tmp_path, f"FROM busybox\nRUN sleep {seconds}\n")) as build:
        until_running(f"sleep {seconds}")
        for pid in _family(build.pid):
            os.kill(pid, signal.SIGKILL)
    until_gone(f"sleep {seconds}")
    assert buildx("images", "-q", name).out == ""


def _family(pid: int) -> list[int]:
    """A process and those below it: the docker command, and its plugin."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(one for child in children for one in _family(int(child)))]
