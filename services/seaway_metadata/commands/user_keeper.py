"""Keeps the streams of users as they should be, and removes users whose time is over."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Final

from seaway_bus.reader_streams import ReaderStreams
from seaway_bus.transport import NoResponders, RequestTimeout, TransportError
from seaway_contracts.errors import SeawayError
from seaway_contracts.users import BusUser
from seaway_metadata.kinds.users import Users

log = logging.getLogger(__name__)
_LOOK_S: Final = 10.0
"""Between two looks at all streams: one that is lost is made again."""
_RETRY_S: Final = 1.0
_S: Final = 10**9


class UserKeeper:
    """Of one copy of metadata. All copies do it; each step may be done twice."""

    def __init__(
        self,
        users: Users,
        streams: ReaderStreams,
        end: Callable[[str], Awaitable[None]],
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        """`end` removes a user whose time is over or whose removal broke off; it raises SeawayError."""
        self._users = users
        self._streams = streams
        self._end = end
        self._now_ns = now_ns
        self._wanted = asyncio.Event()

    def look(self) -> None:
        """Look at all users soon."""
        self._wanted.set()

    async def run(self) -> None:
        """Look at all users whenever it is asked for, and, while there are any, from time to time."""
        pause_s: float | None
        while True:
            try:
                pause_s = await self._once()
            except (TransportError, SeawayError, ValueError) as error:
                log.debug("the users can't be looked at just now: %s", error)
                pause_s = _RETRY_S
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause_s):
                    await self._wanted.wait()
            self._wanted.clear()

    async def _once(self) -> float | None:
        """Look at all users; how long to wait until the next look, in seconds. None: until one is created."""
        users = await self._users.all()
        if not users:
            return None
        now_ns, pause_s = self._now_ns(), _LOOK_S
        for user in users:
            if user.removal or 0 < user.expires_ns <= now_ns:
                await self._end(user.name)
                continue
            if user.expires_ns:
                pause_s = min(pause_s, (user.expires_ns - now_ns) / _S)
            if user.registry is None and not await self._keep(user):
                pause_s = min(pause_s, _RETRY_S)
        return pause_s

    async def _keep(self, user: BusUser) -> bool:
        """Whether the user's stream is as it should be."""
        try:
            if await self._streams.ensure(user):
                log.info("the stream of the user %s was made or repaired", user.name)
                found = await self._users.get(user.name)
                if found is None or found.removal:  # removed meanwhile
                    await self._streams.remove(user.name)
                return False  # look again: whether it is fed shows only then
            state = await self._streams.state(user.name)
        except TransportError as error:  # NATS may not know the account yet
            level = logging.DEBUG if isinstance(error, (NoResponders, RequestTimeout)) else logging.WARNING
            log.log(level, "the stream of the user %s can't be made just now: %s", user.name, error)
            return False
        return state is not None and state.is_fed
