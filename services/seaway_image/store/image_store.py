"""The image store: blobs and the durable table of names, changed together and never half."""

import asyncio
import secrets
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from seaway_contracts.errors import Code, SeawayError, bad_request
from seaway_contracts.images import ImageInUse, ImageRecord, Layer
from seaway_docker.references import Reference
from seaway_image.oci.configs import ImageDocument, parse_config
from seaway_image.oci.digests import Digest
from seaway_image.oci.documents import MAX_CONFIG, MAX_MANIFEST
from seaway_image.oci.manifests import Descriptor, Manifest, encode_manifest, parse_manifest
from seaway_image.store.blobs import Blob, BlobStore, Lease
from seaway_image.store.change_log import ChangeLog
from seaway_image.store.durable import write_file
from seaway_image.store.image_changes import NOBODY, Cause, ImageChange, image_change
from seaway_image.store.layers import LayerFacts, measure_layer
from seaway_image.store.names import NameTable, Outcome, StoredImage, StoredLayer, read_table, read_target, resolve
from seaway_image.store.removal import Removal, remove, remove_unused
from seaway_image.store.sources import BlobSources
from seaway_kit.failpoints import Failpoint, reach

COLLECT_GRACE_S: Final = 3600.0
Change = Callable[[NameTable], NameTable]
Tell = Callable[[Sequence[ImageChange]], None]


def _nobody(_: Sequence[ImageChange]) -> None:
    """Nobody wants to know."""


@dataclass(frozen=True)
class Entry:
    """A checked image on its way into the table. `tagged_ns`: when a user gave it its tags."""

    image: StoredImage
    tags: Sequence[Reference] = ()
    digests: Sequence[tuple[Reference, Digest]] = ()
    told: Sequence[ImageChange] = ()
    tagged_ns: int | None = None

    def entered(self, table: NameTable) -> NameTable:
        """The table with it."""
        table = table.with_image(self.image)
        for tag in self.tags:
            table = table.with_tag(tag, self.image.id, self.tagged_ns)
        for repository, digest in self.digests:
            table = table.with_digest(repository, digest, self.image.id)
        return table.with_news(self.told)


class ImageStore:
    """All images of the cluster. One process owns a root. `tell` hears of each change once it stands on disk.

    Who is killed before that finds what was not told in the table (`news`).
    """

    def __init__(self, root: Path, *, clock_ns: Callable[[], int] = time.time_ns, tell: Tell = _nobody) -> None:
        self.blobs = BlobStore(root)
        self.table = NameTable()
        self.sources = BlobSources(root / "sources.jsonl")
        self._path = root / "names.json"
        self._clock_ns = clock_ns
        self._tell = tell
        self._changing = asyncio.Lock()
        self.changes = ChangeLog(secrets.token_hex(8))
        self._documents: dict[Digest, ImageDocument] = {}
        self._records: dict[Digest, ImageRecord] = {}
        self._facts: dict[Digest, LayerFacts] = {}

    def open(self) -> None:
        """Read the table, sweep leftovers; raises SeawayError(INTERNAL) if the table can't be read."""
        self.blobs.open()
        self.sources.open()
        try:
            self.table = read_table(self._path.read_bytes(), self._path)
        except FileNotFoundError:
            self.table = NameTable()
        except (OSError, ValueError) as error:
            text = f"image table {self._path} can't be read: {error}; restore it, or move it away and pull again"
            raise SeawayError(Code.INTERNAL, text) from error

    # --- reading

    async def get(self, text: str) -> ImageRecord:
        """One image by name, digest, id or the beginning of an id; raises as `names.resolve`."""
        return await self.record(resolve(self.table, text))

    async def all(self) -> list[ImageRecord]:
        """All images, newest first."""
        return await self.records(self.table.images)

    async def records(self, images: Iterable[Digest]) -> list[ImageRecord]:
        """These images, newest first, but for any that goes meanwhile."""
        records = [await self.record(image) for image in tuple(images) if image in self.table.images]
        return sorted(records, key=lambda record: (-record.created_ns, record.id))

    async def record(self, image: Digest) -> ImageRecord:
        """What the other services know of an image."""
        if (known := self._records.get(image)) is not None:
            return known
        document = await self.document(image)
        record = self._record(document, self.table.images[image])
        self._records[image] = record
        return record

    def _record(self, document: ImageDocument, stored: StoredImage) -> ImageRecord:
        image = document.id
        return ImageRecord(
            id=image,
            repo_tags=tuple(name.familiar for name in self.table.tags_of(image)),
            repo_digests=tuple(name.familiar for name in self.table.digests_of(image)),
            created_ns=document.created_ns,
            size=stored.size,
            architecture=document.platform.architecture,
            os=document.platform.os,
            variant=document.variant,
            author=document.author,
            comment=document.comment,
            config=document.config,
            layers=tuple(Layer.model_validate(layer.model_dump()) for layer in stored.layers),
            history=document.history,
            last_tag_ns=stored.last_tag_ns,
            parent=stored.parent or "",
            docker_version=document.docker_version,
        )

    async def document(self, image: Digest) -> ImageDocument:
        """The image's config, checked; kept in memory."""
        found = self._documents.get(image)
        if found is None:
            found = self._documents[image] = parse_config(await self.blobs.read_bytes(image, MAX_CONFIG))
        return found

    # --- changing

    async def change(self, change: Change) -> NameTable:
        """Replace the table by what `change` makes of it, on disk first; when it raises, nothing has changed."""
        async with self._changing:
            before = self.table.without_news()
            table = change(before)
            if table is before:
                return self.table
            table = self._dated(table)
            data = table.model_dump_json().encode()
            writing = asyncio.get_running_loop().run_in_executor(None, write_file, self._path, data)
            try:
                await asyncio.shield(writing)
            except asyncio.CancelledError:  # what is being written is written all the same
                await asyncio.wait({writing})
                if writing.exception() is None:
                    self._enter(table)
                raise
            self._enter(table)
            return table

    def _enter(self, table: NameTable) -> None:
        for image in self.changes.note(self.table, table):
            self._records.pop(image, None)
        self.table = table
        reach(Failpoint.IMAGE_NAMED)
        self._tell(table.news)

    def publish(self, uses: Sequence[ImageChange]) -> None:
        """Publish what is done with images and changes none."""
        self._tell(self._with_ids(uses))

    def _dated(self, table: NameTable) -> NameTable:
        return table.model_copy(update={"news": self._with_ids(table.news)}) if table.news else table

    def _with_ids(self, changes: Sequence[ImageChange]) -> tuple[ImageChange, ...]:
        now = self._clock_ns()
        return tuple(one.model_copy(update={"id": secrets.token_hex(16), "time_ns": now}) for one in changes)

    async def tag(self, source: str, target: str, by: Cause = NOBODY) -> None:
        """Give an image a further name, once for each command; raises SeawayError(NOT_FOUND or BAD_REQUEST)."""
        reference = read_target(target)
        now = self._clock_ns()

        def change(table: NameTable) -> NameTable:
            if table.outcome_of(by.command) is not None:
                return table
            image = resolve(table, source)
            tagged = table.with_tag(reference, image, now).with_outcome(Outcome(command=by.command, time_ns=now))
            return tagged.with_news([image_change("tag", image, reference.familiar, by)])

        await self.change(change)

    async def remove(
        self,
        text: str,
        *,
        force: bool = False,
        prune: bool = True,
        in_use: Sequence[ImageInUse] = (),
        by: Cause = NOBODY,
    ) -> Outcome:
        """Untag or delete, as Docker does, once for each command; blobs that nobody needs go at the next collection."""
        return await self._remove(lambda table: remove(table, text, force=force, in_use=in_use, prune=prune), by)

    async def remove_unused(
        self, images: Iterable[Digest], in_use: Sequence[ImageInUse] = (), by: Cause = NOBODY
    ) -> Outcome:
        """The same for many, in one change; those that can't go stay."""
        return await self._remove(lambda table: remove_unused(table, images, in_use), by)

    async def _remove(self, removed: Callable[[NameTable], Removal], by: Cause) -> Outcome:
        now = self._clock_ns()
        outcomes: list[Outcome] = []

        def change(table: NameTable) -> NameTable:
            if (known := table.outcome_of(by.command)) is not None:
                outcomes.append(known)
                return table
            done = removed(table)
            outcomes.append(Outcome(command=by.command, time_ns=now, items=done.items, reclaimed=done.reclaimed))
            return done.table.with_outcome(outcomes[-1]).with_news(done.changes(by))

        await self.change(change)
        for item in outcomes[-1].items:
            self._documents.pop(Digest(item.deleted), None)
        return outcomes[-1]

    async def collect(self, *, grace_s: float = COLLECT_GRACE_S) -> list[Blob]:
        """Delete the blobs that no image and no running operation needs."""
        async with self._changing:
            gone = self.blobs.collect(self.table.blobs(), grace_s=grace_s)
        for blob in gone:
            self._facts.pop(blob.digest, None)
        return gone

    async def remove_blob(self, digest: Digest) -> bool:
        """Delete one blob unless an image, a manifest or a running operation needs it: then False.

        Raises SeawayError(NOT_FOUND).
        """
        async with self._changing:
            self.blobs.require(digest)
            needed = digest in self.table.blobs()
            return not needed and self.blobs.remove(digest)

    def discard(self, lease: Lease) -> None:
        """Take away what an operation stored, or has begun to store, and no image uses."""
        self.blobs.discard(lease, self.table.blobs())

    # --- registering

    async def facts(self, layer: Digest) -> LayerFacts:
        """What is in a stored layer blob: known from an image that has it, or found by inflating it."""
        if layer not in self._facts:
            self._facts |= {
                known.digest: LayerFacts(known.diff_id, known.diff_size)
                for image in self.table.images.values()
                for known in image.layers
            }
        if layer not in self._facts:
            self.blobs.require(layer)
            self._facts[layer] = await measure_layer(self.blobs.path(layer))
        return self._facts[layer]

    async def check(self, manifest_digest: Digest, *, manifest: bytes | None = None) -> StoredImage:
        """The image under a manifest, every blob there and every diffID right; raises SeawayError.

        `manifest`: its bytes where it isn't stored yet.
        """
        data = await self.blobs.read_bytes(manifest_digest, MAX_MANIFEST) if manifest is None else manifest
        parsed = parse_manifest(data)
        if not isinstance(parsed, Manifest):
            raise bad_request(f"{manifest_digest} is an index, not one image's manifest")
        document = parse_config(await self.blobs.read_bytes(parsed.config.digest, MAX_CONFIG))
        if len(document.diff_ids) != len(parsed.layers):
            named, given = len(document.diff_ids), len(parsed.layers)
            raise bad_request(f"image {document.id}: its config names {named} layers, its manifest {given}")
        layers = [
            await self._check_layer(layer, diff_id)
            for layer, diff_id in zip(parsed.layers, document.diff_ids, strict=True)
        ]
        return StoredImage(id=document.id, manifest=manifest_digest, layers=tuple(layers))

    async def _check_layer(self, layer: Descriptor, diff_id: Digest) -> StoredLayer:
        size = self.blobs.require(layer.digest)
        if size != layer.size:
            raise bad_request(f"layer {layer.digest} has {size} bytes, its manifest says {layer.size}")
        facts = await self.facts(layer.digest)
        if facts.diff_id != diff_id:
            raise bad_request(
                f"layer {layer.digest} unpacks to {facts.diff_id}, not to {diff_id} as the image's config says"
            )
        return StoredLayer(
            digest=layer.digest,
            size=layer.size,
            media_type=layer.media_type,
            diff_id=diff_id,
            diff_size=facts.size,
        )

    async def register(
        self,
        image: StoredImage,
        *,
        tags: Sequence[Reference] = (),
        digests: Sequence[tuple[Reference, Digest]] = (),
        told: Sequence[ImageChange] = (),
        tagged_ns: int | None = None,
    ) -> None:
        """Enter a checked image with its names, and what is told of it, all at once. `tagged_ns`: as a user's tag."""
        await self.register_all([Entry(image, tags, digests, told, tagged_ns)])

    async def register_all(self, entries: Sequence["Entry"]) -> None:
        """The same for many, in one change."""

        def change(table: NameTable) -> NameTable:
            for entry in entries:
                table = entry.entered(table)
            return table

        await self.change(change)

    async def assemble(self, config: Descriptor, layers: Sequence[Descriptor], lease: Lease) -> StoredImage:
        """Make and store the manifest for blobs that are stored already, and check the whole."""
        manifest = await self.blobs.put(encode_manifest(config, layers), lease=lease)
        return await self.check(manifest.digest)
