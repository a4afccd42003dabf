from dataclasses import dataclass

import pytest

from seaway_contracts.errors import Code, SeawayError
from seaway_contracts.images import ImageInUse
from seaway_docker.references import parse_reference
from seaway_image.oci.digests import Digest
from seaway_image.store.names import NameTable, StoredImage, StoredLayer
from seaway_image.store.removal import Removal, remove, remove_unused

IMAGE = Digest("sha256:" + "a" * 64)
OTHER = Digest("sha256:" + "b" * 64)
M = Digest("sha256:" + "9" * 64)
BASE = Digest("sha256:" + "1" * 64)
TOP = Digest("sha256:" + "2" * 64)
CONTAINER = "c" * 64


def layer(diff: Digest) -> StoredLayer:
    return StoredLayer(digest=diff, size=1, media_type="x", diff_id=diff, diff_size=2)


def table(*tags: str, digests: tuple[str, ...] = ()) -> NameTable:
    made = NameTable().with_image(StoredImage(id=IMAGE, manifest=M, layers=(layer(BASE), layer(TOP))))
    for tag in tags:
        made = made.with_tag(parse_reference(tag), IMAGE, 1)
    for name in digests:
        made = made.with_digest(parse_reference(name), M, IMAGE)
    return made


def use(*, running: bool) -> list[ImageInUse]:
    return [ImageInUse(image_id=IMAGE, container_id=CONTAINER, running=running)]


def said(removal: Removal) -> list[str]:
    return [f"untagged {item.untagged}" if item.untagged else f"deleted {item.deleted[:9]}" for item in removal.items]


def test_one_of_several_tags_is_only_untagged() -> None:
    done = remove(table("a:1", "a:2", digests=("a",)), "a:1", force=False)
    assert said(done) == ["untagged a:1"]
    assert not done.deleted
    assert IMAGE in done.table.images


def test_the_last_tag_takes_digests_image_and_layers_with_it() -> None:
    done = remove(table("a:1", digests=("a",)), "a:1", force=False)
    assert said(done)[:3] == ["untagged a:1", f"untagged a@{M}", "deleted sha256:aa"]
    assert len(done.items) == 5
    assert done.items[-1].deleted == BASE
    assert done.table == NameTable()


def test_shared_layers_stay() -> None:
    both = table("a:1").with_image(StoredImage(id=OTHER, manifest=M, layers=(layer(BASE),)))
    done = remove(both, "a:1", force=False)
    assert next(item.deleted for item in done.items if item.deleted) == IMAGE
    assert BASE not in [item.deleted for item in done.items]


def test_a_digest_of_another_repository_keeps_the_image() -> None:
    done = remove(table("a:1", digests=("b",)), "a:1", force=False)
    assert said(done) == ["untagged a:1"]
    assert not done.deleted


def test_by_id_with_one_name() -> None:
    done = remove(table("a:1", digests=("a",)), "aaaa", force=False)
    assert said(done)[:3] == ["untagged a:1", f"untagged a@{M}", "deleted sha256:aa"]


@dataclass(frozen=True)
class Refused:
    tags: tuple[str, ...]
    text: str
    force: bool
    running: bool | None
    message: str


@pytest.mark.parametrize(
    "case",
    [
        Refused(("a:1", "b:1"), "aaaa", False, None,
                "conflict: unable to delete aaaaaaaaaaaa (must be forced) - image is referenced in multiple "
                "repositories"),
        Refused(("a:1", "a:2"), "aaaa", False, None, "referenced in multiple repositories"),
        Refused(("a:1",), "a:1", False, False,
                'conflict: unable to remove repository reference "a:1" (must force) - container cccccccccccc is using '
                "its referenced image aaaaaaaaaaaa"),
        Refused(("a:1",), "a:1", False, True, r"unable to remove repository reference"),
        Refused((), "aaaa", False, False,
                "conflict: unable to delete aaaaaaaaaaaa (must be forced) - image is being used by stopped container "
                "cccccccccccc"),
        Refused(("a:1",), "aaaa", True, True,
                "conflict: unable to delete aaaaaaaaaaaa (cannot be forced) - image is being used by running container "
                "cccccccccccc"),
    ],
)  # fmt: skip
def test_what_stands_in_the_way(case: Refused) -> None:
    users = [] if case.running is None else use(running=case.running)
    with pytest.raises(SeawayError) as refused:
        remove(table(*case.tags), case.text, force=case.force, in_use=users)
    assert refused.value.code is Code.CONFLICT
    assert case.message in refused.value.message


def test_force_by_id_takes_all_names() -> None:
    done = remove(table("a:1", "b:1"), IMAGE, force=True)
    assert said(done)[:3] == ["untagged a:1", "untagged b:1", "deleted sha256:aa"]


def test_force_by_name_leaves_a_running_container_its_image() -> None:
    done = remove(table("a:1"), "a:1", force=True, in_use=use(running=True))
    assert said(done) == ["untagged a:1"]
    assert IMAGE in done.table.images


def test_force_with_a_stopped_container_deletes_but_its_layers_stay() -> None:
    for text in ("a:1", "aaaa"):
        done = remove(table("a:1"), text, force=True, in_use=use(running=False))
        assert said(done) == ["untagged a:1", "deleted sha256:aa"]
        assert done.deleted and done.reclaimed == 0


def test_layers_that_nobody_keeps_are_reclaimed() -> None:
    assert remove(table("a:1"), "a:1", force=False).reclaimed == 4
    both = table("a:1").with_image(StoredImage(id=OTHER, manifest=M, layers=(layer(BASE),)))
    assert remove(both, "a:1", force=False).reclaimed == 2
    assert remove(table("a:1", "a:2"), "a:1", force=False).reclaimed == 0


def test_one_of_several_tags_goes_whoever_uses_the_image() -> None:
    assert said(remove(table("a:1", "b:1"), "a:1", force=False, in_use=use(running=True))) == ["untagged a:1"]


def test_users_of_other_images_do_not_count() -> None:
    other = [ImageInUse(image_id=OTHER, container_id=CONTAINER, running=True)]
    assert remove(table("a:1"), "a:1", force=False, in_use=other).deleted


def family(*named: str) -> NameTable:
    """IMAGE, and OTHER that was made of it."""
    made = NameTable().with_image(StoredImage(id=IMAGE, manifest=M, layers=(layer(BASE),)))
    made = made.with_image(StoredImage(id=OTHER, manifest=M, layers=(layer(BASE), layer(TOP)), parent=IMAGE))
    for name in named:
        made = made.with_tag(parse_reference(name), IMAGE if name.startswith("base") else OTHER, 1)
    return made


@pytest.mark.parametrize("force", [False, True])
def test_an_image_with_children_stays(force: bool) -> None:
    with pytest.raises(SeawayError) as refused:
        remove(family("child:1"), IMAGE, force=force)
    assert refused.value.message == (
        "conflict: unable to delete aaaaaaaaaaaa (cannot be forced) - image has dependent child images"
    )
    done = remove(family("base:1", "child:1"), "base:1", force=force)
    assert said(done) == ["untagged base:1"]
    assert IMAGE in done.table.images


def test_a_parent_without_a_name_goes_with_its_last_child() -> None:
    done = remove(family("child:1"), "child:1", force=False)
    assert said(done)[:2] == ["untagged child:1", "deleted sha256:bb"]
    assert [item.deleted for item in done.items[3:]] == [IMAGE, BASE]
    assert done.table == NameTable()
    assert done.reclaimed == 4
    assert [action for action, _, _ in done.events] == ["untag", "delete", "delete"]


def test_a_parent_that_is_named_or_used_or_not_to_be_pruned_stays() -> None:
    named = remove(family("child:1", "base:1"), "child:1", force=False)
    used = remove(family("child:1"), "child:1", force=False, in_use=use(running=False))
    kept = remove(family("child:1"), "child:1", force=False, prune=False)
    for done in (named, used, kept):
        assert list(done.table.images) == [IMAGE]


def test_many_go_in_one_change_but_those_that_are_needed() -> None:
    def keeps(in_use: list[ImageInUse]) -> Removal:
        return remove_unused(family("child:1", "child:2", "base:1"), [OTHER, IMAGE], in_use)

    assert keeps([]).table == NameTable()
    assert said(keeps([]))[:3] == ["untagged child:1", "untagged child:2", "deleted sha256:bb"]
    held = keeps([ImageInUse(image_id=OTHER, container_id=CONTAINER, running=False)])
    assert said(held) == ["untagged child:1", "untagged base:1"]
    assert {name.familiar for name in held.table.tags_of(OTHER)} == {"child:2"}


def test_one_that_went_with_its_child_is_not_looked_for() -> None:
    done = remove_unused(family("child:1"), [OTHER, IMAGE])
    assert done.table == NameTable()
    assert remove_unused(family("child:1"), [IMAGE]).items == ()
