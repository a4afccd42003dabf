"""Where the builder is, and connections to it."""

import asyncio
import contextlib
import ssl
from typing import Final, Protocol

from seaway_api.buildkit.http2 import Pipe
from seaway_kit.addresses import TCP, UNIX, split_address

_CHUNK: Final = 256 * 1024
_CONNECT_S: Final = 10.0
_NONE: Final = (
    "this suite has no BuildKit (--buildkit none): start it with --buildkit unix:///PATH of a buildkitd, or "
    "without --buildkit for a builder of its own; or build without BuildKit: DOCKER_BUILDKIT=0 docker build"
)


class NoBuilder(Exception):
    """There is none just now; the sentence says why, and what to do."""


class Builder(Protocol):
    """A stock buildkitd."""

    async def connect(self) -> Pipe:
        """A fresh connection. Raises NoBuilder."""

    async def is_there(self) -> bool:
        """Whether it has to be asked at all: one that nobody has started has no cache. Raises NoBuilder."""

    @property
    def place(self) -> str:
        """Where it is, as users know it."""


class SocketPipe:
    """A connection to a socket."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def read(self) -> bytes:
        """The next bytes, b"" at the end. Raises ConnectionError."""
        try:
            return await self._reader.read(_CHUNK)
        except OSError as error:  # not each is a ConnectionError: no route, timed out
            raise ConnectionResetError(f"the connection to the builder broke: {error.strerror or error}") from error

    async def write(self, data: bytes) -> None:
        """Send, waiting while the peer takes nothing. Raises ConnectionError."""
        if self._writer.is_closing():
            raise ConnectionResetError("the builder has closed the connection")
        self._writer.write(data)
        try:
            await self._writer.drain()
        except OSError as error:
            raise ConnectionResetError(f"the connection to the builder broke: {error.strerror or error}") from error

    def close(self) -> None:
        """End both directions."""
        with contextlib.suppress(RuntimeError):
            self._writer.close()


class GivenBuilder:
    """A builder that somebody else runs, at `unix://PATH` or `tcp://HOST:PORT`."""

    def __init__(self, place: str, secure: ssl.SSLContext | None = None) -> None:
        self.place = place
        self._secure = secure

    async def connect(self) -> Pipe:
        """A fresh connection. Raises NoBuilder."""
        try:
            async with asyncio.timeout(_CONNECT_S):
                return SocketPipe(*await self._open())
        except (OSError, TimeoutError) as error:
            why = getattr(error, "strerror", None) or str(error) or "it takes too long"
            raise NoBuilder(
                f"BuildKit can't be reached at {self.place}: {why}. Start buildkitd there (seaway up --buildkit names "
                "the place), or build without it: DOCKER_BUILDKIT=0 docker build"
            ) from error

    async def is_there(self) -> bool:
        """Always: whoever asks is told if it isn't."""
        return True

    async def _open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self.place.startswith(UNIX):
            return await asyncio.open_unix_connection(self.place.removeprefix(UNIX), limit=_CHUNK)
        host, port = split_address(self.place.removeprefix(TCP))
        return await asyncio.open_connection(host, port, limit=_CHUNK, ssl=self._secure)


class Nowhere:
    """No builder: the settings say so."""

    place = "none"

    async def is_there(self) -> bool:
        """Raises NoBuilder."""
        raise NoBuilder(_NONE)

    async def connect(self) -> Pipe:
        """Raises NoBuilder."""
        raise NoBuilder(_NONE)
