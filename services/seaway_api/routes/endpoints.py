"""Connect containers to networks, and disconnect them."""

from aiohttp import web

from seaway_api.http import replies
from seaway_api.routes.call import Call
from seaway_api.translate.check_networking import HOST_NETWORK, NONE_NETWORK, SHARED_SANDBOX, check_settings
from seaway_api.translate.host import endpoint_spec
from seaway_api.translate.networking import has_no_networks
from seaway_api.translate.networks import named_predefined
from seaway_contracts import catalogue as cat
from seaway_contracts.containers import ContainerSpec
from seaway_contracts.errors import Code, SeawayError, not_found
from seaway_contracts.networks import ConnectContainer, DisconnectContainer
from seaway_docker.errors import InvalidParameter
from seaway_docker.model_container import EndpointSettings
from seaway_docker.model_network import NetworkConnect, NetworkDisconnect


async def connect(call: Call) -> web.StreamResponse:
    """POST /networks/{name}/connect. Metadata judges what depends on the network; all else is judged here."""
    body = await call.body(NetworkConnect) if call.request.can_read_body else NetworkConnect()
    network, container = call.params["name"], _container(body.container)
    settings = body.endpoint_config or EndpointSettings()
    known = named_predefined(network)
    check_settings(known or network, settings)
    record = await call.api.record(container)
    _check_sandbox(record.spec, known)
    request = ConnectContainer(id=record.id, endpoint=endpoint_spec(known or network, settings))
    reply = await call.api.bus.call(cat.CONNECT, request, command=call.command())
    call.api.hub.answers.add(record.id, reply.status)
    return replies.empty(200)


def _container(ref: str) -> str:
    if not ref:
        raise InvalidParameter('invalid name or ID supplied: ""')
    return ref.removeprefix("/")


def _check_sandbox(spec: ContainerSpec, network: str) -> None:
    """Raise InvalidParameter where the container, or the network, goes with no other one."""
    if network == "host":
        raise InvalidParameter(HOST_NETWORK)
    if spec.network.sandbox:
        raise InvalidParameter(SHARED_SANDBOX)
    if network == "none" or has_no_networks(spec):
        raise InvalidParameter(NONE_NETWORK)


async def disconnect(call: Call) -> web.StreamResponse:
    """POST /networks/{name}/disconnect"""
    body = await call.body(NetworkDisconnect) if call.request.can_read_body else NetworkDisconnect()
    network, container = call.params["name"], _container(body.container)
    try:
        identifier, _ = await call.api.locate(container)
    except SeawayError as error:
        if error.code is not Code.NOT_FOUND or not body.force:
            raise
        raise not_found(f"endpoint {body.container} not found") from error
    request = DisconnectContainer(id=identifier, network=network, force=body.force)
    reply = await call.api.bus.call(cat.DISCONNECT, request, command=call.command())
    call.api.hub.answers.add(identifier, reply.status)
    return replies.empty(200)
