"""Decisions of a push: which tags, what is sent of each layer, from where it may be mounted, which manifest. Pure."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from seaway_contracts.errors import bad_request, not_found
from seaway_docker.references import Reference
from seaway_image.oci.digests import Digest
from seaway_image.oci.manifests import (
    DOCKER_CONFIG,
    DOCKER_LAYER_GZIP,
    DOCKER_MANIFEST,
    OCI_CONFIG,
    OCI_LAYER,
    OCI_MANIFEST,
    Descriptor,
    Manifest,
    encode_descriptor,
)
from seaway_image.store.names import NameTable, StoredImage, StoredLayer
from seaway_image.store.remote_blobs import RemoteBlob

_SMALL: Final = 100 << 10
_MIDDLE: Final = 10 << 20
_DOCKERS: Final = "application/vnd.docker."
_FINAL_CODES: Final = frozenset({"UNAUTHORIZED", "DENIED", "UNSUPPORTED", "NAME_INVALID"})
_FINAL_STATUS: Final = frozenset({401, 403, 405, 501})


@dataclass(frozen=True)
class PlannedLayer:
    """A layer to be pushed: the stored blob, or, if `packed`, a gzip of it that is made on the way."""

    stored: StoredLayer
    packed: bool

    @property
    def compression(self) -> str:
        """`gzip`, `zstd` or empty: of what the registry gets."""
        return "gzip" if self.packed else compression_in(self.stored.media_type)

    @property
    def key(self) -> str:
        """Equal for layers of which one upload is enough."""
        return self.stored.diff_id if self.packed else self.stored.digest


@dataclass(frozen=True)
class PushPlan:
    """The layers from the base up. `as_is`: the stored manifest is pushed, and so the image keeps its digest."""

    layers: tuple[PlannedLayer, ...]
    as_is: bool


def compression_in(media_type: str) -> str:
    """How a layer of this media type is compressed."""
    for suffix in ("gzip", "zstd"):
        if media_type.endswith((f"+{suffix}", f".{suffix}")):
            return suffix
    return ""


def plan_push(manifest: Manifest, image: StoredImage, is_remote: Callable[[StoredLayer], bool]) -> PushPlan:
    """What a push of the image, which is stored under this manifest, sends. `is_remote`: a registry has this very blob.

    A plain layer that came from no registry is compressed. Then the manifest is made anew, as it is where it was made
    here of parts of another image, whose types are those of another form.
    """
    layers = tuple(
        PlannedLayer(layer, packed=not compression_in(layer.media_type) and not is_remote(layer))
        for layer in image.layers
    )
    types = [manifest.config.media_type, *(layer.media_type for layer in manifest.layers)]
    of_one_form = len({_is_dockers(one) for one in (manifest.media_type, *types)}) == 1
    return PushPlan(layers, as_is=of_one_form and not any(layer.packed for layer in layers))


def _is_dockers(media_type: str) -> bool:
    return media_type.startswith(_DOCKERS)


def pushed_manifest(config: Descriptor, layers: Sequence[Descriptor]) -> tuple[bytes, str]:
    """The manifest of an image that was made here, and its media type: Docker's, laid out as Docker does.

    What Docker's form has no name for, zstd, takes OCI's.
    """
    docker = all(compression_in(layer.media_type) == "gzip" for layer in layers)
    whole, of_config = (DOCKER_MANIFEST, DOCKER_CONFIG) if docker else (OCI_MANIFEST, OCI_CONFIG)
    types = [DOCKER_LAYER_GZIP if docker else _oci_layer(layer.media_type) for layer in layers]
    document = {
        "schemaVersion": 2,
        "mediaType": whole,
        "config": _ordered(Descriptor(of_config, config.digest, config.size)),
        "layers": [_ordered(Descriptor(of, one.digest, one.size)) for of, one in zip(types, layers, strict=True)],
    }
    return json.dumps(document, indent=3).encode(), whole


def _oci_layer(media_type: str) -> str:
    compression = compression_in(media_type)
    return OCI_LAYER + (f"+{compression}" if compression else "")


def _ordered(descriptor: Descriptor) -> dict[str, object]:
    plain = encode_descriptor(descriptor)
    return {key: plain[key] for key in ("mediaType", "size", "digest")}


def check_repository(table: NameTable, reference: Reference) -> None:
    """Raise SeawayError in Docker's words if no image here has a name in the repository."""
    if not any(_repository(name) == reference.name for name in (*table.tags, *table.digests)):
        raise not_found(f"An image does not exist locally with the tag: {reference.familiar_name}")


def tags_to_push(table: NameTable, reference: Reference) -> list[tuple[Reference, Digest]]:
    """The tags and their images; raises SeawayError in Docker's words if there is none."""
    if reference.digest is not None:
        raise bad_request("cannot push a digest reference")
    if reference.tag is not None:
        image = table.tags.get(reference.canonical)
        if image is None:
            raise not_found(f"tag does not exist: {reference.familiar}")
        return [(reference, image)]
    tags = sorted(name for name in table.tags if _repository(name) == reference.name)
    if not tags:
        raise not_found(f"no tags to push for {reference.familiar_name}")
    return [(_tagged(reference, name), table.tags[name]) for name in tags]


def _repository(name: str) -> str:
    return name.partition("@")[0] if "@" in name else name.rpartition(":")[0]


def _tagged(repository: Reference, name: str) -> Reference:
    return Reference(repository.domain, repository.path, name.rpartition(":")[2])


def token_scope(repository: Reference, mounted: Sequence[str] = ()) -> str:
    """What a token must allow: all of it on the repository, and reading where blobs are mounted from."""
    scopes = [f"repository:{repository.path}:pull,push", *(f"repository:{path}:pull" for path in sorted(mounted))]
    return " ".join(scopes)


def mount_limit(size: int) -> int:
    """How many repositories are tried for a layer of so many bytes: the smaller, the sooner it is sent."""
    return 4 if size > _MIDDLE else 3 if size > _SMALL else 1


def mounts_for(layer: PlannedLayer, target: Reference, known: Sequence[RemoteBlob]) -> list[RemoteBlob]:
    """The blobs of the same registry to try, the likeliest first: in repositories with a similar path, newest first."""
    usable = [one for one in known if fits(layer, one) and one.repository != target.name and _same_domain(one, target)]
    usable.sort(key=lambda one: -_alike(one.repository, target.name))  # a stable sort
    return usable[: mount_limit(layer.stored.diff_size)]


def checks_for(layer: PlannedLayer, target: Reference, known: Sequence[RemoteBlob]) -> list[tuple[Digest, int]]:
    """Digest and size of the blobs that may already be in the target repository, the likeliest first."""
    own = [] if layer.packed else [(layer.stored.digest, layer.stored.size)]
    there = [(one.digest, one.size) for one in known if one.repository == target.name and fits(layer, one)]
    return list(dict.fromkeys([*own, *there]))[:2]


def fits(layer: PlannedLayer, blob: RemoteBlob) -> bool:
    """Whether the remote blob can stand for the layer: any gzip for one that is yet to be compressed."""
    return blob.compression == "gzip" if layer.packed else blob.digest == layer.stored.digest


def path_of(blob: RemoteBlob) -> str:
    """The repository without its registry."""
    return blob.repository.partition("/")[2]


def _same_domain(blob: RemoteBlob, target: Reference) -> bool:
    return blob.repository.startswith(f"{target.domain}/")


def _alike(one: str, other: str) -> int:
    alike = 0
    for ours, theirs in zip(one.split("/"), other.split("/"), strict=False):
        if ours != theirs:
            break
        alike += 1
    return alike


def is_final(status: int, code: str) -> bool:
    """Whether a registry's refusal of an upload would only be repeated (moby distribution/errors.go, retryOnError)."""
    return code in _FINAL_CODES or status in _FINAL_STATUS


def uploaded_range(text: str) -> int | None:
    """How many bytes a registry has, by the `Range` of its answer (`0-99` is 100, `0-0` none); None if it is none."""
    first, dash, last = text.removeprefix("bytes=").strip().partition("-")
    if first != "0" or not dash or not last.isascii() or not last.isdigit() or len(last) > 18:
        return None
    return int(last) + 1 if int(last) else 0


def closing_line(tag: str, digest: Digest, size: int) -> str:
    """What is said of a tag that was pushed."""
    return f"{tag}: digest: {digest} size: {size}"


def retry_lines(wait_s: float) -> list[str]:
    """What is said while a retry waits, a line a second."""
    left = range(max(1, -int(-wait_s // 1)), 0, -1)
    return [f"Retrying in {seconds} second{'' if seconds == 1 else 's'}" for seconds in left]
