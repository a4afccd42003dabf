"""What `docker rmi` does: which names go, whether the image goes, and what stands in the way (API 1.45). Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from seaway_contracts.errors import SeawayError, conflict
from seaway_contracts.ids import short_id
from seaway_contracts.images import ImageInUse, RemovedImage
from seaway_docker.references import Reference
from seaway_image.oci.digests import Digest
from seaway_image.store.image_changes import Cause, ImageChange, image_change
from seaway_image.store.names import NameTable, is_id_of, read_reference, resolve
from seaway_image.store.table_edit import TableEdit


@dataclass(frozen=True)
class Removal:
    """The table afterwards and Docker's lines, in order.

    `events`: action, image and name of what is told; `reclaimed`: bytes of the layers that went.
    """

    table: NameTable
    items: tuple[RemovedImage, ...]
    events: tuple[tuple[str, Digest, str], ...]
    reclaimed: int = 0

    @property
    def deleted(self) -> bool:
        """Whether an image went, and not only names."""
        return any(action == "delete" for action, _, _ in self.events)

    def changes(self, by: Cause) -> list[ImageChange]:
        """What is told of it."""
        return [image_change(action, image, ref, by, name=image) for action, image, ref in self.events]


def remove(
    table: NameTable, text: str, *, force: bool, in_use: Sequence[ImageInUse] = (), prune: bool = True
) -> Removal:
    """Untag `text`; delete the image too if that was its last name, or if `text` is its id.

    `prune`: parents that have no name go with their last child. Raises SeawayError: NOT_FOUND, or CONFLICT with
    Docker's sentence.
    """
    image = resolve(table, text)
    work = _Removing(table, in_use, prune=prune)
    if is_id_of(image, text) and _tagged(table, text) is None:
        work.by_id(image, force=force)
    else:
        work.by_name(image, text, force=force)
    return work.done()


def remove_unused(table: NameTable, images: Iterable[Digest], in_use: Sequence[ImageInUse] = ()) -> Removal:
    """All names of these images, and the images. What stands in the way keeps an image, as in Docker's prune."""
    work = _Removing(table, in_use, prune=True)
    for image in images:
        work.all_of(image)
    return work.done()


def _tagged(table: NameTable, text: str) -> Digest | None:
    """A short id may also be a name: `cafe` is both."""
    if ":" in text or len(text) == 64:
        return None
    return table.tags.get(read_reference(text).with_default_tag().canonical)


class _Removing:
    """A table in the course of removals."""

    def __init__(self, table: NameTable, in_use: Sequence[ImageInUse], *, prune: bool) -> None:
        self._edit = TableEdit(table)
        self._prune = prune
        self._users: dict[str, list[ImageInUse]] = {}
        for use in in_use:
            self._users.setdefault(use.image_id, []).append(use)
        self._items: list[RemovedImage] = []
        self._events: list[tuple[str, Digest, str]] = []
        self._reclaimed = 0

    def done(self) -> Removal:
        """All of it."""
        return Removal(self._edit.table(), tuple(self._items), tuple(self._events), self._reclaimed)

    def by_name(self, image: Digest, text: str, *, force: bool) -> None:
        users = self._users.get(image, ())
        if not force and users and self._is_single(image):
            raise conflict(
                f'conflict: unable to remove repository reference "{text}" (must force) - container '
                f"{short_id(users[0].container_id)} is using its referenced image {short_id(image)}"
            )
        given = read_reference(text).with_default_tag()
        name = Reference(given.domain, given.path, None, given.digest) if given.digest else given
        self._untag(image, name)
        if name.digest is None:
            self._untag_orphans(image, name)
        if not self._edit.names(image) and self._in_the_way(image, force=force) is None:
            self._delete(image)

    def by_id(self, image: Digest, *, force: bool) -> None:
        if (refusal := self._in_the_way(image, force=force, single=self._is_single(image))) is not None:
            raise refusal
        self._delete(image)

    def all_of(self, image: Digest) -> None:
        """Each of its names, or the image where it has none; nothing is forced."""
        if not self._edit.has(image):  # it went as the parent of another one
            return
        names = self._edit.names(image)
        for name in names:
            if self._edit.has(image) and name in self._edit.names(image):
                self._quietly(image, name.familiar)
        if not names and self._in_the_way(image, force=False) is None:
            self._delete(image)

    def _quietly(self, image: Digest, text: str) -> None:
        """One that is used keeps its name."""
        if not (self._users.get(image) and self._is_single(image)):
            self.by_name(image, text, force=False)

    def _untag_orphans(self, image: Digest, gone: Reference) -> None:
        """The digests of a repository go with its last tag."""
        same = [name for name in self._edit.names(image) if name.name == gone.name]
        if all(name.digest is not None for name in same):
            for name in same:
                self._untag(image, name, quiet=True)

    def _untag(self, image: Digest, name: Reference, *, quiet: bool = False) -> None:
        self._edit.drop_name(image, name)
        self._items.append(RemovedImage(untagged=name.familiar))
        self._events += [] if quiet else [("untag", image, name.familiar)]

    def _is_single(self, image: Digest) -> bool:
        """At most one tag, and no digest of any other repository."""
        names = self._edit.names(image)
        return sum(name.digest is None for name in names) <= 1 and len({name.name for name in names}) <= 1

    def _in_the_way(self, image: Digest, *, force: bool, single: bool = True) -> SeawayError | None:
        """`single`: its names are no hindrance."""
        if self._edit.children(image):
            return _conflict(image, "cannot be forced", "image has dependent child images")
        users = self._users.get(image, ())
        if (running := next((use for use in users if use.running), None)) is not None:
            return _conflict(image, "cannot be forced", f"image is being used by running container {_short(running)}")
        if not force and not single and self._edit.names(image):
            return _conflict(image, "must be forced", "image is referenced in multiple repositories")
        if not force and users:
            return _conflict(image, "must be forced", f"image is being used by stopped container {_short(users[0])}")
        return None

    def _delete(self, image: Digest) -> None:
        """Without the image; its layers are told of unless other images, or stopped containers, keep them."""
        for name in self._edit.names(image):
            self._untag(image, name)
        parent, layers = self._edit.drop_image(image)
        self._items.append(RemovedImage(deleted=image))
        self._events.append(("delete", image, ""))
        if not self._users.get(image):
            self._items += [RemovedImage(deleted=chain) for chain in layers]
            self._reclaimed += sum(layers.values())
        if self._prune and parent and self._edit.has(parent) and not self._edit.names(parent):
            self._prune_parent(parent)

    def _prune_parent(self, parent: Digest) -> None:
        if self._in_the_way(parent, force=False) is None:
            self._delete(parent)


def _short(use: ImageInUse) -> str:
    return short_id(use.container_id)


def _conflict(image: Digest, remedy: str, why: str) -> SeawayError:
    return conflict(f"conflict: unable to delete {short_id(image)} ({remedy}) - {why}")
