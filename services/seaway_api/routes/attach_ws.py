"""GET /containers/{name}/attach/ws: the container's streams over a websocket, in binary frames, never multiplexed."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import WSCloseCode, WSMsgType, web

from seaway_api.routes.attach import ask_node, attach_request, check_state, tell_detached
from seaway_api.routes.call import Call
from seaway_api.routes.detach import DetachScanner, parse_detach_keys
from seaway_bus.streams import ByteStream
from seaway_contracts.commands import AttachContainer
from seaway_contracts.containers import ContainerRecord
from seaway_contracts.errors import SeawayError
from seaway_docker.errors import InvalidParameter
from seaway_kit.tasks import cancel

log = logging.getLogger(__name__)
_CHOOSES_STREAMS: Final = (1, 42)
_BINARY: Final = (1, 28)
_MOST_INPUT: Final = 4 << 20
_MOST_REASON: Final = 123
Send = Callable[[bytes], Awaitable[None]]


async def attach_ws(call: Call) -> web.StreamResponse:
    """As attach; clients older than API 1.42 get all streams, whatever they ask for."""
    keys = parse_detach_keys(call.text("detachKeys"))
    record = await call.api.record(call.name)
    check_state(record, call.name)
    socket = web.WebSocketResponse(max_msg_size=_MOST_INPUT, compress=False)
    if not socket.can_prepare(call.request).ok:
        raise InvalidParameter("this endpoint takes websockets only: ask for `Upgrade: websocket`")
    async with call.api.stream(record.node) as stream:
        request = _request(call, record, stream.id)
        await ask_node(call, record, request)
        await socket.prepare(call.request)
        scanner = DetachScanner(keys) if record.spec.command.tty and request.stdin else None
        if await _both_ways(call, stream, socket, scanner, stdin=request.stdin):
            await tell_detached(call, record)
    return socket


def _request(call: Call, record: ContainerRecord, stream: str) -> AttachContainer:
    request = attach_request(call, record, stream)
    if call.version >= _CHOOSES_STREAMS:
        return request.model_copy(update={"raw": True})
    stdin = request.follow and record.spec.command.open_stdin
    return request.model_copy(update={"raw": True, "stdin": stdin, "stdout": True, "stderr": True})


async def _both_ways(
    call: Call, stream: ByteStream, socket: web.WebSocketResponse, scanner: DetachScanner | None, *, stdin: bool
) -> bool:
    """Until the output ends, the client goes, or types the detach keys: True then."""
    send: Send = socket.send_bytes if call.version >= _BINARY else _as_text(socket)
    output = call.api.tasks.spawn("attach-ws-out", _output(stream, send))
    sending = call.api.tasks.spawn("attach-ws-in", _input(stream, socket, scanner, stdin=stdin))
    try:
        await asyncio.wait((output, sending), return_when=asyncio.FIRST_COMPLETED)
    finally:
        detached = sending.done() and not sending.cancelled() and sending.result()
        broken = output.done() and not output.cancelled() and output.result()
        await cancel(sending)
        await cancel(output)
        await (socket.close(code=WSCloseCode.INTERNAL_ERROR, message=broken) if broken else socket.close())
    return detached


def _as_text(socket: web.WebSocketResponse) -> Send:
    async def send(data: bytes) -> None:
        await socket.send_str(data.decode(errors="replace"))

    return send


async def _output(stream: ByteStream, send: Send) -> bytes:
    """Why it broke off; nothing if it didn't."""
    try:
        while data := await stream.read():
            await send(data)
    except ConnectionError:
        pass
    except SeawayError as error:
        log.warning("an attached websocket broke off: %s", error)
        return error.message.encode()[:_MOST_REASON]
    return b""


async def _input(
    stream: ByteStream, socket: web.WebSocketResponse, scanner: DetachScanner | None, *, stdin: bool
) -> bool:
    """What the client sends, until it closes. Without stdin it is read all the same: its end is seen only so.

    True when it typed the detach keys.
    """
    try:
        async for message in socket:
            if message.type not in (WSMsgType.BINARY, WSMsgType.TEXT):
                return False
            data = message.data.encode() if message.type is WSMsgType.TEXT else message.data
            data, detached = scanner.feed(data) if scanner else (data, False)
            if stdin and data:
                await stream.write(data)
            if detached:
                return True
        await stream.end()
    except SeawayError:
        return False
    return False
