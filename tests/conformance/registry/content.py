"""What is pushed in these tests: images, artifacts and indexes made in memory."""

import gzip
import io
import json
import os
import tarfile
from dataclasses import dataclass
from typing import Any

from seaway_image.oci.digests import Digest, digest_of

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
EMPTY = "application/vnd.oci.empty.v1+json"


@dataclass(frozen=True)
class Content:
    """A manifest and the blobs that it names."""

    manifest: bytes
    media_type: str
    blobs: tuple[bytes, ...] = ()

    @property
    def digest(self) -> Digest:
        return digest_of(self.manifest)


def descriptor(data: bytes, media_type: str, **more: Any) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": digest_of(data), "size": len(data)} | more


def subject_of(content: Content) -> dict[str, Any]:
    return descriptor(content.manifest, content.media_type)


def image(*, architecture: str = "amd64", layers: int = 1, **fields: Any) -> Content:
    """A new image each time, that could run."""
    tars = [_tar(os.urandom(64)) for _ in range(layers)]
    config = {
        "architecture": architecture,
        "os": "linux",
        "config": {"Labels": {"salt": os.urandom(8).hex()}},
        "rootfs": {"type": "layers", "diff_ids": [digest_of(tar) for tar in tars]},
    }
    blobs = [gzip.compress(tar, mtime=0) for tar in tars]
    return _manifest(json.dumps(config).encode(), CONFIG, [(blob, LAYER) for blob in blobs], fields)


def artifact(kind: str = "", config: str = EMPTY, **fields: Any) -> Content:
    """No image: an empty config, and a layer that is no tar."""
    named = {"artifactType": kind} if kind else {}
    return _manifest(b"{}", config, [(os.urandom(40), "application/vnd.example.data")], named | fields)


def index(*children: Content, **fields: Any) -> Content:
    """An index of these."""
    platforms = {"platform": {"os": "linux", "architecture": "amd64"}}
    entries = [
        descriptor(one.manifest, one.media_type, **(platforms if n == 0 else {})) for n, one in enumerate(children)
    ]
    document = {"schemaVersion": 2, "mediaType": INDEX, "manifests": entries} | fields
    return Content(json.dumps(document).encode(), INDEX)


def _manifest(config: bytes, media_type: str, layers: list[tuple[bytes, str]], fields: dict[str, Any]) -> Content:
    document = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": descriptor(config, media_type),
        "layers": [descriptor(*layer) for layer in layers],
    } | fields
    return Content(json.dumps(document).encode(), MANIFEST, (config, *(data for data, _ in layers)))


def _tar(data: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        info = tarfile.TarInfo("file")
        info.size = len(data)
        archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()
