"""Reading the body of a request at `/v2/`: in pieces, and not from a sender who sends nothing."""

import asyncio
from collections.abc import AsyncIterator
from typing import Final

from aiohttp import web

from seaway_image.http.spec_errors import SpecError

CHUNK: Final = 1 << 18
IDLE_S: Final = 60.0
"""How long a sender may be silent in the middle of a body, in seconds."""


async def pieces_of(request: web.Request, idle_s: float = IDLE_S) -> AsyncIterator[bytes]:
    """The body; raises SpecError for a sender who is silent for too long, or gone."""
    while True:
        try:
            async with asyncio.timeout(idle_s):
                piece = await request.content.read(CHUNK)
        except TimeoutError:
            text = f"nothing of the body came for {idle_s:.0f} seconds"
            raise SpecError(408, "BLOB_UPLOAD_INVALID", text, {"Connection": "close"}) from None
        except (web.RequestPayloadError, ConnectionError) as error:
            raise SpecError(400, "BLOB_UPLOAD_INVALID", f"the body is malformed or broke off: {error}") from None
        if not piece:
            return
        yield piece


async def whole_body(request: web.Request, limit: int, what: str) -> bytes:
    """A small body; raises SpecError(SIZE_INVALID) for one that is larger than `limit` bytes."""
    data = bytearray()
    if (request.content_length or 0) > limit:
        raise _too_large(what, limit)
    async for piece in pieces_of(request):
        data += piece
        if len(data) > limit:
            raise _too_large(what, limit)
    return bytes(data)


def _too_large(what: str, limit: int) -> SpecError:
    return SpecError(413, "SIZE_INVALID", f"the {what} is larger than the {limit} bytes allowed")
