"""Registrations of containers with metadata: name and record are reserved, and given back when nothing comes of it."""

import asyncio
import logging
from collections.abc import Sequence
from typing import Final

from seaway_bus.bus import Bus, Command
from seaway_contracts import catalogue as cat
from seaway_contracts.containers import ContainerSpec
from seaway_contracts.errors import Code, SeawayError
from seaway_contracts.ids import short_id
from seaway_contracts.records import ForgetContainer, RegisterContainer, RegisteredContainer
from seaway_kit.tasks import Tasks

log = logging.getLogger(__name__)
_PAUSE_S: Final = 0.5
_TRIES: Final = 600


class Registrations:
    """Made in the name of `actor`; `tasks` give back what can't be given back at once."""

    def __init__(self, bus: Bus, tasks: Tasks, actor: str) -> None:
        self._bus = bus
        self._tasks = tasks
        self._actor = actor

    async def register(self, spec: ContainerSpec, node: str, names: Sequence[str]) -> RegisteredContainer:
        """Reserve the record and the first of these names that is free; the spec with that name and its networks.

        Raises SeawayError: CONFLICT where all names are taken.
        """
        for attempt, name in enumerate(names, 1):
            named = spec.model_copy(update={"name": name})
            try:
                return await self._bus.call(
                    cat.REGISTER, RegisterContainer(spec=named, node=node), command=Command.new(self._actor)
                )
            except SeawayError as error:
                if error.code is Code.CONFLICT and error.reason is None and attempt < len(names):
                    continue
                if error.retryable:  # it may have been made all the same
                    self._forget_later(ForgetContainer(id=spec.id, name=name))
                raise
        raise ValueError("a container needs a name")

    async def forget(self, request: ForgetContainer) -> bool:
        """Take a registration back; where that can't be done just now (False), it is tried again in the background."""
        if await self._tried(request):
            return True
        self._forget_later(request)
        return False

    def _forget_later(self, request: ForgetContainer) -> None:
        self._tasks.spawn(f"forget-{short_id(request.id)}", self._until_forgotten(request))

    async def _until_forgotten(self, request: ForgetContainer) -> None:
        """After too long metadata does it, without knowing what is known here."""
        for _ in range(_TRIES):
            if await self._tried(request):
                return
            await asyncio.sleep(_PAUSE_S)
        log.error("the record of container %s could not be taken back: the bus was away for too long", request.id)

    async def _tried(self, request: ForgetContainer) -> bool:
        try:
            await self._bus.call(cat.FORGET, request)
        except SeawayError as error:
            if error.retryable:
                return False
            log.error("container %s was not made, but its record could not be taken back: %s", request.id, error)
        return True
