"""Execs: create, start, resize, inspect. Their container and its node are found by the beginning of their id."""

from aiohttp import web

from seaway_api.http import replies
from seaway_api.routes.call import Call
from seaway_api.routes.detach import DetachScanner, parse_detach_keys
from seaway_api.routes.logs import TYPED_SINCE
from seaway_api.routes.relay import both_ways, take_over
from seaway_api.routes.run import check_size
from seaway_api.translate.execs import console_size, exec_json, exec_spec
from seaway_api.translate.older import console_size_since
from seaway_cluster.run import prepare
from seaway_contracts import catalogue as cat
from seaway_contracts.docker_errors import exec_in_paused_container, no_such_exec
from seaway_contracts.errors import Code, Reason, SeawayError
from seaway_contracts.execs import ExecId, ResizeExec, StartExec, container_prefix, is_exec_id
from seaway_contracts.records import ResolveContainer
from seaway_docker.errors import NO_EXEC_COMMAND, InvalidParameter
from seaway_docker.model_container import ExecCreate, ExecStart
from seaway_docker.numbers import parse_int
from seaway_docker.streams import RAW_STREAM, stream_media_type


async def create(call: Call) -> web.StreamResponse:
    """POST /containers/{name}/exec"""
    if not call.request.can_read_body:
        raise InvalidParameter(NO_EXEC_COMMAND)
    body = await call.body(ExecCreate)
    body = body.model_copy(update={"console_size": console_size_since(call.version, body)})
    parse_detach_keys(body.detach_keys)
    spec = exec_spec("", body)
    container, node = await call.api.locate(call.name)
    call.api.hub.remember(container_prefix(container), node)
    try:
        ready = await prepare(call.api.bus, call.connection.actor, container, node, spec)
    except SeawayError as error:
        if error.reason is not Reason.PAUSED:  # a node doesn't know how it was asked for
            raise
        raise exec_in_paused_container(call.name) from None
    call.api.hub.answers.add(container, ready.status)
    return replies.json({"Id": ready.id}, 201)


async def start(call: Call) -> web.StreamResponse:
    """POST /exec/{name}/start: plain when detached, else the connection is taken over from HTTP."""
    body = await call.optional_body(ExecStart)
    node = await _node(call)
    height, width = console_size(console_size_since(call.version, body))
    check_size(height, width)
    request = StartExec(id=call.name, raw=body.tty, height=height, width=width)
    if body.detach:
        await call.api.bus.call(cat.START_EXEC, request, node=node, command=call.command())
        return replies.empty(200)
    async with call.api.stream(node) as stream:
        request = request.model_copy(update={"stream": stream.id})
        started = await call.api.bus.call(cat.START_EXEC, request, node=node, command=call.command())
        tunnel = take_over(call, _media_type(call, tty=body.tty))
        keys = parse_detach_keys(started.detach_keys)
        scanner = DetachScanner(keys) if started.tty and started.stdin else None
        if await both_ways(call, stream, tunnel, stdin=started.stdin, raw=body.tty, scanner=scanner):
            await call.api.bus.call(cat.DETACH_EXEC, ExecId(id=call.name), node=node, command=call.command())
        if stream.last_words:
            call.api.hub.ended_execs.add(call.name, stream.last_words)
    return replies.Taken()


async def resize(call: Call) -> web.StreamResponse:
    """POST /exec/{name}/resize"""
    height, width = parse_int(call.text("h")), parse_int(call.text("w"))
    check_size(height, width)
    node = await _node(call)
    request = ResizeExec(id=call.name, height=height, width=width)
    await call.api.bus.call(cat.RESIZE_EXEC, request, node=node, command=call.command())
    return replies.empty(200)


async def inspect(call: Call) -> web.StreamResponse:
    """GET /exec/{name}/json"""
    info = call.api.hub.ended_execs.info(call.name)
    if info is None:
        info = await call.api.bus.call(cat.INSPECT_EXEC, ExecId(id=call.name), node=await _node(call))
    return replies.json(exec_json(info))


async def _node(call: Call) -> str:
    """The node of the exec's container. Raises SeawayError (404)."""
    identifier, hub = call.name, call.api.hub
    if not is_exec_id(identifier):
        raise no_such_exec(identifier)
    prefix = container_prefix(identifier)
    node = hub.place(prefix)
    if node is not None:
        return node
    try:
        found = await call.api.bus.call(cat.RESOLVE, ResolveContainer(ref=prefix))
    except SeawayError as error:
        raise no_such_exec(identifier) if error.code is Code.NOT_FOUND else error from None
    hub.remember(prefix, found.node)
    return found.node


def _media_type(call: Call, *, tty: bool) -> str:
    return RAW_STREAM if call.version < TYPED_SINCE else stream_media_type(tty)
