"""POST /containers/{name}/attach: the connection is taken over from HTTP."""

import asyncio
import logging
from typing import Final

from aiohttp import web

from seaway_api import replies
from seaway_api.call import Call
from seaway_api.detach import DetachScanner, parse_detach_keys
from seaway_api.hijack import HungUp, Tunnel
from seaway_api.routes.logs import media_type
from seaway_bus.streams import ByteStream
from seaway_contracts import catalogue as cat
from seaway_contracts.commands import AttachContainer
from seaway_contracts.containers import ContainerRecord, State
from seaway_contracts.errors import SeawayError, conflict
from seaway_docker.errors import container_restarting
from seaway_docker.streams import RAW_STREAM
from seaway_kit.tasks import cancel

log = logging.getLogger(__name__)
_CRLF: Final = "\r\n"


async def attach(call: Call) -> web.StreamResponse:
    """The node confirms before the head goes out: a client that starts the container upon it misses no byte."""
    keys = parse_detach_keys(call.text("detachKeys"))
    record = await call.api.record(call.name)
    _check_state(record)
    async with call.api.stream() as stream:
        request = _request(call, record, stream.id)
        await call.api.bus.call(cat.ATTACH, request, node=record.node, command=call.command())
        tunnel = call.connection.take_over(_head(call, record))
        scanner = DetachScanner(keys) if record.spec.command.tty and request.stdin else None
        try:
            await _both_ways(call, stream, tunnel, stdin=request.stdin, scanner=scanner)
        finally:
            tunnel.close()
    return replies.Taken()


def _check_state(record: ContainerRecord) -> None:
    if record.status.state == State.PAUSED:
        raise conflict(f"container {record.id} is paused, unpause the container before attach")
    if record.status.state == State.RESTARTING:
        raise conflict(container_restarting(record.id))


def _request(call: Call, record: ContainerRecord, stream: str) -> AttachContainer:
    follow = call.flag("stream")
    return AttachContainer(
        id=record.id,
        stream=stream,
        stdin=call.flag("stdin") and follow and record.spec.command.open_stdin,
        stdout=call.flag("stdout"),
        stderr=call.flag("stderr"),
        logs=call.flag("logs"),
        follow=follow,
    )


def _head(call: Call, record: ContainerRecord) -> bytes:
    """The answer's head; only a client that asked for the upgrade is told of it, and of frames."""
    if call.connection.upgrading:
        kind = media_type(record, call.version)
        lines = ["HTTP/1.1 101 UPGRADED", f"Content-Type: {kind}", "Connection: Upgrade", "Upgrade: tcp"]
    else:
        lines = ["HTTP/1.1 200 OK", f"Content-Type: {RAW_STREAM}"]
    lines += [f"{key}: {value}" for key, value in replies.COMMON_HEADERS.items()]
    return (_CRLF.join(lines) + _CRLF * 2).encode()


async def _both_ways(
    call: Call, stream: ByteStream, tunnel: Tunnel, *, stdin: bool, scanner: DetachScanner | None
) -> None:
    """Until the output ends, the client hangs up, or types the detach keys."""
    output = call.api.tasks.spawn("attach-out", _output(stream, tunnel))
    sending = call.api.tasks.spawn("attach-in", _input(stream, tunnel, output, stdin=stdin, scanner=scanner))
    try:
        await asyncio.wait([output])
    finally:
        await cancel(sending)
        await cancel(output)


async def _output(stream: ByteStream, tunnel: Tunnel) -> None:
    try:
        while data := await stream.read():
            await tunnel.write(data)
    except HungUp:
        return
    except SeawayError as error:
        log.warning("an attached stream broke off: %s", error)


async def _input(
    stream: ByteStream, tunnel: Tunnel, output: asyncio.Task[None], *, stdin: bool, scanner: DetachScanner | None
) -> None:
    """What the client sends, to its half-close. Without stdin it is read all the same: its end is seen only so."""
    try:
        while data := await tunnel.read():
            data, detached = scanner.feed(data) if scanner else (data, False)
            if stdin and data:
                await stream.write(data)
            if detached:
                output.cancel()
                return
        await stream.end()
    except (HungUp, SeawayError):
        output.cancel()
