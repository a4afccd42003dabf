"""Pull, load and save against Debian's docker-registry and skopeo, on the loopback."""

import json
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from tests.integration.image.rig import docker_registry, push, skopeo, write_archive

from seaway_contracts.errors import SeawayError
from seaway_docker.references import parse_reference
from seaway_image.archives.load import load
from seaway_image.archives.save import save
from seaway_image.oci.platforms import parse_platform
from seaway_image.registry.endpoints import RegistrySettings
from seaway_image.registry.pull import PullOrder, Pulls
from seaway_image.registry.transport import HttpTransport
from seaway_image.store.image_store import ImageStore
from seaway_kit.tasks import Tasks
from seaway_testing.ports import free_port

pytestmark = pytest.mark.skipif(
    not (shutil.which("docker-registry") and shutil.which("skopeo")), reason="docker-registry or skopeo is missing"
)


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    directory = tmp_path_factory.mktemp("registry")
    with docker_registry(directory, free_port(), directory / "data") as port:
        yield f"127.0.0.1:{port}"


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A docker archive of an image with two layers."""
    return write_archive(tmp_path_factory.mktemp("archive") / "thing.tar")


@pytest.fixture
async def pulls(tmp_path: Path) -> AsyncIterator[tuple[Pulls, ImageStore]]:
    store, transport, tasks = ImageStore(tmp_path / "image"), HttpTransport(), Tasks("test")
    store.open()
    await transport.open()
    yield Pulls(store, transport, RegistrySettings(), tasks), store
    await tasks.close()
    await transport.close()


async def pull(pulls: Pulls, name: str, platform: str = "") -> list[str]:
    order = PullOrder(parse_reference(name), parse_platform(platform) if platform else None)
    return [progress.status async for progress in pulls.pull(order)]


async def from_file(path: Path) -> AsyncIterator[bytes]:
    with path.open("rb") as file:
        while data := file.read(100_000):
            yield data


@pytest.mark.parametrize(
    "options",
    [
        ("--format=v2s2",),
        ("--format=oci",),
        ("--format=oci", "--dest-compress-format=zstd"),
        ("--format=v2s2", "--dest-decompress"),
    ],
)
async def test_images_of_all_forms_are_pulled(
    registry: str, archive: Path, pulls: tuple[Pulls, ImageStore], options: tuple[str, ...]
) -> None:
    name = f"{registry}/form:{abs(hash(options))}"
    push(f"docker-archive:{archive}", name, *options)
    lines = await pull(pulls[0], name)
    assert lines[-1] == f"Status: Downloaded newer image for {name}"
    inspected = json.loads(skopeo("inspect", "--tls-verify=false", f"docker://{name}"))
    record = await pulls[1].get(name)
    assert record.repo_digests == (f"{registry}/form@{inspected['Digest']}",)
    assert [layer.digest for layer in record.layers] == inspected["Layers"]
    assert record.config.cmd == ("/a",)
    assert (await pull(pulls[0], name))[-1] == f"Status: Image is up to date for {name}"


async def test_what_the_registry_does_not_have(registry: str, pulls: tuple[Pulls, ImageStore]) -> None:
    with pytest.raises(SeawayError) as refused:
        await pull(pulls[0], f"{registry}/none:1")
    assert refused.value.message == f"manifest for {registry}/none:1 not found: manifest unknown: manifest unknown"
    assert refused.value.status == 404


async def test_what_is_saved_is_read_by_skopeo_and_loaded_again(
    registry: str, archive: Path, pulls: tuple[Pulls, ImageStore], tmp_path: Path
) -> None:
    store = pulls[1]
    done = await load(store, from_file(archive))
    assert done.lines == ("Loaded image: thing:1",)
    saved = tmp_path / "saved.tar"
    with saved.open("wb") as file:
        async for piece in save(store, ["thing:1"]):
            file.write(piece)
    for form in ("docker-archive", "oci-archive"):
        config = json.loads(skopeo("inspect", "--config", "--raw", f"{form}:{saved}"))
        assert config["config"]["Cmd"] == ["/a"]
        push(f"{form}:{saved}", f"{registry}/{form}:1")
        await pull(pulls[0], f"{registry}/{form}:1")
        assert (await store.get(f"{registry}/{form}:1")).id == done.images[0].id


@pytest.mark.parametrize("form", ["docker-archive", "oci-archive"])
async def test_archives_of_skopeo_are_loaded(
    archive: Path, pulls: tuple[Pulls, ImageStore], tmp_path: Path, form: str
) -> None:
    made = tmp_path / "made.tar"
    skopeo("copy", f"docker-archive:{archive}", f"{form}:{made}:docker.io/library/other:2")
    done = await load(pulls[1], from_file(made))
    assert done.lines == ("Loaded image: other:2",)
    assert len((await pulls[1].get("other:2")).layers) == 2
