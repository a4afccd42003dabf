"""Decisions of a pull: what to ask for, what is still to fetch, what to say. Pure."""

from collections.abc import Callable
from dataclasses import dataclass

from seaway_contracts.errors import bad_request, not_found
from seaway_docker.references import Reference
from seaway_image.oci.configs import ImageDocument
from seaway_image.oci.digests import Digest
from seaway_image.oci.manifests import Descriptor, Manifest
from seaway_image.oci.platforms import NOT_SUPPORTED, OURS, Platform, satisfies


@dataclass(frozen=True)
class PlannedLayer:
    """One layer of an image to be pulled; `present`: its blob is stored already."""

    blob: Descriptor
    diff_id: Digest
    present: bool


def plan_layers(manifest: Manifest, document: ImageDocument, stored: Callable[[Digest], bool]) -> list[PlannedLayer]:
    """The layers from the base up, each blob once; raises SeawayError where manifest and config disagree."""
    if len(manifest.layers) != len(document.diff_ids):
        named, given = len(document.diff_ids), len(manifest.layers)
        raise bad_request(f"image {document.id}: its config names {named} layers, its manifest {given}")
    planned: dict[Digest, PlannedLayer] = {}
    for blob, diff_id in zip(manifest.layers, document.diff_ids, strict=True):
        before = planned.setdefault(blob.digest, PlannedLayer(blob, diff_id, stored(blob.digest)))
        if before.diff_id != diff_id or before.blob.size != blob.size:
            raise bad_request(f"image {document.id}: layer {blob.digest} is named twice, as different things")
    return list(planned.values())


def check_platform(reference: Reference, actual: Platform, wanted: Platform | None) -> None:
    """Raise SeawayError in Docker's words if a platform was asked for and this is another, or if it can't run here."""
    if wanted is not None and not satisfies(actual, wanted):
        raise not_found(
            f"image with reference {reference.familiar} was found but does not match the specified platform: "
            f"wanted {wanted}, actual: {actual}"
        )
    if actual.os != OURS:
        unusable = f'image operating system "{actual.os}" cannot be used on this platform: {NOT_SUPPORTED}'
        raise bad_request(NOT_SUPPORTED if wanted is not None and wanted.os == actual.os else unusable)


def asked(reference: Reference) -> str:
    """What to ask the registry for: the digest where one is given, else the tag."""
    return reference.digest or reference.tag or "latest"


def status_text(reference: Reference, *, newer: bool) -> str:
    """The last line of a pull."""
    what = "Downloaded newer image" if newer else "Image is up to date"
    return f"Status: {what} for {_shown(reference)}"


def _shown(reference: Reference) -> str:
    if reference.digest:
        return f"{reference.familiar_name}@{reference.digest}"
    return reference.familiar
