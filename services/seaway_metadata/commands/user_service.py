"""All that one copy of metadata does for users of the bus: puts the parts together."""

import time
from collections.abc import Callable
from typing import Any, Final

from seaway_bus.bus import Bus
from seaway_bus.outbox import Outbox
from seaway_bus.reader_sources import ReaderSources
from seaway_bus.reader_streams import ReaderStreams
from seaway_contracts.catalogue import USER_CREATE, USER_REMOVE, USER_ROTATE
from seaway_kit.tasks import Tasks
from seaway_metadata.commands.joining import Budget
from seaway_metadata.commands.user_keeper import UserKeeper
from seaway_metadata.commands.users import UserCommands
from seaway_metadata.kinds.identities import Identities
from seaway_metadata.kinds.users import Users

_SOURCES_A_MINUTE: Final = 60
"""Requests of one user's stream. NATS asks again after a restart, and every few seconds while it gets no answer."""


class UserService:
    """Commands, streams and their sources."""

    def __init__(
        self,
        bus: Bus,
        tasks: Tasks,
        users: Users,
        identities: Identities,
        outbox: Outbox,
        reload: Callable[[], None],
        replicas: int,
    ) -> None:
        """`reload` has NATS take up who may log in."""
        streams = ReaderStreams(bus.transport, replicas)
        self.commands = UserCommands(users, identities, streams, outbox, self._changed)
        self.keeper = UserKeeper(users, streams, self.commands.end)
        self._bus = bus
        self._reload = reload
        self._budget = Budget(_SOURCES_A_MINUTE)
        self._sources = ReaderSources(bus.transport, tasks, users.get, self._may_ask)
        bus.transport.on_reconnect(self.keeper.look)

    def listen(self, listen: Callable[[Any, Callable[[Any], None]], None]) -> None:
        """Hear of what other copies change."""
        for channel in (USER_CREATE, USER_ROTATE, USER_REMOVE):
            listen(channel, lambda event: self._changed())

    async def serve(self) -> None:
        """Begin to answer."""
        await self._sources.serve()
        await self.commands.serve(self._bus)

    async def run(self) -> None:
        """Keep the streams as they should be, for ever."""
        await self.keeper.run()

    def _changed(self) -> None:
        self._reload()
        self.keeper.look()

    def _may_ask(self, name: str) -> bool:
        return self._budget.take(time.time_ns(), name)
