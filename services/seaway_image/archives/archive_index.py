"""What an image archive holds, read from its `manifest.json` (docker save) or `index.json` (OCI layout). Pure."""

import posixpath
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from seaway_contracts.errors import bad_request
from seaway_docker.references import InvalidReference, Reference, parse_reference
from seaway_image.oci.digests import Digest, hex_of, parse_digest
from seaway_image.oci.documents import parse_json
from seaway_image.oci.manifests import MAX_LAYERS, Index, parse_manifest

MAX_IMAGES: Final = 1000
_LINKS: Final = 16
_LONGEST_NAME: Final = 4096
_NAMES: Final = ("io.containerd.image.name", "org.opencontainers.image.ref.name")


@dataclass(frozen=True)
class ArchivedImage:
    """One image of a docker archive: blobs by digest, its names, and the image that it was made of."""

    config: Digest
    layers: tuple[Digest, ...]
    tags: tuple[Reference, ...]
    parent: Digest | None = None


@dataclass(frozen=True)
class Contents:
    """Files and links of an archive, by normal name; a file is known by the digest of its content."""

    files: Mapping[str, Digest]
    links: Mapping[str, str]

    def find(self, name: str) -> Digest:
        """The content under `name`, through links; raises SeawayError(BAD_REQUEST) if there is none."""
        place = normal_name(name)
        for _ in range(_LINKS):
            if place in self.files:
                return self.files[place]
            if place not in self.links:
                break
            place = self.links[place]
        raise bad_request(f"archive: {name[:200]!r} is named but missing, or a link that leads nowhere")


def entry_name(name: bytes) -> str:
    """An entry's name, or a link's target, as text; one that is too long is refused."""
    if len(name) > _LONGEST_NAME:
        raise bad_request("archive: an entry's name is too long")
    return name.decode("utf-8", "surrogateescape")


def normal_name(name: str) -> str:
    """A name inside the archive without `.` and `..`; what would climb out is refused."""
    place = posixpath.normpath(name.lstrip("/") or ".")
    if place == ".." or place.startswith("../"):
        raise bad_request(f"archive: the name {name[:200]!r} leads out of it")
    return place


def link_target(name: str, link: str, *, hard: bool) -> str:
    """Where a link of the archive leads, inside it."""
    return normal_name(link if hard else posixpath.join(posixpath.dirname(normal_name(name)), link))


def layer_label(name: str) -> str:
    """What a file of an archive is called in progress lines if it may be a layer, else empty: `0a1b2c3d4e5f`."""
    directory, base = posixpath.split(name)
    if directory.endswith("blobs/sha256"):
        return base[:12]
    parent = posixpath.basename(directory) if base == "layer.tar" else posixpath.splitext(base)[0]
    return parent[:12] if base.endswith(".tar") else ""


def check_blob_name(name: str, digest: Digest) -> None:
    """Raise SeawayError(BAD_REQUEST) if a file is named after a digest that isn't its own."""
    directory, base = posixpath.split(name)
    if directory.endswith("blobs/sha256") and base != hex_of(digest):
        raise bad_request(f"archive: the content of {name!r} is {digest}: it is damaged")


def parse_docker_manifest(data: bytes, contents: Contents) -> list[ArchivedImage]:
    """The images that `manifest.json` lists (Docker image spec v1.2, combined image JSON)."""
    entries = parse_json(data, "manifest.json")
    if not isinstance(entries, list) or len(entries) > MAX_IMAGES:
        raise bad_request(f"manifest.json is no list of at most {MAX_IMAGES} images")
    return [_archived(entry, contents) for entry in entries]


def _archived(entry: Any, contents: Contents) -> ArchivedImage:
    if not isinstance(entry, dict):
        raise bad_request("manifest.json: an entry is no object")
    config, layers, tags = entry.get("Config"), entry.get("Layers") or [], entry.get("RepoTags") or []
    if not isinstance(config, str) or not _texts(layers) or not _texts(tags) or len(layers) > MAX_LAYERS:
        raise bad_request("manifest.json: Config, Layers or RepoTags are missing, malformed or too many")
    digest = contents.find(config)
    stem = posixpath.basename(config).removesuffix(".json")
    if len(stem) == 64 and stem != hex_of(digest):
        raise bad_request(f"archive: the content of {config!r} is {digest}: it is damaged")
    found = tuple(contents.find(layer) for layer in layers)
    return ArchivedImage(digest, found, tuple(_tag(tag) for tag in tags), _parent(entry.get("Parent")))


def _parent(value: Any) -> Digest | None:
    """The id of the parent; one that says nothing has none."""
    return parse_digest(value) if isinstance(value, str) and value else None


def _texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _tag(text: str) -> Reference:
    try:
        reference = parse_reference(text)
    except InvalidReference as error:
        raise bad_request(str(error)) from None
    if reference.digest is not None or reference.tag is None:
        raise bad_request(f'invalid tag "{text[:200]}"')
    return reference


def parse_index(data: bytes) -> Index:
    """The `index.json` of an OCI layout (OCI image spec, image-layout.md)."""
    index = parse_manifest(data)
    if not isinstance(index, Index):
        raise bad_request("index.json is no index")
    return index


def names_in(annotations: Mapping[str, str]) -> Sequence[Reference]:
    """The image name that an index entry carries; a bare tag names nothing here."""
    for key in _NAMES:
        text = annotations.get(key, "")
        try:
            reference = parse_reference(text)
        except InvalidReference:
            continue
        if reference.digest is None and (key == _NAMES[0] or reference.tag is not None or "/" in text):
            return [reference.with_default_tag()]
    return []
