"""Connect containers to networks, and disconnect them."""

from typing import Final

from aiohttp import web

from seaway_api.http import replies
from seaway_api.routes.call import Call
from seaway_api.translate.check_networking import HOST_NETWORK, NONE_NETWORK, check_settings, settings_since
from seaway_api.translate.host import endpoint_spec
from seaway_api.translate.networks import named_predefined
from seaway_contracts import catalogue as cat
from seaway_contracts.errors import Code, SeawayError, not_found
from seaway_contracts.networks import ConnectContainer, DisconnectContainer
from seaway_docker.errors import InvalidParameter
from seaway_docker.model_container import EndpointSettings
from seaway_docker.model_network import NetworkConnect, NetworkDisconnect

_REFUSALS: Final = {"host": HOST_NETWORK, "none": NONE_NETWORK}


async def connect(call: Call) -> web.StreamResponse:
    """POST /networks/{name}/connect. What depends on the network or the container, metadata and the agent check."""
    body = await call.optional_body(NetworkConnect)
    network = named_predefined(call.params["name"]) or call.params["name"]
    settings = settings_since(call.version, body.endpoint_config or EndpointSettings())
    identifier, _ = await call.api.locate(_container(body.container))
    check_settings(network, settings)
    if network in _REFUSALS:
        raise InvalidParameter(_REFUSALS[network])
    request = ConnectContainer(id=identifier, endpoint=endpoint_spec(network, settings))
    reply = await call.api.bus.call(cat.CONNECT, request, command=call.command())
    call.api.hub.answers.add(identifier, reply.status)
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
        identifier, _ = await call.api.locate(_container(body.container))
    except SeawayError as error:
        if error.code is not Code.NOT_FOUND or not body.force:
            raise
        raise not_found(f"endpoint {body.container} not found") from error
    request = DisconnectContainer(id=identifier, network=network, force=body.force)
    reply = await call.api.bus.call(cat.DISCONNECT, request, command=call.command())
    call.api.hub.answers.add(identifier, reply.status)
    return replies.empty(200)
