import pytest

from seaway_api.translate.image_catalogue import CachedImage, ImageCatalogue, listed, prunable_images, with_image_name
from seaway_contracts.images import ImageRecord
from seaway_testing import builders


def catalogue(*images: ImageRecord) -> ImageCatalogue:
    return ImageCatalogue(map(CachedImage, images))


def named(number: int, **changes: object) -> ImageRecord:
    return builders.image(number, created_ns=number, **changes)


BASE = named(1, repo_tags=(), repo_digests=())
CHILD = named(2, parent=BASE.id)
GRANDCHILD = named(3, parent=CHILD.id, repo_tags=("c:1",), repo_digests=("c@" + builders.digest("m"),))
FAMILY = catalogue(BASE, CHILD, GRANDCHILD)


def test_a_family_is_all_that_was_made_of_an_image() -> None:
    assert FAMILY.family(CHILD.id) == {CHILD.id, GRANDCHILD.id}
    assert FAMILY.family(BASE.id) == {BASE.id, CHILD.id, GRANDCHILD.id}
    assert FAMILY.line_of_parents(GRANDCHILD) == [GRANDCHILD, CHILD, BASE]


def test_parents_that_go_round_in_a_circle_end() -> None:
    one, two = named(1, parent=builders.image(2).id), named(2, parent=builders.image(1).id)
    circle = catalogue(one, two)
    assert circle.family(one.id) == {one.id, two.id}
    assert len(circle.line_of_parents(one)) <= 3


def test_the_list_hides_what_is_only_a_parent() -> None:
    def shown(**asked: bool | None) -> list[str]:
        return [one.id for one in listed(FAMILY, **({"every": False, "dangling": None} | asked))]  # type: ignore[arg-type]

    assert shown() == [GRANDCHILD.id, CHILD.id]
    assert shown(every=True) == [GRANDCHILD.id, CHILD.id, BASE.id]
    assert shown(dangling=True) == []
    assert shown(dangling=False) == [GRANDCHILD.id, CHILD.id]


def test_an_unnamed_image_without_children_dangles() -> None:
    alone = catalogue(BASE)
    assert [one.id for one in prunable_images(alone, dangling_only=True)] == [BASE.id]
    assert prunable_images(FAMILY, dangling_only=True) == []
    assert [one.id for one in prunable_images(FAMILY, dangling_only=False)] == [GRANDCHILD.id, CHILD.id]


@pytest.mark.parametrize(
    ("ref", "image", "means"),
    [
        ("c:1", GRANDCHILD.id, True),
        ("docker.io/library/c:1", GRANDCHILD.id, True),
        ("c", GRANDCHILD.id, False),
        ("c:1", CHILD.id, False),
        ("c@" + builders.digest("m"), GRANDCHILD.id, True),
        (GRANDCHILD.id, GRANDCHILD.id, True),
        (GRANDCHILD.id[7:19], GRANDCHILD.id, True),
        (builders.digest("gone"), builders.digest("gone"), False),
        ("A B", GRANDCHILD.id, False),
    ],
)
def test_whether_a_name_still_leads_to_an_image(ref: str, image: str, means: bool) -> None:
    assert FAMILY.means(ref, image) is means
    line = {"Image": ref, "ImageID": image}
    assert with_image_name(line, FAMILY)["Image"] == (ref if means else image)
    assert with_image_name(line, None) == line


def test_layers_are_told_apart_by_what_is_below_them() -> None:
    one, two = (builders.layer(seed).model_copy(update={"diff_size": size}) for seed, size in ((1, 100), (2, 7)))
    both = catalogue(named(1, layers=(one, two)), named(2, layers=(two, one)), named(3, layers=(one,)))
    assert both.layers_size == 100 + 7 + 7 + 100
    assert both.shared[named(1).id] == 100
