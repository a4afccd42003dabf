"""Manifests and indexes (OCI image spec 1.1, Docker image manifest v2 schema 2): parsed, checked, bounded. Pure."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from seaway_contracts.errors import SeawayError, bad_request, not_found
from seaway_image.oci.digests import Digest, parse_digest
from seaway_image.oci.documents import MAX_CONFIG, parse_document
from seaway_image.oci.platforms import Platform, choose, normal_platform

DOCKER_MANIFEST: Final = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST: Final = "application/vnd.docker.distribution.manifest.list.v2+json"
OCI_MANIFEST: Final = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX: Final = "application/vnd.oci.image.index.v1+json"
DOCKER_CONFIG: Final = "application/vnd.docker.container.image.v1+json"
OCI_CONFIG: Final = "application/vnd.oci.image.config.v1+json"
DOCKER_LAYER_GZIP: Final = "application/vnd.docker.image.rootfs.diff.tar.gzip"
OCI_LAYER: Final = "application/vnd.oci.image.layer.v1.tar"
ACCEPT: Final = (DOCKER_MANIFEST, DOCKER_LIST, OCI_MANIFEST, OCI_INDEX)

MAX_LAYERS: Final = 500  # the kernel's overlayfs takes no more lower layers
MAX_ENTRIES: Final = 1000
MAX_BLOB: Final = 64 << 30
MAX_NESTING: Final = 3

_MANIFESTS: Final = frozenset({DOCKER_MANIFEST, OCI_MANIFEST})
_INDEXES: Final = frozenset({DOCKER_LIST, OCI_INDEX})
_CONFIGS: Final = frozenset({DOCKER_CONFIG, OCI_CONFIG})
_SCHEMA_1: Final = "application/vnd.docker.distribution.manifest.v1+"
_NONDISTRIBUTABLE: Final = "application/vnd.oci.image.layer.nondistributable.v1.tar"
_LAYERS: Final = frozenset(
    {
        DOCKER_LAYER_GZIP,
        "application/vnd.docker.image.rootfs.diff.tar",
        "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
        "application/vnd.docker.image.rootfs.foreign.diff.tar",
        *(f"{base}{suffix}" for base in (OCI_LAYER, _NONDISTRIBUTABLE) for suffix in ("", "+gzip", "+zstd")),
    }
)


@dataclass(frozen=True)
class Descriptor:
    """A reference to a blob; `size` in bytes. A descriptor's `urls` are dropped: blobs come from the registry only."""

    media_type: str
    digest: Digest
    size: int
    annotations: dict[str, str] = field(default_factory=dict, hash=False)


@dataclass(frozen=True)
class Manifest:
    """One image for one platform."""

    media_type: str
    config: Descriptor
    layers: tuple[Descriptor, ...]


@dataclass(frozen=True)
class IndexEntry:
    """One choice of an index."""

    descriptor: Descriptor
    platform: Platform | None


@dataclass(frozen=True)
class Index:
    """Manifests of one image for several platforms."""

    media_type: str
    entries: tuple[IndexEntry, ...]


def parse_manifest(data: bytes, content_type: str = "") -> Manifest | Index:
    """The manifest or index in `data`.

    `content_type` is what the registry (or the descriptor that led here) called it; it and the document's own
    `mediaType` must agree. Raises SeawayError for anything that is malformed, ambiguous or beyond the bounds.
    """
    document = parse_document(data, "manifest")
    media_type = media_type_of(document, content_type.partition(";")[0].strip().lower())
    if media_type in _MANIFESTS:
        return _manifest(document, media_type)
    return _index(document, media_type)


def media_type_of(document: dict[str, Any], content_type: str) -> str:
    """What a manifest or index is: `content_type` (bare, lower-case) and its own `mediaType` agree; raises."""
    if document.get("schemaVersion") == 1 or content_type.startswith(_SCHEMA_1):
        raise bad_request(
            "Docker Image manifest version 2, schema 1 is not supported: "
            "ask the image's author to push it again in the OCI format or as schema 2"
        )
    if document.get("schemaVersion") != 2:
        raise bad_request("manifest: schemaVersion must be 2")
    if "layers" in document and "manifests" in document:
        raise bad_request("manifest: both layers and manifests are given, so it is ambiguous")
    stated = document.get("mediaType", "")
    known = content_type in _MANIFESTS | _INDEXES
    if stated and known and stated != content_type:
        raise bad_request(f"manifest: mediaType is {stated!r:.100} but it was announced as {content_type!r:.100}")
    media_type = stated or (content_type if known else OCI_INDEX if "manifests" in document else OCI_MANIFEST)
    if media_type not in _MANIFESTS | _INDEXES:
        raise bad_request(f"manifest: unsupported media type {media_type!r:.100}")
    if ("manifests" in document) != (media_type in _INDEXES):
        raise bad_request(f"manifest: the content does not fit its media type {media_type}")
    return str(media_type)


def _manifest(document: dict[str, Any], media_type: str) -> Manifest:
    config = parse_descriptor(document.get("config"), "config")
    if config.media_type not in _CONFIGS:
        raise bad_request(f"manifest: config media type {config.media_type!r:.100} is no container image's")
    if config.size > MAX_CONFIG:
        raise bad_request(f"manifest: config of {config.size} bytes is larger than the {MAX_CONFIG} allowed")
    layers = parse_entries(document, "layers", MAX_LAYERS)
    parsed = tuple(parse_descriptor(layer, f"layers[{n}]") for n, layer in enumerate(layers))
    for layer in parsed:
        if layer.media_type not in _LAYERS:
            raise bad_request(f"manifest: layer {layer.digest}: unsupported media type {layer.media_type!r:.100}")
    return Manifest(media_type, config, parsed)


def _index(document: dict[str, Any], media_type: str) -> Index:
    entries = parse_entries(document, "manifests", MAX_ENTRIES)
    return Index(
        media_type,
        tuple(
            IndexEntry(parse_descriptor(entry, f"manifests[{n}]"), _platform(entry.get("platform"), n))
            for n, entry in enumerate(entries)
        ),
    )


def parse_entries(document: dict[str, Any], key: str, limit: int) -> list[Any]:
    """The list under `key`; raises SeawayError(BAD_REQUEST) unless it is one, of at most `limit` entries."""
    entries = document.get(key)
    if not isinstance(entries, list):
        raise bad_request(f"manifest: {key} is missing or no list")
    if len(entries) > limit:
        raise bad_request(f"manifest: {len(entries)} {key}, more than the {limit} allowed")
    return entries


def parse_descriptor(value: Any, where: str) -> Descriptor:
    """A descriptor; raises SeawayError(BAD_REQUEST), which says `where` it stands."""
    if not isinstance(value, dict):
        raise bad_request(f"manifest: {where} is missing or no descriptor")
    media_type, size, annotations = value.get("mediaType"), value.get("size"), value.get("annotations") or {}
    if not isinstance(media_type, str) or not media_type:
        raise bad_request(f"manifest: {where}: mediaType is missing")
    if type(size) is not int or not 0 <= size <= MAX_BLOB:
        raise bad_request(f"manifest: {where}: size {str(size)[:40]} is not between 0 and {MAX_BLOB} bytes")
    if not isinstance(annotations, dict) or not all(isinstance(text, str) for text in annotations.values()):
        raise bad_request(f"manifest: {where}: annotations must map names to texts")
    try:
        digest = parse_digest(value.get("digest"))
    except SeawayError as error:
        raise bad_request(f"manifest: {where}: {error.message}") from None
    return Descriptor(media_type, digest, size, annotations)


def _platform(value: Any, place: int) -> Platform | None:
    if value is None:
        return None
    if not isinstance(value, dict):
        raise bad_request(f"manifest: manifests[{place}]: platform is no object")
    parts = [value.get(key) or "" for key in ("os", "architecture", "variant")]
    if not all(isinstance(part, str) for part in parts):
        raise bad_request(f"manifest: manifests[{place}]: platform's parts must be texts")
    return normal_platform(*parts)


def select_entry(index: Index, wanted: Platform) -> IndexEntry:
    """The entry for `wanted`; raises SeawayError(NOT_FOUND) in Docker's words if there is none."""
    images = [entry for entry in index.entries if entry.descriptor.media_type in _MANIFESTS | _INDEXES]
    place = choose(wanted, [entry.platform for entry in images])
    if place is None and len(images) == 1 and images[0].platform is None:
        place = 0
    if place is None:
        raise not_found(f"no matching manifest for {wanted} in the manifest list entries")
    return images[place]


def encode_manifest(config: Descriptor, layers: Sequence[Descriptor]) -> bytes:
    """An OCI manifest for an image that was made here (loaded, imported, committed)."""
    document = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": encode_descriptor(config),
        "layers": [encode_descriptor(layer) for layer in layers],
    }
    return json.dumps(document, separators=(",", ":")).encode()


def encode_descriptor(descriptor: Descriptor) -> dict[str, Any]:
    """A descriptor as JSON."""
    plain: dict[str, Any] = {
        "mediaType": descriptor.media_type,
        "digest": descriptor.digest,
        "size": descriptor.size,
    }
    return plain | ({"annotations": descriptor.annotations} if descriptor.annotations else {})
