"""A relay of gRPC calls: each stream of one connection becomes one of the other; some methods are changed or answered.

A method that nobody has registered passes as it is, message by message, with its headers and trailers.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any, Final

from h2.errors import ErrorCodes

from seaway_api.buildkit.grpc import Answer, Code, GrpcError, Messages, error_of, frame
from seaway_api.buildkit.http2 import Headers, Http2, Stream, StreamBroken
from seaway_api.buildkit.messages import WrongMessage
from seaway_kit.tasks import Tasks, cancel

log = logging.getLogger(__name__)
Method = Callable[[Stream], Awaitable[None]]
Rewrite = Callable[[bytes], Awaitable[bytes]]
Behind = Callable[[], Awaitable[Http2]]
_HOP: Final = (b"content-length",)
_FORESEEN: Final = (StreamBroken, ConnectionError, GrpcError, WrongMessage)


class Relay:
    """Serves what comes on one connection by the connection behind it."""

    def __init__(self, behind: Behind, methods: Mapping[str, Method], name: str = "the builder") -> None:
        """`behind` gives the connection, and raises GrpcError where there is none.

        `name`: who is behind it; `methods` by path, such as `/moby.buildkit.v1.Control/Solve`.
        """
        self._behind = behind
        self._methods = methods
        self._name = name
        self._tasks = Tasks("relay")

    async def serve(self, incoming: Stream) -> None:
        """One call, to its end."""
        method = self._methods.get(incoming.path, self.forward)
        try:
            await method(incoming)
        except GrpcError as error:
            await Answer(incoming).end(error.code, error.text)
        except WrongMessage as error:
            await Answer(incoming).end(Code.INVALID_ARGUMENT, str(error))
        except ConnectionError as error:
            await Answer(incoming).end(Code.UNAVAILABLE, f"{self._name} has gone in the middle of the call: {error}")

    async def forward(self, incoming: Stream) -> None:
        """Pass a call and its answer."""
        outgoing = await (await self._behind()).open(incoming.headers)
        await self._both(incoming, outgoing, _pass(incoming, outgoing))

    async def forward_one(self, incoming: Stream, request: bytes, finish: Rewrite | None = None) -> None:
        """Pass a unary call whose request has been read; the answer goes out when `finish` has had it whole.

        `finish` raises GrpcError for what the caller is told instead of success.
        """
        outgoing = await (await self._behind()).open([one for one in incoming.headers if one[0] not in _HOP])
        await self._both(incoming, outgoing, _give(request, incoming, outgoing), finish or _unchanged)

    async def _both(
        self, incoming: Stream, outgoing: Stream, up: Coroutine[Any, Any, None], finish: Rewrite | None = None
    ) -> None:
        """Until the answer has been passed, or one of the two has broken the call off; then both are ended."""
        sending = self._tasks.spawn("up", _outcome(up))
        answering = self._tasks.spawn("down", _outcome(_answer(outgoing, incoming, finish)))
        watching = self._tasks.spawn("gone", incoming.gone())
        code = ErrorCodes.CANCEL
        try:
            await asyncio.wait((answering, watching), return_when=asyncio.FIRST_COMPLETED)
            if (error := answering.result() if answering.done() else watching.result()) is not None:
                raise error
            code = ErrorCodes.NO_ERROR
        finally:
            for task in (sending, answering, watching):
                await cancel(task)
            outgoing.reset(code)


async def _outcome(work: Awaitable[None]) -> Exception | None:
    """What has ended a direction early. That one side goes away, or gives an error, is no failure of a task."""
    try:
        await work
    except _FORESEEN as error:
        log.debug("one direction of a call has ended: %s", error)
        return error
    return None


async def _unchanged(message: bytes) -> bytes:
    return message


async def _give(request: bytes, incoming: Stream, outgoing: Stream) -> None:
    await outgoing.send(frame(request))
    await outgoing.end()
    await _end_of(incoming)


async def _end_of(incoming: Stream) -> None:
    """Read to the end what should have no more to say."""
    while await incoming.read():
        pass


async def _pass(source: Stream, target: Stream) -> None:
    while data := await source.read():
        await target.send(data)
    await target.end()


async def _answer(outgoing: Stream, incoming: Stream, finish: Rewrite | None) -> None:
    """Pass headers, data, trailers; headers alone in one frame."""
    head = await outgoing.head()
    if outgoing.complete and outgoing.trailers is None:
        await incoming.send_headers(head, end=True)
    elif finish is None:
        await incoming.send_headers(head)
        while data := await outgoing.read():
            await incoming.send(data)
        await _end(incoming, outgoing.trailers)
    else:
        await _finished(outgoing, incoming, head, finish)


async def _finished(outgoing: Stream, incoming: Stream, head: Headers, finish: Rewrite) -> None:
    message = await Messages(outgoing).next()
    await _end_of(outgoing)
    failed = error_of(outgoing.trailers)
    if message is None or failed is not None:
        await incoming.send_headers(head)
        await _end(incoming, outgoing.trailers)
        return
    message = await finish(message)
    await incoming.send_headers([one for one in head if one[0] not in _HOP])
    await incoming.send(frame(message))
    await _end(incoming, outgoing.trailers)


async def _end(incoming: Stream, trailers: Headers | None) -> None:
    if trailers is None:
        await incoming.end()
    else:
        await incoming.send_headers(trailers, end=True)
