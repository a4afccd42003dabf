"""What a pushed manifest brings into its repository: itself, and all manifests that it leads to through indexes."""

from typing import Final

from seaway_contracts.errors import Code, SeawayError, bad_request
from seaway_image.oci.digests import Digest, digest_of
from seaway_image.oci.documents import MAX_MANIFEST
from seaway_image.oci.manifests import MAX_NESTING, Descriptor
from seaway_image.oci.pushed import PushedManifest, is_elsewhere, parse_pushed
from seaway_image.store.blobs import BlobStore, Lease
from seaway_image.store.registry_table import ManifestRecord

MOST_BELOW: Final = 10_000
"""The manifests that one index may lead to, in all."""


class UnknownContent(SeawayError):
    """A manifest names a blob or manifest that is not here."""

    def __init__(self, what: str, digest: Digest) -> None:
        super().__init__(Code.NOT_FOUND, f"manifest: {what} {digest} is not in this registry: push it first")
        self.digest = digest
        self.blob = what == "blob"


async def records_of(
    blobs: BlobStore, data: bytes, parsed: PushedManifest, lease: Lease
) -> dict[Digest, ManifestRecord]:
    """The records of all of them, each read once, however often it is named; `lease` holds what they need.

    Raises SeawayError: UnknownContent, BAD_REQUEST for what is malformed, has another size, or is nested too deep.
    """
    records = {digest_of(data): _record(data, parsed)}
    _require(blobs, parsed, lease)
    level = {child.digest: child for child in parsed.children}
    for _ in range(MAX_NESTING):
        below: dict[Digest, Descriptor] = {}
        for child in level.values():
            inner_data = await blobs.read_bytes(child.digest, MAX_MANIFEST)
            inner = parse_pushed(inner_data, child.media_type)
            _require(blobs, inner, lease)
            records[child.digest] = _record(inner_data, inner)
            below |= {one.digest: one for one in inner.children}
        level = {digest: child for digest, child in below.items() if digest not in records}
        if len(records) + len(level) > MOST_BELOW:
            raise bad_request(f"manifest: the index leads to more than {MOST_BELOW} manifests")
    if level:
        raise bad_request(f"manifest: indexes are nested more than {MAX_NESTING} deep")
    return records


def _require(blobs: BlobStore, parsed: PushedManifest, lease: Lease) -> None:
    """All that the manifest names is here, and as large as it says."""
    for named in (*parsed.blobs, *parsed.children):
        lease.hold(named.digest)
        size = blobs.size(named.digest)
        if size is None and is_elsewhere(named):
            continue
        if size is None:
            raise UnknownContent("manifest" if parsed.index else "blob", named.digest)
        if size != named.size:
            raise bad_request(f"manifest: {named.digest} has {size} bytes, not the {named.size} it says")


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
