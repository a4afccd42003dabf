"""The event of a prune, whose work has been done by nodes or by the image service."""

import logging
from typing import Literal

from seaway_api.call import Call
from seaway_contracts.catalogue import TELL_PRUNE
from seaway_contracts.commands import Pruned
from seaway_contracts.errors import SeawayError

log = logging.getLogger(__name__)


async def tell(call: Call, kind: Literal["container", "image", "network", "builder"], reclaimed: int) -> None:
    """Have it told. What was removed stays removed where that fails."""
    try:
        await call.api.bus.call(TELL_PRUNE, Pruned(kind=kind, reclaimed=reclaimed), command=call.command())
    except SeawayError as error:
        log.warning("no event tells that %ss were pruned: %s", kind, error)
