"""Mounts of images: `--mount type=image`, since version 1.48 of the API."""

import io
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from e2e_rig import images
from e2e_rig.api import Api
from e2e_rig.docker_cli import DockerCli
from e2e_rig.engine import Engine
from e2e_rig.waits import eventually

pytestmark = [pytest.mark.root, pytest.mark.seaway_only]  # Debian's dockerd has no such mounts


def layer(files: dict[str, str | None], links: dict[str, str] | None = None) -> bytes:
    """A layer of files; None hides one of a layer below."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as tar:
        for name, text in files.items():
            parent, _, base = name.rpartition("/")
            entry = tarfile.TarInfo(name if text is not None else f"{parent}/.wh.{base}")
            data = (text or "").encode()
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
        for name, target in (links or {}).items():
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = tarfile.SYMTYPE, target
            tar.addfile(entry)
    return made.getvalue()


@pytest.fixture
def image(cli: DockerCli, name: str) -> Iterator[str]:
    """Two layers: the second hides a file of the first, and has links inwards and outwards."""
    links = {"hack/good": "../sub", "hack/root": "/sub", "hack/bad": "../../../../../../root"}
    below = layer({"sub/file": "below", "sub/gone": "gone", "top": "top"})
    layers, config = [below, layer({"sub/gone": None, "sub/new": "new"}, links)], {"Labels": {"for": name}}
    cli("load", input=images.archive(layers, config, [f"{name}:1"]))
    yield f"{name}:1"
    cli.try_("rmi", "-f", f"{name}:1")


def body(image: str, command: str, **mount: object) -> dict[str, Any]:
    """A container's request."""
    whole = {"Type": "image", "Source": image, "Target": "/i", **mount}
    return {"Image": "busybox", "Cmd": ["sh", "-c", command], "HostConfig": {"NetworkMode": "none", "Mounts": [whole]}}


def output(api: Api, cli: DockerCli, request: dict[str, Any]) -> str:
    """What a container prints."""
    made = api.request("POST", "/containers/create", request)
    assert made.status == 201, made
    found = cli("start", "-a", made.json()["Id"])
    return found.out


def test_the_whole_image_read_only(api: Api, cli: DockerCli, image: str) -> None:
    script = "cat /i/sub/file; ls /i/sub; cat /i/top; touch /i/x 2>/dev/null || echo refused; ls /i"
    said = output(api, cli, body(image, script, ReadOnly=False))
    assert said.split() == ["belowfile", "new", "toprefused", "hack", "sub", "top"]


@pytest.mark.parametrize(
    ("subpath", "script", "said"),
    [
        ("sub", "cat /i/file", "below"),
        ("hack/good", "cat /i/new", "new"),
        ("hack/root", "cat /i/new", "new"),
        ("sub/file", "cat /i", "below"),
    ],
)
def test_a_part(api: Api, cli: DockerCli, image: str, subpath: str, script: str, said: str) -> None:
    assert output(api, cli, body(image, script, ImageOptions={"Subpath": subpath})) == said


@pytest.mark.parametrize("subpath", ["nothing", "hack/bad", "sub/file/x"])
def test_a_part_that_is_not_there(api: Api, image: str, subpath: str) -> None:
    """No link leads out of the image."""
    made = api.request("POST", "/containers/create", body(image, "ls /i", ImageOptions={"Subpath": subpath}))
    refused = api.request("POST", f"/containers/{made.json()['Id']}/start")
    assert refused.status == 404 and refused.message.endswith(
        f"cannot access path {image}/{subpath}: lstat {image}/{subpath}: no such file or directory"
    )


def test_bad_input(api: Api, image: str) -> None:
    missing = api.request("POST", "/containers/create", body("no-such-image", "true"))
    assert (missing.status, missing.message) == (404, "No such image: no-such-image:latest")
    for mount, why in (
        ({"Source": ""}, "field Source must not be empty"),
        ({"ImageOptions": {"Subpath": "../x"}}, "subpath must be a relative path within the volume"),
        ({"ImageOptions": {"Subpath": "/x"}}, "subpath must be a relative path within the volume"),
    ):
        refused = api.request("POST", "/containers/create", body(image, "true", **mount))
        assert (refused.status, refused.message) == (400, f'invalid mount config for type "image": {why}')
    other = api.request("POST", "/containers/create", body(image, "true", Type="volume", ImageOptions={}))
    assert other.message == 'invalid mount config for type "volume": field ImageOptions must not be specified'
    older = api.request("POST", "/v1.47/containers/create", body(image, "true"))
    assert (older.status, older.message) == (400, 'Mount type "Image" needs API v1.48 or newer')


def test_the_docker_command(cli: DockerCli, image: str, name: str) -> None:
    """Debian's speaks 1.45 by itself, and hands on mounts that it doesn't know."""
    words = ("--name", name, "--mount", f"type=image,source={image},target=/i")
    assert cli("run", *words, "busybox", "cat", "/i/top", DOCKER_API_VERSION="1.48").out == "top"
    refused = cli.try_("run", "--mount", f"type=image,source={image},target=/i", "busybox")
    assert 'Mount type "Image" needs API v1.48 or newer' in refused.err


def test_inspect_and_files_of_a_stopped_container(api: Api, cli: DockerCli, image: str) -> None:
    made = api.request("POST", "/containers/create", body(image, "sleep 60", ImageOptions={"Subpath": "sub"}))
    assert made.json()["Warnings"] == ["Image mount is an experimental feature"]
    container = made.json()["Id"]
    found = api.get(f"/containers/{container}/json")
    point = {"Type": "image", "Name": image, "Source": "", "Destination": "/i", "Mode": "", "RW": False}
    assert found["Mounts"] == [point | {"Propagation": "rprivate"}]
    asked = {"Type": "image", "Source": image, "Target": "/i", "ImageOptions": {"Subpath": "sub"}}
    assert found["HostConfig"]["Mounts"] == [asked]
    for state in ("created", "running"):
        assert _read(cli, f"{container}:/i/new") == "new", state
        refused = cli.try_("cp", "-", f"{container}:/i", input=layer({"x": "y"}))
        assert "is marked read-only" in refused.err or "read-only" in refused.err, refused
        cli("start", container)


def _read(cli: DockerCli, path: str) -> str:
    with tarfile.open(fileobj=io.BytesIO(cli("cp", path, "-").stdout)) as tar:
        (entry,) = tar.getmembers()
        file = tar.extractfile(entry)
        assert file is not None
        return file.read().decode()


def test_an_image_is_in_use(api: Api, cli: DockerCli, image: str, name: str) -> None:
    container = api.request("POST", "/containers/create", body(image, "cat /i/top")).json()["Id"]
    refused = cli.try_("rmi", image)
    assert f"container {container[:12]} is using its referenced image" in refused.err
    assert cli("image", "prune", "-af", "--filter", f"label=for={name}").lines == ["Total reclaimed space: 0B"]
    cli("rmi", "-f", image)
    assert cli("start", "-a", container).out == "top", "its layers stay as long as the container"
    cli("rm", container)
    assert api.request("GET", f"/images/{image}/json").status == 404


def test_taken_over_by_another_container(api: Api, cli: DockerCli, image: str) -> None:
    first = api.request("POST", "/containers/create", body(image, "true")).json()["Id"]
    assert cli("run", "--rm", "--volumes-from", first, "busybox", "cat", "/i/top").out == "top"


def test_an_image_without_layers(api: Api, cli: DockerCli, name: str) -> None:
    cli("load", input=images.archive([], {}, [f"{name}:0"]))
    assert output(api, cli, body(f"{name}:0", "ls -A /i | wc -l")) == "0"


def test_nothing_stays_mounted(api: Api, cli: DockerCli, engine: Engine, image: str) -> None:
    """Not even while it runs is anything to be seen outside of its own namespace."""
    before = _mounts()
    container = api.request("POST", "/containers/create", body(image, "sleep 60")).json()["Id"]
    cli("start", container)
    assert cli("exec", container, "cat", "/i/top").out == "top"
    eventually(lambda: _mounts() == before, "the mounts of before, while it runs")
    cli("kill", container)
    cli("start", container)
    assert cli("exec", container, "cat", "/i/top").out == "top"
    cli("rm", "-f", container)
    eventually(lambda: _mounts() == before, "the mounts of before")


def _mounts() -> list[str]:
    """The mounts that the test sees, but for those of single runs (shm, sandboxes)."""
    table = Path(f"/proc/{os.getpid()}/mountinfo").read_text().splitlines()
    return sorted(line.split()[4] for line in table if " - overlay " in line)
