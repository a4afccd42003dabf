"""What was pushed: manifests checked, kept in their repositories, and entered as images where they are some."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from seaway_contracts.builds import BASES, BUILT
from seaway_contracts.errors import Code, SeawayError, bad_request
from seaway_docker.references import Reference, parse_reference
from seaway_image.oci.configs import parse_config
from seaway_image.oci.digests import Digest, digest_of
from seaway_image.oci.documents import MAX_CONFIG, MAX_MANIFEST
from seaway_image.oci.manifests import MAX_NESTING, Descriptor, Index, parse_manifest, select_entry
from seaway_image.oci.platforms import NOT_SUPPORTED, OURS, Platform
from seaway_image.oci.pushed import PushedManifest, is_elsewhere, parse_pushed
from seaway_image.store.blobs import Lease
from seaway_image.store.image_changes import NOBODY, Cause, ImageChange, image_change
from seaway_image.store.image_store import ImageStore
from seaway_image.store.names import NameTable, StoredImage, repository_of
from seaway_image.store.registry_removal import without_manifest, without_tag
from seaway_image.store.registry_table import ManifestRecord
from seaway_kit.failpoints import Failpoint, reach

log = logging.getLogger(__name__)
MOST_MANIFESTS: Final = 100_000
MOST_TAGS: Final = 100_000


class UnknownContent(SeawayError):
    """A manifest names a blob or manifest that is not here."""

    def __init__(self, what: str, digest: Digest) -> None:
        super().__init__(Code.NOT_FOUND, f"manifest: {what} {digest} is not in this registry: push it first")
        self.digest = digest
        self.blob = what == "blob"


@dataclass(frozen=True)
class Push:
    """A manifest that somebody pushes to `reference`: a repository with a tag or a digest.

    `built`: of a build, which must be an image that runs here, and is tagged as by `docker tag`.
    """

    reference: Reference
    data: bytes
    media_type: str
    by: Cause = NOBODY
    built: bool = False


@dataclass
class Received:
    """What became of a push. `warning`: why it is no image here, for who thinks that it is one."""

    digest: Digest
    subject: str = ""
    image: StoredImage | None = None
    warning: str = ""


@dataclass
class RegistryStore:
    """The registry's side of the image store."""

    images: ImageStore
    clock_ns: Callable[[], int] = time.time_ns
    platform: Platform = field(default_factory=Platform)

    # --- reading

    def find(self, reference: Reference) -> Digest | None:
        """The manifest under a tag, or under a digest where its repository has it."""
        table = self.images.table
        if reference.name.startswith(BASES):
            image = table.images.get(Digest(f"sha256:{reference.name.removeprefix(BASES)}"))
            return image.manifest if image is not None else None
        if reference.digest:
            digest = Digest(reference.digest)
            return digest if self._has(table, reference, digest) else None
        pushed = table.registry.tags.get(reference.canonical)
        tagged = table.tags.get(reference.canonical)
        return pushed or (table.images[tagged].manifest if tagged is not None else None)

    def _has(self, table: NameTable, repository: Reference, digest: Digest) -> bool:
        if table.registry.has(repository.name, digest) or f"{repository.name}@{digest}" in table.digests:
            return True
        holders = {key for key, image in table.images.items() if image.manifest == digest}
        names = [*table.tags.items(), *table.digests.items()]
        return any(holder in holders and repository_of(name) == repository.name for name, holder in names)

    async def manifest(self, digest: Digest) -> tuple[bytes, str]:
        """A manifest's bytes and media type."""
        data = await self.images.blobs.read_bytes(digest, MAX_MANIFEST)
        record = self.images.table.registry.manifests.get(digest)
        return data, record.media_type if record is not None else parse_manifest(data).media_type

    def repositories(self) -> list[str]:
        """All repositories that have anything, as users name them, in order."""
        table = self.images.table
        names = {*table.registry.repositories, *map(repository_of, (*table.tags, *table.digests))}
        return sorted(parse_reference(name).familiar_name for name in names)

    def tags(self, repository: Reference) -> list[str] | None:
        """The tags of a repository, in order; None for one that is not known."""
        table = self.images.table
        found = set(table.registry.tags_in(repository.name))
        found |= {tag for name in table.tags if (tag := _tag_in(repository.name, name))}
        known = found or repository.name in table.registry.repositories
        if known or any(repository_of(name) == repository.name for name in table.digests):
            return sorted(found)
        return None

    def referrers(self, repository: Reference, subject: Digest) -> list[Digest]:
        """The manifests of a repository that name this subject, in order of their digests."""
        return self.images.table.registry.referrers(repository.name, subject)

    # --- deleting

    async def delete(self, reference: Reference, by: Cause) -> None:
        """Take away a tag, or a manifest with its names in its repository; raises SeawayError(NOT_FOUND)."""
        if reference.digest:
            digest = Digest(reference.digest)
            await self.images.change(lambda table: without_manifest(table, reference, digest, by))
        else:
            await self.images.change(lambda table: without_tag(table, reference, by))

    async def delete_blob(self, digest: Digest) -> bool:
        """Take a blob away; False if a manifest, an image or a push needs it. Raises SeawayError(NOT_FOUND)."""
        return await self.images.remove_blob(digest)

    # --- pushing

    async def receive(self, push: Push) -> Received:
        """Keep a manifest; everything is on disk when this returns.

        Raises SeawayError: BAD_REQUEST for a malformed one or another digest, TOO_LARGE, UnknownContent.
        """
        digest = digest_of(push.data)
        if push.reference.digest and push.reference.digest != digest:
            raise bad_request(f"the manifest has the digest {digest}, not {push.reference.digest}")
        parsed = parse_pushed(push.data, push.media_type)
        with self.images.blobs.lease() as lease:
            self._require(parsed, lease)
            records = {child.digest: await self._child(child, lease) for child in parsed.children}
            records[digest] = _record(push.data, parsed)
            done = Received(digest, parsed.subject.digest if parsed.subject else "")
            if push.reference.tag:
                await self._find_image(push, parsed, done)
            await self.images.blobs.put(push.data, lease=lease)
            reach(Failpoint.PUSH_MANIFEST)
            await self.images.change(lambda table: self._entered(table, push, records, done))
        reach(Failpoint.PUSH_ENTERED)
        return done

    def _require(self, parsed: PushedManifest, lease: Lease) -> None:
        """All that the manifest names is here, and as large as it says."""
        for named in (*parsed.blobs, *parsed.children):
            lease.hold(named.digest)
            size = self.images.blobs.size(named.digest)
            if size is None and is_elsewhere(named):
                continue
            if size is None:
                raise UnknownContent("manifest" if parsed.index else "blob", named.digest)
            if size != named.size:
                raise bad_request(f"manifest: {named.digest} has {size} bytes, not the {named.size} it says")

    async def _child(self, child: Descriptor, lease: Lease, depth: int = 1) -> ManifestRecord:
        """What is known of a manifest in an index, of one that no push has brought, too."""
        if depth > MAX_NESTING:
            raise bad_request(f"manifest: indexes are nested more than {MAX_NESTING} deep")
        data = await self.images.blobs.read_bytes(child.digest, MAX_MANIFEST)
        parsed = parse_pushed(data, child.media_type)
        self._require(parsed, lease)
        for inner in parsed.children:
            await self._child(inner, lease, depth + 1)
        return _record(data, parsed)

    async def _find_image(self, push: Push, parsed: PushedManifest, done: Received) -> None:
        """The image that `docker images` will show for this tag, if there is one."""
        try:
            if parsed.refusal is not None:
                raise parsed.refusal
            done.image = await self._image(push.data, done.digest)
        except SeawayError as error:
            if push.built or error.code in (Code.INTERNAL, Code.NO_SPACE):
                raise
            done.warning = error.message
            log.info("%s was pushed and is no image that runs here: %s", push.reference.familiar, error.message)

    async def _image(self, data: bytes, digest: Digest) -> StoredImage:
        parsed = parse_manifest(data)
        for _ in range(MAX_NESTING + 1):
            if not isinstance(parsed, Index):
                break
            entry = select_entry(parsed, self.platform).descriptor
            digest = entry.digest
            parsed = parse_manifest(await self.images.blobs.read_bytes(digest, MAX_MANIFEST), entry.media_type)
        else:
            raise bad_request(f"indexes are nested more than {MAX_NESTING} deep")
        config = parse_config(await self.images.blobs.read_bytes(parsed.config.digest, MAX_CONFIG))
        if config.platform.os != OURS:
            raise bad_request(f'image operating system "{config.platform.os}" cannot be used here: {NOT_SUPPORTED}')
        return await self.images.check(digest, manifest=data if digest == digest_of(data) else None)

    def _entered(
        self, table: NameTable, push: Push, records: dict[Digest, ManifestRecord], done: Received
    ) -> NameTable:
        """The table with it; pure but for the time."""
        reference, image = push.reference, done.image
        if image is not None and push.built and reference.name.startswith(BUILT):
            return table.with_image(image)  # who asked for the build gives it its names
        registry = table.registry
        for digest, record in records.items():
            registry = registry.with_manifest(reference.name, digest, record)
        _check_room(registry.manifests, registry.tags)
        table = table.with_registry(registry)
        if not reference.tag:
            return table
        name, before = reference.canonical, table.tags.get(reference.canonical)
        news: list[ImageChange] = []
        if image is not None:
            table = table.with_image(image).with_tag(reference, image.id, self.clock_ns() if push.built else None)
            if not push.built:
                table = table.with_digest(reference, done.digest, image.id)
            if push.built or before != image.id:
                news = [image_change("tag", image.id, reference.familiar, push.by)]
        elif before is not None:
            table = table.without_names([reference])
            news = [image_change("untag", before, reference.familiar, push.by, name=before)]
        return table.with_registry(table.registry.with_tag(name, done.digest)).with_news(news)


def _record(data: bytes, parsed: PushedManifest) -> ManifestRecord:
    return ManifestRecord(
        media_type=parsed.media_type,
        size=len(data),
        blobs=_digests(parsed.blobs),
        children=_digests(parsed.children),
        subject=parsed.subject.digest if parsed.subject else "",
        artifact_type=parsed.artifact_type,
    )


def _digests(named: tuple[Descriptor, ...]) -> tuple[Digest, ...]:
    return tuple(dict.fromkeys(one.digest for one in named))


def _check_room(manifests: dict[Digest, ManifestRecord], tags: dict[str, Digest]) -> None:
    if len(manifests) > MOST_MANIFESTS or len(tags) >= MOST_TAGS:
        text = f"the registry holds {MOST_MANIFESTS} manifests or {MOST_TAGS} tags, no more are taken: delete some"
        raise SeawayError(Code.FORBIDDEN, text)


def _tag_in(repository: str, name: str) -> str:
    """The tag in a canonical reference, if it is one in this repository."""
    head, _, tag = name.rpartition(":")
    return tag if head == repository else ""
