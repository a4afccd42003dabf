"""The registry's part of the table of names: manifests, the repositories that have them, and tags. Pure.

A tag of an image is one in both halves of the table: as a user's name for the image, and here for the manifest that
was pushed with it, which may be an index or one of several manifests of the image. A name that is given or taken away
otherwise (pull, tag, rmi) goes from here, and then the image's own manifest stands for it.
"""

from collections.abc import Collection, Iterable, Mapping

from pydantic import BaseModel, ConfigDict, Field

from seaway_image.oci.digests import Digest


class ManifestRecord(BaseModel):
    """A manifest or index that was pushed: `size` in bytes; the blobs and manifests that it names; its subject."""

    model_config = ConfigDict(frozen=True)

    media_type: str
    size: int
    blobs: tuple[Digest, ...] = ()
    children: tuple[Digest, ...] = ()
    subject: str = ""
    artifact_type: str = ""


class RegistryTable(BaseModel):
    """A value, as the table that it is part of.

    `repositories`: by canonical name (`docker.io/library/app`), the manifests there; `tags` by canonical reference.
    """

    model_config = ConfigDict(frozen=True)

    manifests: dict[Digest, ManifestRecord] = Field(default_factory=dict)
    repositories: dict[str, frozenset[Digest]] = Field(default_factory=dict)
    tags: dict[str, Digest] = Field(default_factory=dict)

    def blobs(self) -> frozenset[Digest]:
        """All blobs that any manifest needs, the manifests themselves among them."""
        return frozenset(self.manifests).union(*(record.blobs for record in self.manifests.values()))

    def has(self, repository: str, manifest: Digest) -> bool:
        """Whether the manifest is in this repository."""
        return manifest in self.repositories.get(repository, ())

    def tags_in(self, repository: str) -> dict[str, Digest]:
        """The tags of one repository, without its name."""
        head = f"{repository}:"
        return {name.removeprefix(head): digest for name, digest in self.tags.items() if name.startswith(head)}

    def reachable(self, repository: str, roots: Iterable[Digest]) -> frozenset[Digest]:
        """The manifests of a repository that these `roots` lead to: through indexes, and back from a subject to its
        referrers.
        """
        there = self.repositories.get(repository, frozenset())
        referrers = self._referrers(there)
        found: set[Digest] = set()
        left = [*roots]
        while left:
            digest = left.pop()
            if digest not in found and digest in there:
                found.add(digest)
                left += [*self.manifests[digest].children, *referrers.get(digest, ())]
        return frozenset(found)

    def related(self, repository: str, start: Iterable[Digest]) -> frozenset[Digest]:
        """The manifests of a repository that hang together with those, in either direction."""
        there = self.repositories.get(repository, frozenset())
        near: dict[Digest, set[Digest]] = {digest: set() for digest in there}
        for digest in there:
            record = self.manifests[digest]
            for other in (*record.children, Digest(record.subject)):
                if other in near:
                    near[digest].add(other)
                    near[other].add(digest)
        found: set[Digest] = set()
        left = [digest for digest in start if digest in there]
        while left:
            digest = left.pop()
            if digest not in found:
                found.add(digest)
                left += near[digest]
        return frozenset(found)

    def referrers(self, repository: str, subject: str) -> list[Digest]:
        """The manifests of a repository that name this subject, in order of their digests."""
        there = self.repositories.get(repository, frozenset())
        return sorted(digest for digest in there if self.manifests[digest].subject == subject)

    def _referrers(self, there: Iterable[Digest]) -> dict[str, list[Digest]]:
        found: dict[str, list[Digest]] = {}
        for digest in there:
            if subject := self.manifests[digest].subject:
                found.setdefault(subject, []).append(digest)
        return found

    def with_manifest(self, repository: str, digest: Digest, record: ManifestRecord) -> "RegistryTable":
        """With this manifest in that repository."""
        there = self.repositories.get(repository, frozenset())
        return self.model_copy(
            update={
                "manifests": self.manifests | {digest: record},
                "repositories": self.repositories | {repository: there | {digest}},
            }
        )

    def with_tag(self, name: str, digest: Digest) -> "RegistryTable":
        """With the tag `name`, a canonical reference, on this manifest."""
        return self.model_copy(update={"tags": self.tags | {name: digest}})

    def without_tags(self, names: Iterable[str]) -> "RegistryTable":
        """Without these tags; the manifests stay."""
        gone = self.tags.keys() & set(names)
        if not gone:
            return self
        return self.model_copy(update={"tags": {name: kept for name, kept in self.tags.items() if name not in gone}})

    def without_manifests(self, repository: str, gone: Iterable[Digest]) -> "RegistryTable":
        """Without these manifests in one repository, and without its tags for them."""
        return self.without({repository: frozenset(gone)})

    def without(self, gone: Mapping[str, Collection[Digest]]) -> "RegistryTable":
        """The same for many repositories, as fast as for one."""
        repositories = {
            name: left for name, there in self.repositories.items() if (left := there.difference(gone.get(name, ())))
        }
        held = frozenset().union(*repositories.values())
        tags = [name for name, digest in self.tags.items() if digest in gone.get(name.rpartition(":")[0], ())]
        return self.without_tags(tags).model_copy(
            update={
                "manifests": {one: record for one, record in self.manifests.items() if one in held},
                "repositories": repositories,
            }
        )
