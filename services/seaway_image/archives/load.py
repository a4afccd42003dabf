"""`docker load`: archives of `docker save` and OCI layouts, streamed into the blob store. Nothing is unpacked."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from seaway_archive.assembly import TarLimits
from seaway_archive.entries import Kind, TarEntry
from seaway_archive.errors import shown
from seaway_archive.inflate import LONGEST_MAGIC
from seaway_archive.reader import AsyncTarReader
from seaway_contracts.errors import SeawayError, bad_request
from seaway_docker.references import Reference
from seaway_image.archives.archive_index import (
    ArchivedImage,
    Contents,
    check_blob_name,
    entry_name,
    layer_label,
    link_target,
    names_in,
    normal_name,
    parse_docker_manifest,
    parse_index,
)
from seaway_image.archives.decompress import MAX_ARCHIVE, decompressed
from seaway_image.oci.configs import parse_config
from seaway_image.oci.digests import Digest
from seaway_image.oci.documents import MAX_CONFIG, MAX_MANIFEST
from seaway_image.oci.manifests import (
    MAX_NESTING,
    OCI_CONFIG,
    OCI_LAYER,
    Descriptor,
    Index,
    Manifest,
    parse_manifest,
    select_entry,
)
from seaway_image.oci.platforms import OURS, Platform
from seaway_image.store.blobs import Lease
from seaway_image.store.image_changes import NOBODY, Cause, image_change
from seaway_image.store.image_store import Entry, ImageStore
from seaway_image.store.layers import compression_of
from seaway_image.store.names import StoredImage
from seaway_image.store.progress import Progress


@dataclass(frozen=True)
class LoadedImage:
    """An image that came from an archive: its id and the tags it got."""

    id: Digest
    tags: tuple[Reference, ...]

    def lines(self) -> list[str]:
        """What Docker says of it."""
        return [f"Loaded image: {tag.familiar}" for tag in self.tags] or [f"Loaded image ID: {self.id}"]


@dataclass(frozen=True)
class Loaded:
    """What a load did: the images, and Docker's lines in order."""

    images: tuple[LoadedImage, ...]
    lines: tuple[str, ...]


Say = Callable[[Progress], Awaitable[None]]
_WORTH_TELLING: Final = 64 << 10
_LIMITS: Final = TarLimits(total=MAX_ARCHIVE, entries=200_000)


async def _nothing(_: Progress) -> None:
    """Nobody wants to know how it goes."""


async def load(
    store: ImageStore,
    source: AsyncIterator[bytes],
    *,
    platform: Platform | None = None,
    say: Say = _nothing,
    by: Cause = NOBODY,
) -> Loaded:
    """Load all images of an archive, or none; raises SeawayError and then nothing is left.

    `say` hears of each layer that has come, once: a client that only reads when it has sent all must not be drowned.
    """
    with store.blobs.lease() as lease:
        try:
            return await _Load(store, lease, platform or Platform(), say).run(source, by)
        finally:
            store.discard(lease)


class _Load:
    def __init__(self, store: ImageStore, lease: Lease, platform: Platform, say: Say) -> None:
        self._store = store
        self._lease = lease
        self._platform = platform
        self._say = say

    async def run(self, source: AsyncIterator[bytes], by: Cause) -> Loaded:
        """Ingest, check everything, then enter all images."""
        contents = await self._ingest(AsyncTarReader(decompressed(source), _LIMITS))
        found = await self._images(contents)
        holders = dict(self._store.table.tags)
        lines: list[str] = []
        entries: list[Entry] = []
        for image, tags in found:
            lines += _renamed(holders, image.id, tags)
            name = tags[0].familiar if tags else ""
            entries.append(Entry(image, tags, told=[image_change("load", image.id, name, by, name=image.id)]))
        await self._store.register_all(entries)
        images = tuple(LoadedImage(image.id, tuple(tags)) for image, tags in found)
        return Loaded(images, (*lines, *(line for image in images for line in image.lines())))

    async def _ingest(self, reader: AsyncTarReader) -> Contents:
        files: dict[str, Digest] = {}
        links: dict[str, str] = {}
        async for entry in reader.entries():
            given, link = entry_name(entry.name), entry_name(entry.link)
            name = normal_name(given)
            if entry.kind is Kind.FILE:
                files[name] = await self._store_file(entry, reader)
                check_blob_name(name, files[name])
                await self._tell(name, entry.size)
                links.pop(name, None)
            elif entry.kind in (Kind.SYMLINK, Kind.HARDLINK):
                links[name] = link_target(given, link, hard=entry.kind is Kind.HARDLINK)
                files.pop(name, None)
        return Contents(files, links)

    async def _tell(self, name: str, size: int) -> None:
        layer = layer_label(name)
        if layer and size >= _WORTH_TELLING:
            await self._say(Progress("Loading layer", layer, size, size))

    async def _store_file(self, entry: TarEntry, reader: AsyncTarReader) -> Digest:
        if entry.extents is not None:
            name = shown(entry.name)
            raise bad_request(f"archive: {name!r} is stored as a sparse file: make the archive without --sparse")
        async with self._store.blobs.writer(lease=self._lease) as writer:
            assert writer is not None  # only a known digest can be there already
            async for _, piece in reader.pieces():
                await writer.write(bytes(piece))
            return await writer.finish()

    async def _images(self, contents: Contents) -> list[tuple[StoredImage, Sequence[Reference]]]:
        if "manifest.json" not in contents.files:
            indexed = await self._indexed(contents) if "index.json" in contents.files else []
            if not indexed:
                raise bad_request("archive holds no image: it has neither manifest.json nor index.json with one")
            return [(await self._checked(digest, config), tags) for digest, config, tags in indexed]
        try:  # an index beside manifest.json is only a hint: it may name the manifests that the images came with
            indexed = await self._indexed(contents) if "index.json" in contents.files else []
        except SeawayError:
            indexed = []
        data = await self._store.blobs.read_bytes(contents.files["manifest.json"], MAX_MANIFEST)
        known = {config: digest for digest, config, _ in indexed}
        archived = parse_docker_manifest(data, contents)
        images = {one.config: await self._image(one, known.get(one.config)) for one in archived}
        there = self._store.table.images | images
        return [(await self._with_parent(images[one.config], one.parent, there), one.tags) for one in archived]

    async def _with_parent(
        self, image: StoredImage, parent: Digest | None, there: Mapping[Digest, StoredImage]
    ) -> StoredImage:
        """What an archive says of a parent holds if that image is there, and this one is it and one step more."""
        below = there.get(parent) if parent is not None else None
        if below is None:
            return image
        own, lower = await self._store.document(image.id), await self._store.document(below.id)
        is_step = own.history[:-1] == lower.history and len(own.history) == len(lower.history) + 1
        is_upon = own.diff_ids[: len(lower.diff_ids)] == lower.diff_ids
        return image.model_copy(update={"parent": parent}) if is_step and is_upon else image

    async def _image(self, archived: ArchivedImage, manifest: Digest | None) -> StoredImage:
        """By the archive's own manifest if it has one, or by one made here."""
        if manifest is not None:
            return await self._checked(manifest, archived.config)
        await self._check_system(archived.config)
        config = Descriptor(OCI_CONFIG, archived.config, self._store.blobs.require(archived.config))
        layers = [await self._layer(digest) for digest in archived.layers]
        return await self._store.assemble(config, layers, self._lease)

    async def _checked(self, manifest: Digest, config: Digest) -> StoredImage:
        await self._check_system(config)
        return await self._store.check(manifest)

    async def _check_system(self, config: Digest) -> None:
        """Before the layers are read."""
        system = parse_config(await self._store.blobs.read_bytes(config, MAX_CONFIG)).platform.os
        if system != OURS:
            raise bad_request(f"cannot load {system} image on {OURS}")

    async def _layer(self, digest: Digest) -> Descriptor:
        return await layer_descriptor(self._store, digest)

    async def _indexed(self, contents: Contents) -> list[tuple[Digest, Digest, Sequence[Reference]]]:
        """Manifest, config and names of each image of the OCI layout that is all there, for our platform."""
        data = await self._store.blobs.read_bytes(contents.files["index.json"], MAX_MANIFEST)
        found = []
        for entry in parse_index(data).entries:
            manifest = await self._manifest(entry.descriptor, set(contents.files.values()))
            if manifest is not None:
                digest, parsed = manifest
                found.append((digest, parsed.config.digest, names_in(entry.descriptor.annotations)))
        return found

    async def _manifest(self, descriptor: Descriptor, there: set[Digest]) -> tuple[Digest, Manifest] | None:
        for _ in range(MAX_NESTING + 1):
            if descriptor.digest not in there:
                return None
            data = await self._store.blobs.read_bytes(descriptor.digest, MAX_MANIFEST)
            if len(data) != descriptor.size:
                says = f"its index says {descriptor.size}"
                raise bad_request(f"archive: manifest {descriptor.digest} has {len(data)} bytes, {says}")
            parsed = parse_manifest(data, descriptor.media_type)
            if not isinstance(parsed, Index):
                blobs = {parsed.config.digest, *(layer.digest for layer in parsed.layers)}
                return (descriptor.digest, parsed) if blobs <= there else None
            try:
                descriptor = select_entry(parsed, self._platform).descriptor
            except SeawayError:
                return None
        raise bad_request(f"archive: indexes are nested more than {MAX_NESTING} deep")


def _renamed(holders: dict[str, Digest], image: Digest, tags: Sequence[Reference]) -> list[str]:
    """What is said of tags that another image loses; `holders` is kept up."""
    lines = []
    for tag in tags:
        holder = holders.get(tag.canonical, image)
        holders[tag.canonical] = image
        if holder != image:
            lines.append(
                f"The image {tag.familiar} already exists, renaming the old one with ID {holder} to empty string"
            )
    return lines


async def layer_descriptor(store: ImageStore, digest: Digest) -> Descriptor:
    """A stored blob as a layer, its media type read from its first bytes."""
    head = b"".join([piece async for piece in store.blobs.read(digest, 0, LONGEST_MAGIC)])
    compression = compression_of(head)
    return Descriptor(OCI_LAYER + (f"+{compression}" if compression else ""), digest, store.blobs.require(digest))
