"""Pages of records, for inventories."""

from collections.abc import Mapping
from typing import Final, TypeVar

from seaway_contracts.base import Payload

T = TypeVar("T", bound=Payload)
_MOST: Final = 200  # in a page, so that its encoding doesn't block the event loop for long
_ENTRY: Final = 80  # an id that is told again, as that of a network in use
FRAME: Final = 64 << 10
"""What a message needs beside its records. Bytes."""


def page(stored: Mapping[str, T], after: str, room: int) -> tuple[tuple[T, ...], str]:
    """The records by id after that id, one at least, that have at most `room` bytes together; and where to go on."""
    ids = sorted(identifier for identifier in stored if identifier > after)
    shown: list[T] = []
    for identifier in ids[:_MOST]:
        room -= len(stored[identifier].model_dump_json(exclude_defaults=True)) + _ENTRY
        if shown and room < 0:
            break
        shown.append(stored[identifier])
    return tuple(shown), ids[len(shown) - 1] if len(shown) < len(ids) else ""
