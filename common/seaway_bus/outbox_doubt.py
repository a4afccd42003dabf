"""What the stream may have stored without having said so."""

import time
from collections.abc import Sequence
from typing import Final

from seaway_bus.outbox_table import Letter
from seaway_bus.transport import Transport
from seaway_contracts.catalogue import EVENT_STREAM
from seaway_contracts.lifecycle import MSG_ID

_REMEMBERED_NS: Final = EVENT_STREAM.duplicate_window_s * 1_000_000_000 // 2


async def stored_first(transport: Transport, letters: Sequence[Letter | None]) -> int | None:
    """How many of these events of one key, in their order, the stream has already. None stands for one that is lost.

    None while it drops a repeat of them by its id, so that nobody need know. Raises TransportError.
    """
    there = [letter for letter in letters if letter is not None]
    if not there or not _forgotten(there[0]):
        return None
    last = {subject: await _last_id(transport, subject) for subject in {letter.subject for letter in there}}
    have = [place for place, letter in enumerate(letters) if letter is not None and last[letter.subject] == letter.id]
    return have[-1] + 1 if have else 0


def _forgotten(letter: Letter) -> bool:
    """Whether the stream may have forgotten the id."""
    return time.time_ns() - letter.time_ns > _REMEMBERED_NS


async def _last_id(transport: Transport, subject: str) -> str:
    last = await transport.last(EVENT_STREAM.name, subject)
    return "" if last is None else last.headers.get(MSG_ID, "")
