"""The Dockerfile of a build, as its client's session gives it: which names are images, and which are stages.

The client sends files by the protocol of tonistiigi/fsutil: it lists them, we ask for one by its place in the list.
"""

import asyncio
import logging
from typing import Any, Final

from seaway_api.buildkit import messages
from seaway_api.buildkit.grpc import Code, GrpcError, Messages, frame, request_headers
from seaway_api.buildkit.http2 import Http2, Stream, StreamBroken
from seaway_api.buildkit.messages import WrongMessage

log = logging.getLogger(__name__)
_DIFF_COPY: Final = "/moby.filesync.v1.FileSync/DiffCopy"
_STAT, _REQUEST, _DATA, _END = range(4)
_MOST_BYTES: Final = 4 << 20
_MOST_FILES: Final = 10_000
PATIENCE_S: Final = 30.0


async def read_dockerfile(client: Http2, directory: str, path: str) -> str | None:
    """The text of `path` in a directory that the session offers; None if the client doesn't give it.

    Raises GrpcError where the client says nothing: neither would it send the builder anything.
    """
    try:
        async with asyncio.timeout(PATIENCE_S):
            data = await _fetch(client, directory, path)
    except TimeoutError:
        text = f"the client has not sent the Dockerfile {path} within {PATIENCE_S:g} s; try again"
        raise GrpcError(Code.UNAVAILABLE, text) from None
    except (ConnectionError, StreamBroken, GrpcError, WrongMessage) as error:
        log.info("the Dockerfile %s can't be read from the client: %s", path, error)
        return None
    return None if data is None else data.decode("utf-8", "replace")


async def _fetch(client: Http2, directory: str, path: str) -> bytes | None:
    metadata = [(b"dir-name", directory.encode()), (b"followpaths", path.encode())]
    stream = await client.open(request_headers(_DIFF_COPY, metadata))
    try:
        return await _exchange(stream, path)
    finally:
        stream.reset()


async def _exchange(stream: Stream, path: str) -> bytes | None:
    packets, found = Messages(stream), None
    for number in range(_MOST_FILES):
        packet = await _next(packets)
        if packet is None or packet.type != _STAT or not packet.HasField("stat"):
            break
        if packet.stat.path.strip("/") == path.strip("/"):
            found = number
    if found is None:
        return None
    await stream.send(frame(messages.encode("Packet", type=_REQUEST, ID=found)))
    text = bytearray()
    while len(text) < _MOST_BYTES:
        packet = await _next(packets)
        if packet is None:
            return None
        if packet.type == _DATA and found == packet.ID:
            if not packet.data:
                await stream.send(frame(messages.encode("Packet", type=_END)))
                return bytes(text)
            text += packet.data
    return None


async def _next(packets: Messages) -> Any:
    data = await packets.next()
    return None if data is None else messages.parse("Packet", data)
