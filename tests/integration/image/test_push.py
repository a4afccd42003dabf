"""Push against Debian's docker-registry, on the loopback; skopeo says what came."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from tests.integration.image.rig import docker_registry, push, skopeo, write_archive

from seaway_contracts.errors import SeawayError
from seaway_docker.references import parse_reference
from seaway_image.archives.load import load
from seaway_image.oci.manifests import DOCKER_LAYER_GZIP, DOCKER_MANIFEST, OCI_MANIFEST
from seaway_image.registry.endpoints import RegistrySettings
from seaway_image.registry.pull import PullOrder, Pulls
from seaway_image.registry.push import Pushes, PushOrder
from seaway_image.registry.transport import HttpTransport
from seaway_image.store.image_changes import ImageChange
from seaway_image.store.image_store import ImageStore
from seaway_kit.tasks import Tasks
from seaway_testing.ports import free_port


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    directory = tmp_path_factory.mktemp("registry")
    with docker_registry(directory, free_port(), directory / "data") as port:
        yield f"127.0.0.1:{port}"


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A docker archive of an image with two layers."""
    return write_archive(tmp_path_factory.mktemp("archive") / "thing.tar")


@dataclass
class Engine:
    """Pulls and pushes as the image service does."""

    store: ImageStore
    pulls: Pulls
    pushes: Pushes
    told: list[ImageChange] = field(default_factory=list)

    async def push(self, name: str) -> list[dict[str, Any]]:
        lines = [json.loads(progress.line()) async for progress in self.pushes.push(PushOrder(parse_reference(name)))]
        return [line for line in lines if line.get("status") != "Pushing"]

    async def pull(self, name: str) -> list[str]:
        return [progress.status async for progress in self.pulls.pull(PullOrder(parse_reference(name)))]

    async def tag(self, source: str, target: str) -> str:
        await self.store.tag(source, target)
        return target

    async def load(self, archive: Path) -> str:
        async def pieces() -> AsyncIterator[bytes]:
            yield archive.read_bytes()

        return (await load(self.store, pieces())).images[0].id


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[Engine]:
    told: list[ImageChange] = []
    store, transport, tasks = ImageStore(tmp_path / "image", tell=told.extend), HttpTransport(), Tasks("test")
    store.open()
    await transport.open()
    settings = RegistrySettings()
    pulls, pushes = Pulls(store, transport, settings, tasks), Pushes(store, transport, settings, tasks)
    yield Engine(store, pulls, pushes, told)
    await tasks.close()
    await transport.close()
    assert [path for path in store.blobs.tmp.iterdir() if path.suffix == ".ingest"] == []


def raw(name: str) -> tuple[bytes, dict[str, Any]]:
    data = skopeo("inspect", "--tls-verify=false", "--raw", f"docker://{name}").encode()
    return data, json.loads(data)


def statuses(lines: list[dict[str, Any]], layer: str) -> list[str]:
    return [line["status"] for line in lines if line.get("id") == layer]


async def test_a_loaded_image_is_pushed_in_dockers_form(registry: str, archive: Path, engine: Engine) -> None:
    image = await engine.load(archive)
    name = await engine.tag(image, f"{registry}/loaded/one:1")
    lines = await engine.push(name)
    data, manifest = raw(name)
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    ids = [layer.diff_id[7:19] for layer in engine.store.table.images[image].layers]  # type: ignore[index]
    assert lines[0] == {"status": f"The push refers to repository [{registry}/loaded/one]"}
    assert [line["id"] for line in lines[1:3]] == ids[::-1]
    for layer in ids:
        assert statuses(lines, layer) == ["Preparing", "Pushed"]
    assert lines[-2:] == [
        {"status": f"1: digest: {digest} size: {len(data)}"},
        {"progressDetail": {}, "aux": {"Tag": "1", "Digest": digest, "Size": len(data)}},
    ]
    assert manifest["mediaType"] == DOCKER_MANIFEST
    assert {layer["mediaType"] for layer in manifest["layers"]} == {DOCKER_LAYER_GZIP}
    record = await engine.store.get(name)
    assert record.repo_digests == (f"{registry}/loaded/one@{digest}",)
    assert [(one.action, one.ref, one.name) for one in engine.told][-1] == ("push", name, f"{registry}/loaded/one")


async def test_what_is_there_is_not_sent_again(registry: str, archive: Path, engine: Engine) -> None:
    image = await engine.load(archive)
    name = await engine.tag(image, f"{registry}/again/one:1")
    first = await engine.push(name)
    second = await engine.push(name)
    assert first[-2:] == second[-2:]
    ids = [layer.diff_id[7:19] for layer in engine.store.table.images[image].layers]  # type: ignore[index]
    assert [statuses(second, layer) for layer in ids] == [["Preparing", "Layer already exists"]] * 2
    other = await engine.tag(image, f"{registry}/again/two:1")
    mounted = await engine.push(other)
    assert [statuses(mounted, layer) for layer in ids] == [["Preparing", "Mounted from again/one"]] * 2


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        (("--format=v2s2",), DOCKER_MANIFEST),
        (("--format=oci",), OCI_MANIFEST),
        (("--format=oci", "--dest-compress-format=zstd"), OCI_MANIFEST),
        (("--format=v2s2", "--dest-decompress"), DOCKER_MANIFEST),
    ],
)
async def test_a_pulled_image_keeps_its_manifest(
    registry: str, archive: Path, engine: Engine, options: tuple[str, ...], kind: str
) -> None:
    form = hashlib.sha256("".join(options).encode()).hexdigest()[:8]
    source = f"{registry}/form{form}:1"
    push(f"docker-archive:{archive}", source, *options)
    await engine.pull(source)
    name = await engine.tag(source, f"{registry}/kept/form{form}:2")
    lines = await engine.push(name)
    assert raw(name)[0] == raw(source)[0] and raw(name)[1].get("mediaType", kind) == kind
    assert {line["status"] for line in lines if "id" in line} == {"Preparing", f"Mounted from form{form}"}


async def test_a_pull_after_a_push_brings_the_same_image(
    registry: str, archive: Path, engine: Engine, tmp_path: Path
) -> None:
    image = await engine.load(archive)
    name = await engine.tag(image, f"{registry}/round/trip:1")
    await engine.push(name)
    for record in await engine.store.all():
        await engine.store.remove(record.id, force=True)
    await engine.store.collect(grace_s=0)
    assert (await engine.pull(name))[-1] == f"Status: Downloaded newer image for {name}"
    assert (await engine.store.get(name)).id == image


async def test_all_tags_are_pushed_and_pulled(registry: str, archive: Path, engine: Engine) -> None:
    image = await engine.load(archive)
    for tag in ("b", "a", "c"):
        await engine.tag(image, f"{registry}/many/tags:{tag}")
    lines = await engine.push(f"{registry}/many/tags")
    assert [line["aux"]["Tag"] for line in lines if "aux" in line] == ["a", "b", "c"]
    assert [one.ref for one in engine.told if one.action == "push"] == [f"{registry}/many/tags"]
    await engine.store.remove(image, force=True)
    pulled = await engine.pull(f"{registry}/many/tags")
    assert pulled[-1] == f"Status: Downloaded newer image for {registry}/many/tags"
    assert (await engine.store.get(image)).repo_tags == tuple(f"{registry}/many/tags:{tag}" for tag in "abc")


async def test_pushes_of_one_image_at_once(registry: str, archive: Path, engine: Engine) -> None:
    image = await engine.load(archive)
    names = [await engine.tag(image, f"{registry}/at/once:{n}") for n in range(6)]
    done = await asyncio.gather(*(engine.push(name) for name in names))
    assert len({lines[-1]["aux"]["Digest"] for lines in done}) == 1


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("none/here:1", "An image does not exist locally with the tag: {registry}/none/here"),
        ("some/thing:2", "tag does not exist: {registry}/some/thing:2"),
        ("some/thing@sha256:" + "0" * 64, "cannot push a digest reference"),
    ],
)
async def test_what_can_not_be_pushed(registry: str, archive: Path, engine: Engine, name: str, error: str) -> None:
    await engine.tag(await engine.load(archive), f"{registry}/some/thing:1")
    with pytest.raises(SeawayError) as refused:
        await engine.push(f"{registry}/{name}")
    assert refused.value.message == error.format(registry=registry)


async def test_what_was_learned_outlives_a_restart(registry: str, archive: Path, engine: Engine) -> None:
    image = await engine.load(archive)
    await engine.push(await engine.tag(image, f"{registry}/restart/one:1"))
    again = ImageStore(engine.store.blobs.root)
    again.open()
    layer = engine.store.table.images[image].layers[0]  # type: ignore[index]
    assert [one.repository for one in again.sources.of(layer.diff_id)] == [f"{registry}/restart/one"]
