"""The sessions of clients, by the ids that they chose: who opened them, and which builds end in our store."""

import asyncio
import contextlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from seaway_api.buildkit.http2 import Http2
from seaway_api.buildkit.image_service import BuildResult


class SessionRefused(ValueError):
    """A session, or a build in one, that would meddle with another client's; the sentence is for the client."""


@dataclass(eq=False)
class BuildSession:
    """What a client offers its builds: files, secrets, logins. `actor` has opened it, or waits for it.

    `result`: where images of builds in this session go; `client`: the connection on which it serves, once it is there.
    """

    id: str
    actor: str
    open: bool = False
    builds: int = 0
    result: BuildResult | None = None
    client: Http2 | None = None
    _came: asyncio.Event = field(default_factory=asyncio.Event)

    @contextmanager
    def served(self, client: Http2) -> Iterator[None]:
        """For as long as the client serves on that connection."""
        self.client = client
        self._came.set()
        try:
            yield
        finally:
            self.client = None
            self._came.clear()

    async def serving(self, patience_s: float) -> Http2 | None:
        """The connection on which the client serves, which may come later than its build; None if it doesn't come."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience_s):
                await self._came.wait()
        return self.client


class Sessions:
    """Those of one API process. A build may come before its session, and may end after it."""

    def __init__(self) -> None:
        self._known: dict[str, BuildSession] = {}

    @contextmanager
    def opened(self, identifier: str, actor: str) -> Iterator[BuildSession]:
        """A client's session, while it lives. Raises SessionRefused: an id that is in use never changes its owner."""
        if not identifier:
            raise SessionRefused("the session has no id (X-Docker-Expose-Session-Uuid)")
        session = self._get(identifier, actor)
        if session.open:
            raise SessionRefused(f"session {identifier} already exists")
        session.open = True
        try:
            yield session
        finally:
            session.open = False
            self._forget(session)

    @contextmanager
    def building(self, identifier: str, actor: str) -> Iterator[BuildSession]:
        """The session of a build, while it runs. Raises SessionRefused."""
        session = self._get(identifier, actor)
        session.builds += 1
        try:
            yield session
        finally:
            session.builds -= 1
            self._forget(session)

    def find(self, identifier: str) -> BuildSession | None:
        """The session of that id."""
        return self._known.get(identifier)

    def _get(self, identifier: str, actor: str) -> BuildSession:
        session = self._known.setdefault(identifier, BuildSession(identifier, actor))
        if session.actor != actor:
            raise SessionRefused(f"session {identifier} belongs to another client")
        return session

    def _forget(self, session: BuildSession) -> None:
        if not session.open and not session.builds:
            self._known.pop(session.id, None)

    def __len__(self) -> int:
        return len(self._known)
