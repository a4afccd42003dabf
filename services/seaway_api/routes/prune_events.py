"""Has the event of a prune told, once its work is done."""

import logging

from seaway_api.routes.call import Call
from seaway_contracts.catalogue import TELL_PRUNE
from seaway_contracts.commands import Pruned, PrunedKind
from seaway_contracts.errors import SeawayError

log = logging.getLogger(__name__)


async def tell(call: Call, kind: PrunedKind, reclaimed: int) -> None:
    """Have it told. What was removed stays removed where that fails."""
    try:
        await call.api.bus.call(TELL_PRUNE, Pruned(kind=kind, reclaimed=reclaimed), command=call.command())
    except SeawayError as error:
        log.warning("no event tells that %ss were pruned: %s", kind, error)
