"""Connect containers to networks, and disconnect them."""

from typing import Final, TypeVar

from aiohttp import web

from seaway_api.http import replies
from seaway_api.routes.call import Call
from seaway_api.translate.check_networking import HOST_NETWORK, NONE_NETWORK, check_settings, settings_since
from seaway_api.translate.host import endpoint_spec
from seaway_api.translate.networks import named_predefined
from seaway_contracts import catalogue as cat
from seaway_contracts.channels import CallChannel
from seaway_contracts.commands import StatusReply
from seaway_contracts.errors import Code, SeawayError, not_found
from seaway_contracts.networks import ConnectContainer, DisconnectContainer
from seaway_docker.errors import InvalidParameter
from seaway_docker.model_container import EndpointSettings
from seaway_docker.model_network import NetworkConnect, NetworkDisconnect

C = TypeVar("C", ConnectContainer, DisconnectContainer)
_REFUSALS: Final = {"host": HOST_NETWORK, "none": NONE_NETWORK}


async def connect(call: Call) -> web.StreamResponse:
    """POST /networks/{name}/connect. What depends on the network or the container, metadata and the agent check."""
    body = await call.optional_body(NetworkConnect)
    network = named_predefined(call.params["name"]) or call.params["name"]
    settings = settings_since(call.version, body.endpoint_config or EndpointSettings())
    identifier, node = await call.api.locate(_container(body.container))
    check_settings(network, settings)
    if network in _REFUSALS:
        raise InvalidParameter(_REFUSALS[network])
    request = ConnectContainer(id=identifier, endpoint=endpoint_spec(network, settings))
    await _command(call, cat.CONNECT, request, node)
    return replies.empty(200)


def _container(ref: str) -> str:
    if not ref:
        raise InvalidParameter('invalid name or ID supplied: ""')
    return ref.removeprefix("/")


async def disconnect(call: Call) -> web.StreamResponse:
    """POST /networks/{name}/disconnect"""
    body = await call.optional_body(NetworkDisconnect)
    network = call.params["name"]
    try:
        identifier, node = await call.api.locate(_container(body.container))
    except SeawayError as error:
        if error.code is not Code.NOT_FOUND or not body.force:
            raise
        raise not_found(f"endpoint {body.container} not found") from error
    request = DisconnectContainer(id=identifier, network=network, force=body.force)
    await _command(call, cat.DISCONNECT, request, node)
    return replies.empty(200)


async def _command(call: Call, channel: CallChannel[C, StatusReply], request: C, node: str) -> None:
    """A refusal may be due to an earlier request whose answer was lost: what is read next must show its outcome."""
    try:
        reply = await call.api.bus.call(channel, request, command=call.command())
    except SeawayError as error:
        if not error.retryable:
            await call.api.note_status(request.id, node)
        raise
    call.api.hub.answers.add(request.id, reply.status)
