"""Create, list, inspect, remove and prune networks."""

import secrets
from typing import Final

from aiohttp import web

from seaway_api.cache.lists import all_containers, all_networks
from seaway_api.http import replies
from seaway_api.routes.call import Call, tell_prune
from seaway_api.translate.network_options import parse_bool
from seaway_api.translate.networks import (
    named_predefined,
    network_facts,
    network_json,
    network_record,
    predefined_json,
    prefixed_predefined,
    used_networks,
    with_version,
)
from seaway_api.translate.version import ApiVersion
from seaway_contracts import catalogue as cat
from seaway_contracts.base import Empty
from seaway_contracts.containers import ContainerRecord
from seaway_contracts.docker_errors import ambiguous_network, network_not_removable, no_such_network
from seaway_contracts.errors import Code, SeawayError
from seaway_contracts.networks import CreateNetwork, NetworkRecord, NetworkRef, network_id
from seaway_contracts.nodes import BridgeFacts
from seaway_docker.errors import InvalidParameter
from seaway_docker.filters import NETWORK_LIST_KEYS, NETWORK_PRUNE_KEYS, parse_filters, prunable, until_ns
from seaway_docker.model_network import NetworkCreate
from seaway_docker.networks import DRIVERS
from seaway_docker.object_filters import NetworkFacts, check_network_filters, network_matches

_WITH_CONTAINERS_UNTIL: Final[ApiVersion] = (1, 28)


async def create(call: Call) -> web.StreamResponse:
    """POST /networks/create"""
    body = await call.optional_body(NetworkCreate)
    record = network_record(body, secrets.token_hex(32), call.api.now_ns(), call.version)
    made = await call.api.bus.call(cat.CREATE_NETWORK, CreateNetwork(network=record), command=call.command())
    call.api.hub.networks.made(made.network.id)
    return replies.json({"Id": made.network.id, "Warning": ""}, 201)


async def list_networks(call: Call) -> web.StreamResponse:
    """GET /networks"""
    filters = parse_filters(call.text("filters"), NETWORK_LIST_KEYS)
    check_network_filters(filters)
    networks = await all_networks(call.api.bus, call.api.hub)
    detailed = call.version < _WITH_CONTAINERS_UNTIL
    records = await _running(call) if detailed or "dangling" in filters else []
    used, members = used_networks(records), records if detailed else []
    predefined = [
        name
        for name, driver in DRIVERS.items()
        if network_matches(filters, NetworkFacts(network_id(name), name, driver))
    ]
    bridges = await _bridges(call) if "bridge" in predefined else []
    shown = [predefined_json(name, members, bridges) for name in predefined]
    shown += [network_json(one, members) for one in networks if network_matches(filters, network_facts(one, used))]
    return replies.json([with_version(one, call.version) for one in shown])


async def inspect_network(call: Call) -> web.StreamResponse:
    """GET /networks/{name}. `verbose` adds nothing: only Swarm's services have more to show."""
    ref, verbose = call.params["name"], call.text("verbose")
    try:
        parse_bool(verbose or "0")
    except ValueError as error:
        raise InvalidParameter(f"invalid value for verbose: {verbose}: {error}") from error
    if call.text("scope") not in ("", "local"):
        raise no_such_network(ref)
    found = await find_network(call, ref)
    records = await _running(call)
    if isinstance(found, NetworkRecord):
        return replies.json(with_version(network_json(found, records), call.version))
    bridges = await _bridges(call) if found == "bridge" else []
    return replies.json(with_version(predefined_json(found, records, bridges), call.version))


async def find_network(call: Call, ref: str) -> NetworkRecord | str:
    """The network with this name, id, or prefix of an id; only the name of one that every node has.

    Raises SeawayError: NOT_FOUND.
    """
    if name := named_predefined(ref):
        return name
    prefixed = prefixed_predefined(ref)
    try:
        request = NetworkRef(ref=ref, basis=call.api.hub.networks.basis())
        found = (await call.api.bus.call(cat.GET_NETWORK, request)).network
    except SeawayError as error:
        if error.code is not Code.NOT_FOUND or not prefixed:
            raise
        if len(prefixed) > 1:
            raise ambiguous_network(ref, len(prefixed)) from error
        return prefixed[0]
    if prefixed and ref not in (found.name, found.id):
        raise ambiguous_network(ref, len(prefixed) + 1)
    return found


async def _running(call: Call) -> list[ContainerRecord]:
    return [record async for record in all_containers(call.api.bus, call.api.hub, stopped=False)]


async def _bridges(call: Call) -> list[BridgeFacts]:
    """Those of the nodes that are up, the API's own node first; none while nobody can tell."""
    try:
        nodes = [node for node in (await call.api.bus.call(cat.LIST_NODES, Empty())).nodes if node.state == "up"]
    except SeawayError:
        return []
    own = call.api.settings.node
    return [node.beat.facts.bridge for node in sorted(nodes, key=lambda node: (node.node != own, node.node))]


async def remove_network(call: Call) -> web.StreamResponse:
    """DELETE /networks/{name}"""
    found = await find_network(call, call.params["name"])
    if isinstance(found, str):
        raise network_not_removable(found)
    await _remove(call, found)
    return replies.empty()


async def _remove(call: Call, network: NetworkRecord) -> None:
    request = NetworkRef(ref=network.id, basis=call.api.hub.networks.basis())
    await call.api.bus.call(cat.REMOVE_NETWORK, request, command=call.command())
    call.api.hub.networks.removed(network.id)


async def prune(call: Call) -> web.StreamResponse:
    """POST /networks/prune: networks without running containers, but no configuration networks, as in Docker."""
    filters = parse_filters(call.text("filters"), NETWORK_PRUNE_KEYS)
    until = until_ns(filters, call.api.now_ns())
    networks = await all_networks(call.api.bus, call.api.hub)
    used = used_networks(await _running(call))
    removed = [
        network.name
        for network in networks
        if network.id not in used
        and not network.config_only
        and prunable(filters, network.labels, network.created_ns, until)
        and await _removed(call, network)
    ]
    await tell_prune(call, "network", 0)
    return replies.json({"NetworksDeleted": removed or None})


async def _removed(call: Call, network: NetworkRecord) -> bool:
    """One that can't be removed is left, as in Docker."""
    try:
        await _remove(call, network)
    except SeawayError:
        return False
    return True
