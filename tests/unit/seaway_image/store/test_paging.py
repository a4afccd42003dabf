import pytest

from seaway_contracts.errors import SeawayError
from seaway_contracts.images import ImageConfig, ImageRecord
from seaway_image.store.paging import PAGE_BYTES, page


def record(number: int, weight: int = 10) -> ImageRecord:
    labels = {"x": "y" * weight}
    return ImageRecord(id=f"sha256:{number:064x}", created_ns=1000 - number // 2, config=ImageConfig(labels=labels))


@pytest.mark.parametrize(("count", "weight", "pages"), [(0, 1, 1), (5, 10, 1), (450, 10, 3), (5, PAGE_BYTES, 5)])
def test_pages_hold_each_image_once(count: int, weight: int, pages: int) -> None:
    records = [record(number, weight) for number in range(count)]
    found: list[ImageRecord] = []
    after, turns = "", 0
    while True:
        part = page(records, after)
        found += part.images
        turns += 1
        after = part.next
        if not after:
            break
    assert found == records
    assert turns == pages


def test_a_page_goes_on_where_its_last_image_has_gone() -> None:
    records = [record(number) for number in range(300)]
    first = page(records, "")
    rest = page([one for one in records if one != first.images[-1]], first.next)
    assert rest.images[0] == records[len(first.images)]


def test_a_wrong_cursor_is_refused() -> None:
    with pytest.raises(SeawayError, match="no cursor"):
        page([record(1)], "x/y")
