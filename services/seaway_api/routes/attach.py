"""POST /containers/{name}/attach: the connection is taken over from HTTP."""

import logging

from aiohttp import web

from seaway_api.http import replies
from seaway_api.routes.call import Call
from seaway_api.routes.detach import DetachScanner, parse_detach_keys
from seaway_api.routes.logs import media_type
from seaway_api.routes.relay import both_ways, take_over
from seaway_cluster.start_and_remove import made_first
from seaway_contracts import catalogue as cat
from seaway_contracts.commands import AttachContainer, ContainerId
from seaway_contracts.containers import ContainerRecord, State
from seaway_contracts.docker_errors import attach_to_paused_container, attach_to_restarting_container
from seaway_contracts.errors import SeawayError

log = logging.getLogger(__name__)


async def attach(call: Call) -> web.StreamResponse:
    """The node confirms before the head goes out: a client that starts the container upon it misses no byte."""
    keys = parse_detach_keys(call.text("detachKeys"))
    record = await call.api.record(call.name)
    check_state(record, call.name)
    async with call.api.stream(record.node) as stream:
        request = attach_request(call, record, stream.id)
        await ask_node(call, record, request)
        tunnel = take_over(call, media_type(record, call.version))
        scanner = DetachScanner(keys) if record.spec.command.tty and request.stdin else None
        raw = record.spec.command.tty
        if await both_ways(call, stream, tunnel, stdin=request.stdin, raw=raw, scanner=scanner):
            await tell_detached(call, record)
    return replies.Taken()


async def ask_node(call: Call, record: ContainerRecord, request: AttachContainer) -> None:
    """Have the container's streams put on the request's stream. Raises SeawayError."""

    async def ask() -> None:
        await call.api.bus.call(cat.ATTACH, request, node=record.node, command=call.command())

    await made_first(call.api.bus, call.connection.actor, call.api.record, record.id, record.node, ask)


async def tell_detached(call: Call, record: ContainerRecord) -> None:
    """The client has gone by its detach keys, and has its answer already: nobody is left to hear of an error."""
    try:
        await call.api.bus.call(cat.DETACH, ContainerId(id=record.id), node=record.node, command=call.command())
    except SeawayError as error:
        log.warning("container %s: its client's detachment could not be told: %s", record.id, error)


def check_state(record: ContainerRecord, ref: str) -> None:
    """Raise SeawayError (409) for a container that can't be attached to now. `ref` is what the user asked for."""
    if record.status.state == State.PAUSED:
        raise attach_to_paused_container(ref)
    if record.status.state == State.RESTARTING:
        raise attach_to_restarting_container(ref)


def attach_request(call: Call, record: ContainerRecord, stream: str) -> AttachContainer:
    """What the client asks of the node."""
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
