"""Two HTTP/2 connections and the relay between them: a client's `/grpc`, and a client's session."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

from seaway_api.buildkit import messages
from seaway_api.buildkit.builder import Builder, NoBuilder
from seaway_api.buildkit.content import SERVICE, SessionContent
from seaway_api.buildkit.control import ControlMethods, Images
from seaway_api.buildkit.grpc import Code, GrpcError, Messages, call, error_of, frame, request_headers
from seaway_api.buildkit.http2 import Headers, Http2, Pipe, Stream, StreamBroken
from seaway_api.buildkit.image_service import ImageService
from seaway_api.buildkit.messages import WrongMessage
from seaway_api.buildkit.relay import Method, Relay
from seaway_api.buildkit.sessions import BuildSession, Sessions
from seaway_kit.addresses import TCP
from seaway_kit.tasks import Tasks

log = logging.getLogger(__name__)
_SESSION: Final = "/moby.buildkit.v1.Control/Session"
_EXPOSE: Final = "x-docker-expose-session-"
_METHODS: Final = f"{_EXPOSE}grpc-method"
_MOST_HEADERS: Final = 256
_MOST_VALUE: Final = 4096
_PIECE: Final = 1 << 20
GREETING_S: Final = 30.0
"""How long a builder may take until its first byte; its container's node may have much to do."""


@asynccontextmanager
async def builder_connection(builder: Builder) -> AsyncIterator[Http2]:
    """A connection to the builder; what the builder does for it, it gives up at its end. Raises NoBuilder."""
    pipe = await builder.connect()
    tasks = Tasks("builder")
    connection = Http2(pipe)
    tasks.spawn("run", connection.run())
    try:
        await _until_it_speaks(connection, builder.place)
        yield connection
    finally:
        pipe.close()  # a task that is cancelled before it has begun closes nothing
        await tasks.close()


async def _until_it_speaks(connection: Http2, place: str) -> None:
    try:
        async with asyncio.timeout(GREETING_S):
            await connection.greeted()
    except TimeoutError:
        why = f"has taken a connection, but said nothing in {GREETING_S:g} s"
        raise NoBuilder(f"the builder at {place} {why}: see what holds it up, and try again") from None
    except ConnectionError as error:
        why = f"{error}. Is a buildkitd there, without TLS?" if place.startswith(TCP) else f"{error}; try again"
        raise NoBuilder(f"the builder at {place} doesn't speak BuildKit's protocol: {why}") from error


class BehindBuilder:
    """The connection to the builder, made when the first call needs it."""

    def __init__(self, builder: Builder) -> None:
        self._builder = builder
        self._turn = asyncio.Lock()
        self._connection: Http2 | None = None
        self._open = AsyncExitStack()

    async def get(self) -> Http2:
        """The connection; a lost one is made again. Raises GrpcError(UNAVAILABLE)."""
        async with self._turn:
            if self._connection is None or self._connection.ended:
                await self._open.aclose()
                try:
                    self._connection = await self._open.enter_async_context(builder_connection(self._builder))
                except NoBuilder as error:
                    raise GrpcError(Code.UNAVAILABLE, str(error)) from error
            return self._connection

    async def close(self) -> None:
        """End it."""
        await self._open.aclose()


async def relay_grpc(
    pipe: Pipe, builder: Builder, sessions: Sessions, service: ImageService, images: Images, actor: str
) -> None:
    """Serve a client that calls BuildKit, until it goes."""
    behind = BehindBuilder(builder)
    methods: dict[str, Method] = {}
    relay = Relay(behind.get, methods)
    methods.update(ControlMethods(relay, builder, sessions, service, images, actor).methods())
    try:
        await Http2(pipe, serve=relay.serve).run()
    finally:
        await behind.close()


# --- sessions


class SessionPipe:
    """A session's bytes, in the messages of a call of `Control.Session`."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._messages = Messages(stream)

    async def read(self) -> bytes:
        """The next bytes, b"" at the end. Raises ConnectionError."""
        try:
            while (message := await self._messages.next()) is not None:
                data: bytes = messages.parse("BytesMessage", message).data
                if data:
                    return data
        except (GrpcError, StreamBroken, WrongMessage) as error:
            raise ConnectionResetError(f"the builder has broken the session off: {error}") from None
        if self._stream.trailers and (refusal := error_of(self._stream.trailers)) is not None:
            raise ConnectionResetError(f"the builder has refused the session: {refusal}")
        return b""

    async def write(self, data: bytes) -> None:
        """Send, waiting while the builder takes nothing. Raises ConnectionError."""
        try:
            for start in range(0, len(data), _PIECE):
                await self._stream.send(frame(messages.encode("BytesMessage", data=data[start : start + _PIECE])))
        except StreamBroken as error:
            raise ConnectionResetError(f"the builder has broken the session off: {error}") from None

    def close(self) -> None:
        """End both directions."""
        self._stream.reset()


@asynccontextmanager
async def builder_session(builder: Builder, headers: Headers) -> AsyncIterator[SessionPipe]:
    """A session at the builder. Raises NoBuilder, ConnectionError."""
    async with builder_connection(builder) as connection:
        yield SessionPipe(await connection.open(request_headers(_SESSION, headers)))


async def relay_session(client: Pipe, builder: Pipe, session: BuildSession, service: ImageService) -> None:
    """Let the builder call a client's session, until one of them goes. Its calls about our content are answered."""
    tasks = Tasks("session")
    to_client = Http2(client)

    async def behind() -> Http2:
        return to_client

    methods: dict[str, Method] = {}
    relay = Relay(behind, methods, "the client")
    methods.update(SessionContent(session, service, relay, tasks).methods())
    from_builder = Http2(builder, serve=relay.serve)
    try:
        with session.served(to_client):
            both = [tasks.spawn("client", to_client.run()), tasks.spawn("calls", from_builder.run())]
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
    finally:
        await tasks.close()


def session_headers(given: Iterable[tuple[str, str]]) -> Headers:
    """The metadata of a session, from the headers of `POST /session`; our methods are offered with the client's.

    Raises ValueError with a sentence.
    """
    found = [(name.lower(), value) for name, value in given if name.lower().startswith(_EXPOSE) and value]
    if len(found) > _MOST_HEADERS or any(len(value) > _MOST_VALUE for _, value in found):
        raise ValueError(
            f"the session has more than {_MOST_HEADERS} headers, or one of more than {_MOST_VALUE} letters"
        )
    offered = {value.lower() for name, value in found if name == _METHODS}
    ours = (f"{SERVICE}{method}" for method in ("Info", "Read", "Write", "Status"))
    found += [(_METHODS, method) for method in ours if method.lower() not in offered]
    return [(name.encode("ascii"), value.encode("latin-1")) for name, value in found]


async def ask_builder(builder: Builder, path: str, request: bytes) -> list[bytes]:
    """A call of our own with one request; the answers. Raises NoBuilder, GrpcError, ConnectionError."""
    async with builder_connection(builder) as connection:
        try:
            return await call(connection, path, request)
        except StreamBroken as error:
            raise ConnectionResetError(str(error)) from None
