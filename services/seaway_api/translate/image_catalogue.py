"""All images as the image service last listed them: their lines, names, families, and what they take up. Pure."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any

import orjson

from seaway_api.translate.images import image_facts, image_line, layer_uses, shared_sizes
from seaway_api.translate.version import ApiVersion
from seaway_contracts.images import ImageRecord
from seaway_docker.object_filters import ImageFacts
from seaway_docker.references import InvalidReference, parse_image_id, parse_reference


class CachedImage:
    """An image with what is made of it once."""

    def __init__(self, record: ImageRecord) -> None:
        self.record = record
        self.id = record.id
        self._lines: dict[tuple[bool, bool, int], bytes] = {}

    @cached_property
    def facts(self) -> ImageFacts:
        """What filters compare."""
        return image_facts(self.record)

    def line_json(self, version: ApiVersion, containers: int = -1) -> bytes:
        """Its line in `GET /images/json`, with all its names. `containers`: how many it has; -1: not counted."""
        if containers > 0:
            return orjson.dumps(image_line(self.record, version, containers=containers))
        form = (version < (1, 43), version < (1, 44), containers)
        if form not in self._lines:
            self._lines[form] = orjson.dumps(image_line(self.record, version, containers=containers))
        return self._lines[form]


class ImageCatalogue:
    """All images, newest first."""

    def __init__(self, images: Iterable[CachedImage]) -> None:
        self.images: Sequence[CachedImage] = sorted(images, key=lambda one: (-one.record.created_ns, one.id))

    @cached_property
    def by_id(self) -> Mapping[str, CachedImage]:
        """The images by their whole id."""
        return {one.id: one for one in self.images}

    @cached_property
    def children(self) -> Mapping[str, int]:
        """How many images were made of each."""
        return Counter(one.record.parent for one in self.images if one.record.parent)

    @cached_property
    def shared(self) -> Mapping[str, int]:
        """The bytes that each has in common with another one."""
        return shared_sizes([one.record for one in self.images])

    @cached_property
    def layers_size(self) -> int:
        """The bytes of all layers, each counted once."""
        return sum(size for size, _ in layer_uses([one.record for one in self.images]).values())

    @cached_property
    def _names(self) -> Mapping[str, str]:
        return {name: one.id for one in self.images for name in (*one.record.repo_tags, *one.record.repo_digests)}

    def means(self, ref: str, image: str) -> bool:
        """Whether a name, an id or the beginning of one still leads to this image."""
        try:
            reference = parse_reference(ref).with_default_tag()
        except InvalidReference:
            named = None
        else:
            by_digest = f"{reference.familiar_name}@{reference.digest}"
            named = self._names.get(by_digest if reference.digest else reference.familiar)
        if named is not None:
            return named == image
        digits = parse_image_id(ref)
        return digits is not None and image in self.by_id and image.startswith(f"sha256:{digits}")

    def line_of_parents(self, image: ImageRecord) -> list[ImageRecord]:
        """The image, the one that it was made of, and so on, as far as they are there."""
        line = [image]
        while (parent := self.by_id.get(line[-1].parent)) is not None and len(line) <= len(self.images):
            line.append(parent.record)
        return line

    def family(self, image: str) -> frozenset[str]:
        """The ids of the image and of all that were made of it, or of those."""
        found = {image}
        while more := {one.id for one in self.images if one.record.parent in found} - found:
            found |= more
        return frozenset(found)


def with_image_name(line: dict[str, Any], images: ImageCatalogue | None) -> dict[str, Any]:
    """The line with the image's id where what the user called it means another image by now, or none."""
    if images is None or line["Image"] == line["ImageID"] or images.means(line["Image"], line["ImageID"]):
        return line
    return line | {"Image": line["ImageID"]}


def listed(catalogue: ImageCatalogue, *, every: bool, dangling: bool | None) -> list[CachedImage]:
    """Those that `GET /images/json` shows: without `every`, none that is only what another one was made of.

    `dangling`: only those without a tag, of which none was made; or, if False, only those with a name.
    """
    if dangling:
        return [one for one in catalogue.images if not one.record.repo_tags and not catalogue.children[one.id]]
    return [
        one
        for one in catalogue.images
        if one.facts.references or (dangling is None and (every or not catalogue.children[one.id]))
    ]


def prunable_images(catalogue: ImageCatalogue, *, dangling_only: bool) -> list[CachedImage]:
    """Those that a prune may take, if nothing uses them."""
    return listed(catalogue, every=False, dangling=True if dangling_only else None)
