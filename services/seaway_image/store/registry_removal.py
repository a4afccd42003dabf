"""Deleting from the registry: a tag, a manifest, and what nothing leads to any longer. Pure.

An image outlives its names here as it does in `docker tag`: it is dangling then, and a user prunes it.
"""

from collections.abc import Iterable

from seaway_contracts.errors import not_found
from seaway_docker.references import Reference, parse_reference
from seaway_image.oci.digests import Digest
from seaway_image.store.image_changes import Cause, image_change
from seaway_image.store.names import NameTable, repository_of

Stray = tuple[str, Digest]
"""A repository and a manifest in it."""


def without_tag(table: NameTable, tag: Reference, by: Cause) -> NameTable:
    """Without this tag; the manifest stays. Raises SeawayError(NOT_FOUND)."""
    name = tag.canonical
    if name not in table.tags and name not in table.registry.tags:
        raise not_found(f"manifest {tag.familiar} is unknown: it is not here")
    return _untagged(table, [name], by)


def without_manifest(table: NameTable, repository: Reference, digest: Digest, by: Cause) -> NameTable:
    """Without this manifest in that repository, and without its names there. Raises SeawayError(NOT_FOUND)."""
    names = [name for name in table.tags if repository_of(name) == repository.name and _manifest(table, name) == digest]
    names += [
        name
        for name, manifest in table.registry.tags.items()
        if manifest == digest and repository_of(name) == repository.name and name not in table.tags
    ]
    by_digest = f"{repository.name}@{digest}"
    if not names and by_digest not in table.digests and not table.registry.has(repository.name, digest):
        raise not_found(f"manifest {repository.familiar_name}@{digest} is unknown: it is not here")
    table = _untagged(table, names, by)
    if by_digest in table.digests:
        table = _untagged(table, [by_digest], by)
    return table.with_registry(table.registry.without_manifests(repository.name, [digest]))


def _manifest(table: NameTable, name: str) -> Digest:
    """What `/v2/` gives for a tag of an image."""
    return table.registry.tags.get(name) or table.images[table.tags[name]].manifest


def _untagged(table: NameTable, names: Iterable[str], by: Cause) -> NameTable:
    references = [parse_reference(name) for name in names]
    news = []
    for reference in references:
        image = (table.digests if reference.digest else table.tags).get(reference.canonical)
        if image is not None:
            news.append(image_change("untag", image, reference.familiar, by, name=image))
    return table.without_names(references).with_news(news)


def strays(table: NameTable) -> frozenset[Stray]:
    """The manifests that no name leads to."""
    registry, roots = table.registry, table.roots()
    return frozenset(
        (repository, digest)
        for repository, there in registry.repositories.items()
        for digest in there - registry.reachable(repository, roots.get(repository, ()))
    )


def without_strays(table: NameTable, gone: Iterable[Stray]) -> NameTable:
    """Without those of these that are strays still."""
    found: dict[str, set[Digest]] = {}
    for repository, digest in strays(table) & frozenset(gone):
        found.setdefault(repository, set()).add(digest)
    return table.with_registry(table.registry.without(found)) if found else table
