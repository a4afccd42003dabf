"""GET /seaway/asyncapi.json: what the suite says on the bus, for programs that subscribe to events."""

import asyncio
from functools import cache

from aiohttp import web

from seaway_api.routes.call import Call
from seaway_contracts.asyncapi import render


async def asyncapi(call: Call) -> web.StreamResponse:
    """The AsyncAPI 3 document of this release. It takes a moment to make, once."""
    body = await asyncio.to_thread(_body)
    return web.Response(body=body, content_type="application/json")


@cache
def _body() -> bytes:
    return render().encode()
