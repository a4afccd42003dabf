"""What nothing leads to in the registry's part of the table, where there are many repositories."""

import hashlib

from seaway_docker.references import parse_reference
from seaway_image.oci.digests import Digest
from seaway_image.store.names import NameTable, StoredImage
from seaway_image.store.registry_removal import strays, without_strays
from seaway_image.store.registry_table import ManifestRecord, RegistryTable

_MANY = 5000


def digest(text: str) -> Digest:
    return Digest("sha256:" + hashlib.sha256(text.encode()).hexdigest())


def record(*children: Digest, subject: str = "") -> ManifestRecord:
    return ManifestRecord(media_type="x", size=1, children=children, subject=subject)


def test_what_a_tag_an_image_or_a_referrer_leads_to_is_no_stray() -> None:
    index, child, signature, image, lost = map(digest, ("index", "child", "signature", "image", "lost"))
    registry = RegistryTable(
        manifests={
            index: record(child),
            child: record(),
            signature: record(subject=child),
            image: record(),
            lost: record(),
        },
        repositories={"docker.io/u/app": frozenset((index, child, signature, image, lost))},
        tags={"docker.io/u/app:1": index},
    )
    table = NameTable(registry=registry).with_image(StoredImage(id=digest("id"), manifest=image, layers=()))
    table = table.with_tag(parse_reference("u/app:2"), digest("id"))
    assert strays(table) == {("docker.io/u/app", lost)}
    left = without_strays(table, strays(table)).registry
    assert left.repositories == {"docker.io/u/app": frozenset((index, child, signature, image))}
    assert lost not in left.manifests and left.tags == registry.tags


def test_many_repositories_are_looked_at_once() -> None:
    """Work that grows with their square would keep the service from answering for minutes."""
    kept, lost = [digest(f"kept {n}") for n in range(_MANY)], [digest(f"lost {n}") for n in range(_MANY)]
    registry = RegistryTable(
        manifests={one: record() for one in (*kept, *lost)},
        repositories={f"docker.io/u/r{n}": frozenset((kept[n], lost[n])) for n in range(_MANY)},
        tags={f"docker.io/u/r{n}:1": kept[n] for n in range(_MANY)},
    )
    table = NameTable(registry=registry)
    found = strays(table)
    assert found == {(f"docker.io/u/r{n}", lost[n]) for n in range(_MANY)}
    left = without_strays(table, found).registry
    assert left.manifests.keys() == set(kept) and left.tags == registry.tags


def test_a_tag_goes_with_its_manifest_in_its_own_repository_alone() -> None:
    one = digest("one")
    registry = RegistryTable(
        manifests={one: record()},
        repositories={"docker.io/u/a": frozenset((one,)), "localhost:5000/a": frozenset((one,))},
        tags={"docker.io/u/a:1": one, "localhost:5000/a:1": one},
    )
    left = registry.without_manifests("localhost:5000/a", [one])
    assert left.tags == {"docker.io/u/a:1": one} and left.repositories == {"docker.io/u/a": frozenset((one,))}
    assert left.manifests == registry.manifests
