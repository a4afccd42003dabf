"""Registrations that are taken back: now, or as soon as the bus is there."""

import asyncio
import logging
from typing import Final

from seaway_api.api import Api
from seaway_contracts import catalogue as cat
from seaway_contracts.commands import ForgetContainer
from seaway_contracts.errors import SeawayError

log = logging.getLogger(__name__)
_PAUSE_S: Final = 0.5
_TRIES: Final = 600


async def forget(api: Api, request: ForgetContainer) -> None:
    """Take a registration back; where that can't be done just now, it goes on in the background."""
    if not await _tried(api, request):
        api.tasks.spawn(f"forget-{request.id[:12]}", forget_later(api, request))


async def forget_later(api: Api, request: ForgetContainer) -> None:
    """Try until it is done. After too long metadata does it, without knowing what is known here."""
    for _ in range(_TRIES):
        if await _tried(api, request):
            return
        await asyncio.sleep(_PAUSE_S)
    log.error("the record of container %s could not be taken back: the bus was away for too long", request.id)


async def _tried(api: Api, request: ForgetContainer) -> bool:
    try:
        await api.bus.call(cat.FORGET, request)
    except SeawayError as error:
        if error.retryable:
            return False
        log.error("container %s was not made, but its record could not be taken back: %s", request.id, error)
    return True
