"""Anything that a registry takes under a manifest's name: images, indexes and artifacts of any kind. Pure.

`manifests.py` is strict, as an image from there is run. What is only kept may hold any config and any layers (OCI
image spec 1.1, manifest.md, "Guidelines for Artifact Usage"); its size, shape and references are checked all the same.
"""

from dataclasses import dataclass
from typing import Any, Final

from seaway_contracts.errors import SeawayError, bad_request
from seaway_image.oci.documents import parse_document
from seaway_image.oci.manifests import (
    DOCKER_LIST,
    MAX_ENTRIES,
    OCI_INDEX,
    Descriptor,
    media_type_of,
    parse_descriptor,
    parse_entries,
    parse_manifest,
)

_INDEXES: Final = frozenset({DOCKER_LIST, OCI_INDEX})
_MAX_TEXT: Final = 255


@dataclass(frozen=True)
class PushedManifest:
    """A manifest as its registry needs to know it.

    `blobs`: config and layers; `children`: an index's manifests. `refusal`: why it is no image that can run here,
    None if it may be one. `artifact_type` as the referrers API gives it.
    """

    media_type: str
    blobs: tuple[Descriptor, ...] = ()
    children: tuple[Descriptor, ...] = ()
    subject: Descriptor | None = None
    artifact_type: str = ""
    annotations: tuple[tuple[str, str], ...] = ()
    refusal: SeawayError | None = None

    @property
    def index(self) -> bool:
        """Whether it names manifests instead of layers."""
        return self.media_type in _INDEXES


def parse_pushed(data: bytes, content_type: str) -> PushedManifest:
    """The manifest in `data`, announced as `content_type`; raises SeawayError: BAD_REQUEST or TOO_LARGE."""
    document = parse_document(data, "manifest")
    media_type = media_type_of(document, content_type.partition(";")[0].strip().lower())
    subject = parse_descriptor(document["subject"], "subject") if document.get("subject") is not None else None
    stated = _artifact_type(document)
    annotations = tuple(_annotations(document).items())
    if media_type in _INDEXES:
        children = tuple(
            parse_descriptor(entry, f"manifests[{n}]")
            for n, entry in enumerate(parse_entries(document, "manifests", MAX_ENTRIES))
        )
        refusal = _refusal(data, content_type)
        return PushedManifest(media_type, (), children, subject, stated, annotations, refusal)
    config = parse_descriptor(document.get("config"), "config")
    layers = parse_entries(document, "layers", MAX_ENTRIES)
    blobs = (config, *(parse_descriptor(layer, f"layers[{n}]") for n, layer in enumerate(layers)))
    refusal = _refusal(data, content_type)
    return PushedManifest(media_type, blobs, (), subject, stated or config.media_type, annotations, refusal)


def is_elsewhere(blob: Descriptor) -> bool:
    """Whether a layer need not be pushed, as it may not be distributed."""
    return ".nondistributable." in blob.media_type or ".foreign." in blob.media_type


def _refusal(data: bytes, content_type: str) -> SeawayError | None:
    try:
        parse_manifest(data, content_type)
    except SeawayError as error:
        return error
    return None


def _artifact_type(document: dict[str, Any]) -> str:
    stated = document.get("artifactType") or ""
    if not isinstance(stated, str) or len(stated) > _MAX_TEXT:
        raise bad_request(f"manifest: artifactType is no text of at most {_MAX_TEXT} characters")
    return stated


def _annotations(document: dict[str, Any]) -> dict[str, str]:
    found = document.get("annotations") or {}
    if not isinstance(found, dict) or not all(isinstance(text, str) for text in found.values()):
        raise bad_request("manifest: annotations must map names to texts")
    return found
