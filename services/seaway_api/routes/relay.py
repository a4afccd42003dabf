"""Between a client's hijacked connection and a byte stream of a node: attach and exec."""

import asyncio
import contextlib
import logging
from typing import Final

from seaway_api.http import replies
from seaway_api.http.hijack import HungUp, Tunnel
from seaway_api.routes.call import Call
from seaway_api.routes.detach import DetachScanner
from seaway_bus.streams import ByteStream
from seaway_contracts.errors import SeawayError
from seaway_docker.stdcopy import SYSTEM_ERROR, FrameTail, frame
from seaway_docker.streams import RAW_STREAM
from seaway_kit.tasks import cancel

log = logging.getLogger(__name__)
_CRLF: Final = "\r\n"
_DOCKER_PY: Final = "docker-sdk-python/"
_DOCKER_PY_S: Final = 0.05  # see `Tunnel`; about as long as dockerd takes to begin an exec


def take_over(call: Call, media_type: str) -> Tunnel:
    """Answer, and make a tunnel of the connection; only a client that asked for the upgrade is told of it, and of
    frames. Raises ConnectionError if it has gone.
    """
    if call.connection.upgrading:
        lines = ["HTTP/1.1 101 UPGRADED", f"Content-Type: {media_type}", "Connection: Upgrade", "Upgrade: tcp"]
    else:
        lines = ["HTTP/1.1 200 OK", f"Content-Type: {RAW_STREAM}"]
    lines += [f"{key}: {value}" for key, value in replies.COMMON_HEADERS.items()]
    buffers = call.request.headers.get("User-Agent", "").startswith(_DOCKER_PY)
    return call.connection.take_over((_CRLF.join(lines) + _CRLF * 2).encode(), _DOCKER_PY_S if buffers else 0.0)


async def both_ways(
    call: Call, stream: ByteStream, tunnel: Tunnel, *, stdin: bool, raw: bool, scanner: DetachScanner | None
) -> bool:
    """Until the output ends, the client hangs up, or types the detach keys: True then. The tunnel is closed.

    `raw`: the output has no frames.
    """
    output = call.api.tasks.begin("attach-out", _output(stream, tunnel, raw=raw))
    sending = call.api.tasks.begin("attach-in", _input(stream, tunnel, output, stdin=stdin, scanner=scanner))
    try:
        await asyncio.wait([output])
    finally:
        tunnel.close()
        detached = sending.done() and not sending.cancelled() and sending.result()
        await cancel(sending)
        await cancel(output)
    return detached


async def _output(stream: ByteStream, tunnel: Tunnel, *, raw: bool) -> None:
    """Output that breaks off must not look as if it had ended: its last words say so."""
    tail = None if raw else FrameTail()
    try:
        while data := await stream.read():
            if tail is not None:
                tail.feed(data)
            await tunnel.write(data)
    except HungUp:
        return
    except SeawayError as error:
        log.warning("an attached stream broke off: %s", error)
        with contextlib.suppress(HungUp):
            await tunnel.write(_last_words(error.message.encode(), tail))


def _last_words(text: bytes, tail: FrameTail | None) -> bytes:
    """Clients make an error of the last kind of frame: `error from daemon in stream: …`. A terminal just shows it."""
    if tail is None:
        return b"\r\n" + text + b"\r\n"
    return tail.rest() + frame(SYSTEM_ERROR, text)


async def _input(
    stream: ByteStream, tunnel: Tunnel, output: asyncio.Task[None], *, stdin: bool, scanner: DetachScanner | None
) -> bool:
    """What the client sends, to its half-close. Without stdin it is read all the same: its end is seen only so.

    True when it typed the detach keys.
    """
    try:
        while data := await tunnel.read():
            data, detached = scanner.feed(data) if scanner else (data, False)
            if stdin and data:
                await stream.write(data)
            if detached:
                output.cancel()
                return True
        await stream.end()
    except HungUp:
        output.cancel()
    except SeawayError:  # the output breaks off as well, and says why
        pass
    return False
