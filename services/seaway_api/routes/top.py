"""GET /containers/{name}/top."""

from typing import Final

from aiohttp import web

from seaway_api.http import replies
from seaway_api.routes.call import Call
from seaway_contracts import catalogue as cat
from seaway_contracts.commands import ListProcesses

_DEFAULT: Final = "-ef"


async def top(call: Call) -> web.StreamResponse:
    """The container's processes as the node's ps shows them."""
    identifier, node = await call.api.locate(call.name)
    request = ListProcesses(id=identifier, ps_args=call.text("ps_args") or _DEFAULT)
    found = await call.api.bus.call(cat.TOP, request, node=node, command=call.command())
    return replies.json({"Processes": found.processes, "Titles": found.titles})
