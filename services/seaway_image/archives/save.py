"""`docker save`: a docker archive that is an OCI layout too, as Docker writes since 25, as a stream of bytes."""

import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from seaway_archive.entries import Kind, TarEntry
from seaway_archive.writer import END, encode, padding
from seaway_contracts.docker_errors import no_such_image
from seaway_contracts.errors import Code, SeawayError, not_found
from seaway_docker.references import Reference, is_full_image_id
from seaway_image.oci.digests import Digest, hex_of
from seaway_image.oci.documents import MAX_MANIFEST
from seaway_image.oci.manifests import OCI_INDEX, Descriptor, encode_descriptor, parse_manifest
from seaway_image.store.blobs import BlobStore
from seaway_image.store.image_store import ImageStore
from seaway_image.store.names import NameTable, StoredImage, is_id_of, read_reference, resolve


@dataclass(frozen=True)
class SavedImage:
    """An image to be written, under the tags that were asked for (none when it was asked for by id)."""

    image: StoredImage
    tags: tuple[Reference, ...]


def choose(table: NameTable, names: Sequence[str]) -> list[SavedImage]:
    """The images for `names`, each once; a repository without tag means all its tags. Raises SeawayError(NOT_FOUND)."""
    chosen: dict[Digest, SavedImage] = {}
    for name in names:
        for image, tag in _meant(table, name):
            before = chosen.setdefault(image, SavedImage(table.images[image], ()))
            if tag is not None and tag not in before.tags:
                chosen[image] = replace(before, tags=(*before.tags, tag))
    return list(chosen.values())


def _meant(table: NameTable, name: str) -> list[tuple[Digest, Reference | None]]:
    if not is_full_image_id(name):
        reference = read_reference(name)
        if reference.tag is None and reference.digest is None:
            every = [
                (image, tag) for image in table.images for tag in table.tags_of(image) if tag.name == reference.name
            ]
            return list(every) or [(_by_short_id(table, reference, name), None)]
        if reference.digest is None and reference.canonical not in table.tags:
            raise not_found("reference does not exist")
    image = resolve(table, name)
    if is_id_of(image, name) or "@" in name:
        return [(image, None)]
    return [(image, read_reference(name).with_default_tag())]


def _by_short_id(table: NameTable, repository: Reference, name: str) -> Digest:
    try:
        return resolve(table, name)
    except SeawayError as error:
        if error.code is not Code.NOT_FOUND:
            raise
        raise no_such_image(repository.familiar) from error  # without `latest`: any tag would have done


async def save(store: ImageStore, names: Sequence[str]) -> AsyncIterator[bytes]:
    """The archive of these images; raises SeawayError(NOT_FOUND) before the first byte."""
    images = choose(store.table, names)
    with store.blobs.lease() as lease:
        for digest in sorted(frozenset[Digest]().union(*(saved.image.blobs for saved in images))):
            lease.hold(digest)
            store.blobs.require(digest)
        dates = await _dates(store, images)
        for directory in (b"blobs/", b"blobs/sha256/") if images else ():
            yield encode(TarEntry(directory, Kind.DIRECTORY, mode=0o755, mtime_ns=max(dates.values())))
        for digest, created_ns in sorted(dates.items()):
            async for piece in _blob(store.blobs, digest, created_ns):
                yield piece
        for name, document in _documents(images, await _manifests(store.blobs, images)):
            yield _file(name, _encoded(name, document))
        yield END


def _encoded(name: str, document: Any) -> bytes:
    """In the bytes that Docker writes."""
    if name == "oci-layout":
        return json.dumps(document).encode()
    text = json.dumps(document, separators=(",", ":"))
    return (text if name == "index.json" else f"{text}\n").encode()


async def _dates(store: ImageStore, images: Sequence[SavedImage]) -> dict[Digest, int]:
    """When each blob is dated: a config and its layers when the image was created, a manifest 1970, as in Docker."""
    dates: dict[Digest, int] = {}
    for saved in images:
        created_ns = (await store.document(saved.image.id)).created_ns
        for digest in saved.image.blobs:
            dates[digest] = 0 if digest == saved.image.manifest else max(created_ns, dates.get(digest, 0))
    return dates


async def _blob(blobs: BlobStore, digest: Digest, created_ns: int) -> AsyncIterator[bytes]:
    size = blobs.require(digest)
    yield _header(f"blobs/sha256/{hex_of(digest)}", size, created_ns)
    async for piece in blobs.read(digest):
        yield piece
    yield padding(size)


def _file(name: str, data: bytes) -> bytes:
    return _header(name, len(data)) + data + padding(len(data))


def _header(name: str, size: int, mtime_ns: int = 0) -> bytes:
    """Readable by all, dated 1970 unless said otherwise."""
    return encode(TarEntry(name.encode(), Kind.FILE, size=size, mtime_ns=mtime_ns))


async def _manifests(blobs: BlobStore, images: Sequence[SavedImage]) -> dict[Digest, Descriptor]:
    found = {}
    for digest in {saved.image.manifest for saved in images}:
        data = await blobs.read_bytes(digest, MAX_MANIFEST)
        found[digest] = Descriptor(parse_manifest(data).media_type, digest, len(data))
    return found


def _documents(images: Sequence[SavedImage], manifests: dict[Digest, Descriptor]) -> list[tuple[str, Any]]:
    saved_ids = frozenset(saved.image.id for saved in images)
    named = [("repositories", _repositories(images))] if any(saved.tags for saved in images) else []
    return [
        ("index.json", _index(images, manifests)),
        ("manifest.json", [_entry(saved, saved_ids) for saved in images] or None),
        ("oci-layout", {"imageLayoutVersion": "1.0.0"}),
        *named,
    ]


def _index(images: Sequence[SavedImage], manifests: dict[Digest, Descriptor]) -> dict[str, Any]:
    entries = [
        encode_descriptor(replace(manifests[saved.image.manifest], annotations=_names(tag)))
        for saved in images
        for tag in saved.tags or (None,)
    ]
    return {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries or None}


def _names(tag: Reference | None) -> dict[str, str]:
    if tag is None:
        return {}
    return {"io.containerd.image.name": tag.canonical, "org.opencontainers.image.ref.name": tag.tag or ""}


def _entry(saved: SavedImage, others: frozenset[Digest]) -> dict[str, Any]:
    parent = saved.image.parent
    known = {"Parent": parent} if parent in others else {}
    return {
        "Config": f"blobs/sha256/{hex_of(saved.image.id)}",
        "RepoTags": [tag.familiar for tag in saved.tags] or None,
        "Layers": [f"blobs/sha256/{hex_of(layer.digest)}" for layer in saved.image.layers],
        **known,
    }


def _repositories(images: Sequence[SavedImage]) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for saved in images:
        for tag in saved.tags:
            found.setdefault(tag.familiar_name, {})[tag.tag or "latest"] = hex_of(saved.image.id)
    return found
