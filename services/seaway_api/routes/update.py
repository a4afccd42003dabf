"""POST /containers/{name}/update and /rename: changes of what was asked for."""

from aiohttp import web

from seaway_api.http import replies
from seaway_api.routes.call import Call
from seaway_api.translate.update import asked_changes, new_name
from seaway_api.translate.warnings import limit_warnings
from seaway_contracts import catalogue as cat
from seaway_contracts.commands import RenameContainer
from seaway_docker.errors import NAMES_EMPTY, InvalidParameter
from seaway_docker.model_container import ContainerUpdate


async def update(call: Call) -> web.StreamResponse:
    """New limits and restart policy: of a running container at once, and for its later runs."""
    body = await call.body(ContainerUpdate) if call.request.can_read_body else ContainerUpdate()
    request = asked_changes("", body)
    identifier, node = await call.api.locate(call.name)
    request = request.model_copy(update={"id": identifier})
    reply = await call.api.bus.call(cat.UPDATE, request, node=node, command=call.command())
    call.api.hub.answers.add(identifier, reply.status)
    return replies.json({"Warnings": [*limit_warnings(body), *reply.warnings] or None})


async def rename(call: Call) -> web.StreamResponse:
    """Another name, running or not."""
    given = call.text("name")
    if not given:
        raise InvalidParameter(NAMES_EMPTY)
    record = await call.api.record(call.name)
    request = RenameContainer(id=record.id, name=new_name(given, record.spec.name))
    reply = await call.api.bus.call(cat.RENAME, request, command=call.command())
    call.api.hub.answers.add(record.id, reply.status)
    return replies.empty()
