"""What `docker rmi` does: which names go, whether the image goes, and what stands in the way (API 1.45). Pure."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from seaway_contracts.errors import SeawayError, conflict
from seaway_contracts.ids import short_id
from seaway_contracts.images import ImageInUse, RemovedImage
from seaway_docker.references import Reference
from seaway_image.oci.digests import Digest
from seaway_image.store.image_changes import Cause, ImageChange, image_change
from seaway_image.store.names import NameTable, StoredImage, is_id_of, read_reference, resolve


@dataclass(frozen=True)
class Removal:
    """The table afterwards and Docker's lines, in order.

    `untagged`: the names whose end is an event; `deleted`: the image went, too; `reclaimed`: bytes of its layers.
    """

    table: NameTable
    image: Digest
    items: tuple[RemovedImage, ...]
    untagged: tuple[str, ...]
    deleted: bool
    reclaimed: int = 0

    def changes(self, by: Cause) -> list[ImageChange]:
        """What is told of it."""
        gone = [image_change("delete", self.image, by=by)] if self.deleted else []
        return [*(image_change("untag", self.image, name, by, name=self.image) for name in self.untagged), *gone]


Level = Literal["names", "containers", "running"]


def remove(table: NameTable, text: str, *, force: bool, in_use: Sequence[ImageInUse] = ()) -> Removal:
    """Untag `text`; delete the image too if that was its last name, or if `text` is its id.

    Raises SeawayError: NOT_FOUND, or CONFLICT with Docker's sentence.
    """
    image = resolve(table, text)
    users = [use for use in in_use if use.image_id == image]
    if is_id_of(image, text) and _tagged(table, text) is None:
        return _remove_by_id(table, image, force, users)
    return _remove_by_name(table, image, text, force, users)


def _tagged(table: NameTable, text: str) -> Digest | None:
    """A short id may also be a name: `cafe` is both."""
    if ":" in text or len(text) == 64:
        return None
    return table.tags.get(read_reference(text).with_default_tag().canonical)


def _remove_by_name(table: NameTable, image: Digest, text: str, force: bool, users: Sequence[ImageInUse]) -> Removal:
    if not force and users and _is_single(table, image):
        raise conflict(
            f'conflict: unable to remove repository reference "{text}" (must force) - container '
            f"{short_id(users[0].container_id)} is using its referenced image {short_id(image)}"
        )
    given = read_reference(text).with_default_tag()
    name = Reference(given.domain, given.path, None, given.digest) if given.digest else given
    gone = [name]
    remaining = table.without_names(gone)
    if name.digest is None and not any(tag.name == name.name for tag in remaining.tags_of(image)):
        orphans = [one for one in remaining.digests_of(image) if one.name == name.name]
        gone += orphans
        remaining = remaining.without_names(orphans)
    kept = Removal(remaining, image, _untagged(gone), (name.familiar,), deleted=False)
    if remaining.tags_of(image) or remaining.digests_of(image):
        return kept
    if _in_the_way(remaining, image, users, "running" if force else "containers") is not None:
        return kept
    return replace(_delete(remaining, image, gone, users), untagged=kept.untagged)


def _remove_by_id(table: NameTable, image: Digest, force: bool, users: Sequence[ImageInUse]) -> Removal:
    level: Level = "running" if force else "containers" if _is_single(table, image) else "names"
    refusal = _in_the_way(table, image, users, level)
    if refusal is not None:
        raise refusal
    return _delete(table, image, [*table.tags_of(image), *table.digests_of(image)], users)


def _is_single(table: NameTable, image: Digest) -> bool:
    """At most one tag, and no digest of any other repository."""
    tags, digests = table.tags_of(image), table.digests_of(image)
    if len(tags) > 1:
        return False
    return len({one.name for one in (*tags, *digests)}) <= 1


def _in_the_way(table: NameTable, image: Digest, users: Sequence[ImageInUse], level: Level) -> SeawayError | None:
    running = next((use for use in users if use.running), None)
    if running is not None:
        return _conflict(image, "cannot be forced", f"image is being used by running container {_short(running)}")
    if level == "names" and (table.tags_of(image) or table.digests_of(image)):
        return _conflict(image, "must be forced", "image is referenced in multiple repositories")
    if level != "running" and users:
        return _conflict(image, "must be forced", f"image is being used by stopped container {_short(users[0])}")
    return None


def _short(use: ImageInUse) -> str:
    return short_id(use.container_id)


def _conflict(image: Digest, remedy: str, why: str) -> SeawayError:
    return conflict(f"conflict: unable to delete {short_id(image)} ({remedy}) - {why}")


def _untagged(names: Sequence[Reference]) -> tuple[RemovedImage, ...]:
    return tuple(RemovedImage(untagged=name.familiar) for name in names)


def _delete(table: NameTable, image: Digest, names: Sequence[Reference], users: Sequence[ImageInUse]) -> Removal:
    """Without the image; its layers are told of unless other images, or stopped containers, keep them."""
    remaining = table.without_image(image)
    layers = {} if users else _own_layers(remaining, table.images[image])
    items = (*_untagged(names), RemovedImage(deleted=image), *(RemovedImage(deleted=chain) for chain in layers))
    untagged = tuple(name.familiar for name in names)
    return Removal(remaining, image, items, untagged, deleted=True, reclaimed=sum(layers.values()))


def _own_layers(others: NameTable, image: StoredImage) -> dict[Digest, int]:
    """ChainIDs and sizes of the layers that no other image has, from the top down."""
    kept = {chain for other in others.images.values() for chain in chain_ids(other)}
    sized = zip(chain_ids(image), image.layers, strict=True)
    return {chain: layer.diff_size for chain, layer in reversed(list(sized)) if chain not in kept}


def chain_ids(image: StoredImage) -> list[Digest]:
    """The ChainIDs of an image's layers, from the base up (OCI image spec, config.md)."""
    chains: list[Digest] = []
    for layer in image.layers:
        joined = f"{chains[-1]} {layer.diff_id}" if chains else ""
        chains.append(Digest("sha256:" + hashlib.sha256(joined.encode()).hexdigest()) if joined else layer.diff_id)
    return chains
