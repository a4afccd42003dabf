from seaway_docker.references import parse_reference
from seaway_image.oci.digests import Digest
from seaway_image.store.change_log import ChangeLog, Changes
from seaway_image.store.names import NameTable, StoredImage
from seaway_image.store.removal import remove_unused

A, B, M = (Digest("sha256:" + letter * 64) for letter in "ab9")


def image(identifier: Digest) -> StoredImage:
    return StoredImage(id=identifier, manifest=M, layers=())


def test_what_has_changed_since_a_version() -> None:
    log = ChangeLog("e")
    empty = NameTable()
    first = empty.with_image(image(A)).with_image(image(B))
    log.note(empty, first)
    version = log.version
    tagged = first.with_tag(parse_reference("x:1"), A)
    assert log.note(first, tagged) == {A}
    moved = tagged.with_tag(parse_reference("x:1"), B)
    assert log.note(tagged, moved) == {A, B}
    gone = remove_unused(moved, [A]).table
    log.note(moved, gone)
    assert log.since(version, gone) == Changes((B,), (A,))
    assert log.since(log.version, gone) == Changes((), ())
    assert log.note(gone, gone.with_news([])) == frozenset()


def test_what_is_not_known_any_more() -> None:
    log = ChangeLog("e", most=1)
    table = NameTable()
    versions = [log.version]
    for identifier in (A, B):
        after = table.with_image(image(identifier))
        log.note(table, after)
        table = after
        versions.append(log.version)
    assert log.since(versions[0], table) is None
    assert log.since(versions[1], table) == Changes((B,), ())
    for other in ("f.2", "e.9", "e.", "", "e.x", "e.-1"):
        assert log.since(other, table) is None
