"""The table of images and their names, and how a name finds an image, as Docker does it. Pure.

Tags and digests are kept in canonical form (`docker.io/library/busybox:latest`); users see the familiar one.
"""

from collections import deque
from collections.abc import Collection, Iterable
from functools import lru_cache
from typing import Final

import orjson
from pydantic import BaseModel, ConfigDict, Field

from seaway_contracts.docker_errors import no_such_image
from seaway_contracts.errors import SeawayError, bad_request, written_later
from seaway_contracts.images import RemovedImage
from seaway_contracts.stored_forms import Form
from seaway_docker.references import (
    InvalidReference,
    Reference,
    is_full_image_id,
    parse_image_id,
    parse_reference,
)
from seaway_image.oci.digests import Digest
from seaway_image.store.image_changes import ImageChange
from seaway_image.store.registry_table import RegistryTable

FORM: Final = Form()
"""Of `names.json`."""
_REMEMBERED_NS: Final = 60 * 10**9
_MOST_REMEMBERED: Final = 512


class StoredLayer(BaseModel):
    """A layer of an image: the blob (`digest`, `size`) and the tar in it (`diff_id`; `diff_size` of its files)."""

    model_config = ConfigDict(frozen=True)

    digest: Digest
    size: int
    media_type: str
    diff_id: Digest
    diff_size: int


class StoredImage(BaseModel):
    """An image in the store. `id` is its config's digest; `last_tag_ns` in Unix nanoseconds, 0 if never tagged.

    `parent`: the image that this one was made of, here or in the engine that saved both. It may be gone.
    """

    model_config = ConfigDict(frozen=True)

    id: Digest
    manifest: Digest
    layers: tuple[StoredLayer, ...]
    last_tag_ns: int = 0
    parent: Digest | None = None

    @property
    def size(self) -> int:
        """Bytes of all layers, unpacked, as Docker counts an image."""
        return sum(layer.diff_size for layer in self.layers)

    @property
    def blobs(self) -> frozenset[Digest]:
        """All blobs that this image needs."""
        return frozenset({self.id, self.manifest, *(layer.digest for layer in self.layers)})


class Outcome(BaseModel):
    """What a command did, at `time_ns` (Unix), for whoever asks with the same id again: an answer may be lost."""

    model_config = ConfigDict(frozen=True)

    command: str
    time_ns: int
    items: tuple[RemovedImage, ...] = ()
    reclaimed: int = 0


class NameTable(BaseModel):
    """All images and names: a value; each change makes a new table.

    `news` is what the last change tells, `outcomes` those of the last minute's commands.
    """

    model_config = ConfigDict(frozen=True)

    version: int = Field(default_factory=lambda: FORM.version)
    images: dict[Digest, StoredImage] = Field(default_factory=dict)
    tags: dict[str, Digest] = Field(default_factory=dict)
    digests: dict[str, Digest] = Field(default_factory=dict)
    registry: RegistryTable = Field(default_factory=RegistryTable)
    news: tuple[ImageChange, ...] = ()
    outcomes: tuple[Outcome, ...] = ()

    def tags_of(self, image: Digest) -> tuple[Reference, ...]:
        """The tags of an image, in order of their text."""
        return _names_by_image(self.tags).get(image, ())

    def digests_of(self, image: Digest) -> tuple[Reference, ...]:
        """The `repository@digest` names of an image, in order of their text."""
        return _names_by_image(self.digests).get(image, ())

    def blobs(self) -> frozenset[Digest]:
        """All blobs that any image needs, indexes known by digest among them."""
        indexes = {Digest(name.rpartition("@")[2]) for name in self.digests}
        return frozenset(indexes.union(self.registry.blobs(), *(image.blobs for image in self.images.values())))

    def with_news(self, news: Iterable[ImageChange]) -> "NameTable":
        """With what is to be told of this change."""
        added = tuple(news)
        return self.model_copy(update={"news": self.news + added}) if added else self

    def without_news(self) -> "NameTable":
        """As the next change begins with it."""
        return self.model_copy(update={"news": ()}) if self.news else self

    def outcome_of(self, command: str) -> Outcome | None:
        """What this command did, if it was carried out lately."""
        return next((one for one in self.outcomes if one.command == command), None)

    def with_outcome(self, outcome: Outcome) -> "NameTable":
        """With what a command did; a command without an id is none's repeat."""
        lately = [one for one in self.outcomes if abs(outcome.time_ns - one.time_ns) < _REMEMBERED_NS]
        added = [outcome] if outcome.command else []
        return self.model_copy(update={"outcomes": (*lately, *added)[-_MOST_REMEMBERED:]})

    def with_image(self, image: StoredImage) -> "NameTable":
        """With this image; one that is there already keeps its blobs and its last tag time."""
        if image.id in self.images:
            return self
        return self.model_copy(update={"images": self.images | {image.id: image}})

    def family_of(self, image: Digest) -> frozenset[Digest]:
        """The image and all that were made of it, or of those."""
        found = {image}
        while more := {one.id for one in self.images.values() if one.parent in found} - found:
            found |= more
        return frozenset(found)

    def with_tag(self, target: Reference, image: Digest, now_ns: int | None = None) -> "NameTable":
        """With the tag `target` on this image, taken from whichever image had it.

        `now_ns` if a user gives it; a pull or load leaves the time of the last tag, as in Docker.
        """
        name = target.canonical
        table = self.with_registry(self.registry.without_tags([name]))
        table = table.model_copy(update={"tags": self.tags | {name: image}})
        if now_ns is None:
            return table
        tagged = self.images[image].model_copy(update={"last_tag_ns": now_ns})
        return table.model_copy(update={"images": self.images | {image: tagged}})

    def with_digest(self, repository: Reference, digest: Digest, image: Digest) -> "NameTable":
        """With the name `repository@digest` on this image."""
        return self.model_copy(update={"digests": self.digests | {f"{repository.name}@{digest}": image}})

    def without_names(self, names: Iterable[Reference]) -> "NameTable":
        """Without these tags and digests; the images stay."""
        gone = {name.canonical for name in names}
        return self.model_copy(
            update={
                "tags": {name: image for name, image in self.tags.items() if name not in gone},
                "digests": {name: image for name, image in self.digests.items() if name not in gone},
                "registry": self.registry.without_tags(gone),
            }
        )

    def with_registry(self, registry: RegistryTable) -> "NameTable":
        """With the registry's part replaced."""
        return self if registry is self.registry else self.model_copy(update={"registry": registry})

    def without_pushes_of(self, images: Collection[Digest]) -> "NameTable":
        """Without what was pushed of images that are gone, unless another name leads there."""
        gone = frozenset(images)
        if not gone or not self.registry.repositories:
            return self
        registry, roots = self.registry, self.roots()
        for repository, there in self.registry.repositories.items():
            own = [digest for digest in there if not gone.isdisjoint(registry.manifests[digest].blobs)]
            if own:
                kept = registry.reachable(repository, roots.get(repository, ()))
                registry = registry.without_manifests(repository, registry.related(repository, own) - kept)
        return self.with_registry(registry)

    def roots(self) -> dict[str, set[Digest]]:
        """The manifests that have a name, in the registry or as an image here, by repository."""
        found: dict[str, set[Digest]] = {}
        named = [
            *self.registry.tags.items(),
            *((name, self.images[image].manifest) for name, image in self.tags.items()),
            *((name, Digest(name.rpartition("@")[2])) for name in self.digests),
        ]
        for name, manifest in named:
            found.setdefault(repository_of(name), set()).add(manifest)
        return found


_GROUPED: Final[deque[tuple[dict[str, Digest], dict[Digest, tuple[Reference, ...]]]]] = deque(maxlen=8)
"""Names of tables by image: a table that has many is asked for each image in turn."""


def _names_by_image(names: dict[str, Digest]) -> dict[Digest, tuple[Reference, ...]]:
    """A table's dictionaries never change: the same one has the same names."""
    for known, found in _GROUPED:
        if known is names:
            return found
    grouped: dict[Digest, list[Reference]] = {}
    for name, holder in sorted(names.items()):
        grouped.setdefault(holder, []).append(_canonical(name))
    made = {image: tuple(held) for image, held in grouped.items()}
    _GROUPED.append((names, made))
    return made


@lru_cache(maxsize=1 << 14)
def _canonical(name: str) -> Reference:
    return parse_reference(name)


def read_table(data: bytes, what: object) -> NameTable:
    """The table as it was stored, by this release or one before. Raises SeawayError for a later one's; ValueError."""
    document = orjson.loads(data)
    version = document.get("version", 1) if isinstance(document, dict) else 1
    if not isinstance(version, int):
        raise ValueError(f"version {version!r}")
    if version > FORM.version:
        raise written_later(f"image table {what}", version, FORM.version)
    if version < FORM.version:
        document = FORM.upgraded("names", document, version) | {"version": FORM.version}
    return NameTable.model_validate_json(orjson.dumps(document))


def repository_of(name: str) -> str:
    """The repository in a canonical reference."""
    head = name.partition("@")[0]
    place = head.rfind(":")
    return head[:place] if place > head.rfind("/") else head


def read_reference(text: str) -> Reference:
    """A reference from a user; raises SeawayError(BAD_REQUEST) with Docker's sentence."""
    try:
        return parse_reference(text)
    except InvalidReference as error:
        raise bad_request(str(error)) from None


def read_target(text: str) -> Reference:
    """A name that a tag may get, `latest` where it says none; raises SeawayError(BAD_REQUEST)."""
    target = read_reference(text).with_default_tag()
    if target.digest is not None:
        raise bad_request("refusing to create a tag with a digest reference")
    if target.familiar_name == "sha256":
        raise bad_request("refusing to create an ambiguous tag using digest algorithm as name")
    return target


def resolve(table: NameTable, text: str) -> Digest:
    """The image that `text` means: a name first, then an id or the beginning of one, as in Docker.

    Raises SeawayError: NOT_FOUND (`No such image: x:latest`), BAD_REQUEST for an ambiguous or malformed name.
    """
    named = _by_name(table, text)
    if named is not None:
        return named
    digits = parse_image_id(text)
    found = [] if digits is None else [image for image in table.images if image.startswith(f"sha256:{digits}")]
    if len(found) > 1:
        raise bad_request(f"multiple IDs found with provided prefix: {text}")
    if not found:
        raise _missing(text)
    return found[0]


def _by_name(table: NameTable, text: str) -> Digest | None:
    if is_full_image_id(text):
        return None
    reference = read_reference(text)
    if reference.digest is not None:
        return table.digests.get(f"{reference.name}@{reference.digest}")
    return table.tags.get(reference.with_default_tag().canonical)


def _missing(text: str) -> SeawayError:
    if is_full_image_id(text):
        return no_such_image(f"sha256:{text.removeprefix('sha256:')}")
    return no_such_image(read_reference(text).with_default_tag().familiar)


def is_id_of(image: Digest, text: str) -> bool:
    """Whether `text`, which was resolved to `image`, is its id or the beginning of it."""
    digits = parse_image_id(text)
    return digits is not None and image.startswith(f"sha256:{digits}")
