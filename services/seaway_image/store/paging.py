"""The listing of images in pages that fit into one bus message. Pure."""

from collections.abc import Sequence
from typing import Final

from seaway_contracts.errors import bad_request
from seaway_contracts.images import ImageList, ImageRecord

PAGE_BYTES: Final = 256 << 10
_PAGE_IMAGES: Final = 200


def page(records: Sequence[ImageRecord], after: str) -> ImageList:
    """The records behind the cursor `after`, as many as fit; `records` are newest first."""
    rest = [record for record in records if not after or _key(record) > _parse(after)]
    chosen: list[ImageRecord] = []
    size = 0
    for record in rest[:_PAGE_IMAGES]:
        size += len(record.model_dump_json(exclude_defaults=True))
        if chosen and size > PAGE_BYTES:
            break
        chosen.append(record)
    more = len(chosen) < len(rest)
    return ImageList(images=tuple(chosen), next=_cursor(chosen[-1]) if more else "")


def _key(record: ImageRecord) -> tuple[int, str]:
    return -record.created_ns, record.id


def _cursor(record: ImageRecord) -> str:
    return f"{record.created_ns}/{record.id}"


def _parse(cursor: str) -> tuple[int, str]:
    created, _, identifier = cursor.partition("/")
    if not created.isdigit():
        raise bad_request(f"{cursor[:100]!r} is no cursor of an image list")
    return -int(created), identifier
