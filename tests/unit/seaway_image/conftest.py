"""Images made in memory, and a registry on the loopback that can be told to misbehave."""

import gzip
import hashlib
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from seaway_image.oci.digests import Digest, digest_of
from seaway_image.oci.manifests import DOCKER_CONFIG, DOCKER_LAYER_GZIP, DOCKER_LIST, DOCKER_MANIFEST
from seaway_image.store.image_changes import ImageChange
from seaway_image.store.image_store import ImageStore
from seaway_testing.packing import tar_of


@dataclass
class MadeImage:
    """An image: its config, its layers plain and as gzip blobs, and its schema-2 manifest."""

    layers: list[bytes]
    config: bytes
    blobs: list[bytes] = field(default_factory=list)
    manifest: bytes = b""

    @property
    def id(self) -> Digest:
        return digest_of(self.config)

    def archive(self, *tags: str) -> bytes:
        files = {f"{n}/layer.tar": layer for n, layer in enumerate(self.layers)}
        entry = {"Config": f"{self.id[7:]}.json", "RepoTags": list(tags), "Layers": list(files)}
        return tar_of(files | {entry["Config"]: self.config, "manifest.json": json.dumps([entry]).encode()})


def made_image(*contents: bytes, run: dict[str, Any] | None = None, **fields: Any) -> MadeImage:
    layers = [tar_of({f"file{n}": data}) for n, data in enumerate(contents or (b"hello",))]
    document = {
        "architecture": "amd64",
        "os": "linux",
        "created": "2024-05-01T10:00:00.5Z",
        "config": run if run is not None else {"Cmd": ["/bin/sh"], "Env": ["PATH=/bin"]},
        "rootfs": {"type": "layers", "diff_ids": [digest_of(layer) for layer in layers]},
        "history": [{"created": "2024-05-01T10:00:00Z", "created_by": "COPY"} for _ in layers],
    } | fields
    image = MadeImage(layers, json.dumps(document).encode())
    image.blobs = [gzip.compress(layer, mtime=0) for layer in layers]
    image.manifest = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": DOCKER_MANIFEST,
            "config": descriptor(image.config, DOCKER_CONFIG),
            "layers": [descriptor(blob, DOCKER_LAYER_GZIP) for blob in image.blobs],
        }
    ).encode()
    return image


def descriptor(data: bytes, media_type: str) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": digest_of(data), "size": len(data)}


Handler = Callable[[web.Request], Any]


class FakeRegistry:
    """A registry that serves what it is given; `before` may answer a request in its place."""

    def __init__(self) -> None:
        self.manifests: dict[str, tuple[bytes, str]] = {}
        self.blobs: dict[str, bytes] = {}
        self.requests: list[web.Request] = []
        self.before: list[Handler] = []
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._handle)
        self.server = TestServer(app)

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.server.port}"

    def add(self, image: MadeImage, tag: str) -> Digest:
        self.manifests[tag] = self.manifests[digest_of(image.manifest)] = (image.manifest, DOCKER_MANIFEST)
        for blob in (image.config, *image.blobs):
            self.blobs[digest_of(blob)] = blob
        return digest_of(image.manifest)

    def add_list(self, tag: str, entries: list[tuple[MadeImage, dict[str, str]]]) -> Digest:
        manifests = []
        for image, platform in entries:
            self.add(image, "unused")
            manifests.append(descriptor(image.manifest, DOCKER_MANIFEST) | {"platform": platform})
        data = json.dumps({"schemaVersion": 2, "mediaType": DOCKER_LIST, "manifests": manifests}).encode()
        self.manifests[tag] = (data, DOCKER_LIST)
        return digest_of(data)

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(request)
        for handler in list(self.before):
            answer = await handler(request)
            if answer is not None:
                return answer
        _, kind, name = request.path.rsplit("/", 2)
        if kind == "manifests" and name in self.manifests:
            data, media_type = self.manifests[name]
            headers = {"Content-Type": media_type, "Docker-Content-Digest": digest_of(data)}
            return web.Response(body=data, headers=headers)
        if kind == "blobs" and name in self.blobs:
            return self._blob(request, self.blobs[name])
        body = {"errors": [{"code": "MANIFEST_UNKNOWN", "message": "manifest unknown"}]}
        return web.json_response(body, status=404)

    def _blob(self, request: web.Request, data: bytes) -> web.Response:
        wanted = request.headers.get("Range", "")
        if not wanted:
            return web.Response(body=data)
        start = int(wanted.removeprefix("bytes=").removesuffix("-"))
        headers = {"Content-Range": f"bytes {start}-{len(data) - 1}/{len(data)}"}
        return web.Response(status=206, body=data[start:], headers=headers)

    def asked(self, part: str) -> list[web.Request]:
        return [request for request in self.requests if part in request.path]


@pytest.fixture
async def registry() -> AsyncIterator[FakeRegistry]:
    fake = FakeRegistry()
    await fake.server.start_server()
    yield fake
    await fake.server.close()


@pytest.fixture
def heard() -> list[ImageChange]:
    """What the store's changes have told."""
    return []


@pytest.fixture
def store(tmp_path: Path, heard: list[ImageChange]) -> ImageStore:
    made = ImageStore(tmp_path / "image", tell=heard.extend)
    made.open()
    return made


@pytest.fixture
def make_image() -> Callable[..., MadeImage]:
    return made_image


@pytest.fixture
def make_tar() -> Callable[[dict[str, bytes]], bytes]:
    return tar_of


@pytest.fixture
def chunked() -> Callable[..., AsyncIterator[bytes]]:
    async def pieces(data: bytes, size: int = 1000) -> AsyncIterator[bytes]:
        for start in range(0, len(data), size):
            yield data[start : start + size]

    return pieces


@pytest.fixture
def files_in() -> Callable[[Path], set[str]]:
    def listed(root: Path) -> set[str]:
        return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}

    return listed


@pytest.fixture
def sha256() -> Callable[[bytes], str]:
    return lambda data: hashlib.sha256(data).hexdigest()
