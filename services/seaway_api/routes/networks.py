"""The networks that every node has, and the plugins that clients ask for. Own networks come later."""

from aiohttp import web

from seaway_api.cache.lists import all_containers
from seaway_api.http import replies
from seaway_api.routes.call import Call, tell_prune
from seaway_api.translate.networking import find_predefined, network_json
from seaway_contracts import catalogue as cat
from seaway_contracts.base import Empty
from seaway_contracts.docker_errors import network_not_removable, no_such_network
from seaway_contracts.errors import SeawayError, not_found
from seaway_contracts.networks import network_id
from seaway_contracts.nodes import BridgeFacts
from seaway_docker.filters import NETWORK_LIST_KEYS, NETWORK_PRUNE_KEYS, parse_filters, until_ns
from seaway_docker.networks import DRIVERS
from seaway_docker.object_filters import NetworkFacts, check_network_filters, network_matches


async def list_networks(call: Call) -> web.StreamResponse:
    """GET /networks"""
    filters = parse_filters(call.text("filters"), NETWORK_LIST_KEYS)
    check_network_filters(filters)
    bridges = await _bridges(call)
    shown = [
        network_json(name, None, bridges)
        for name, driver in DRIVERS.items()
        if network_matches(filters, NetworkFacts(network_id(name), name, driver))
    ]
    return replies.json(shown)


async def inspect_network(call: Call) -> web.StreamResponse:
    """GET /networks/{name}"""
    name = find_predefined(call.params["name"])
    if name is None:
        raise no_such_network(call.params["name"])
    records = [record async for record in all_containers(call.api.bus, call.api.hub, stopped=False)]
    return replies.json(network_json(name, records, await _bridges(call)))


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
    name = find_predefined(call.params["name"])
    if name is None:
        raise no_such_network(call.params["name"])
    raise network_not_removable(name)


async def prune(call: Call) -> web.StreamResponse:
    """POST /networks/prune. Those that every node has stay."""
    until_ns(parse_filters(call.text("filters"), NETWORK_PRUNE_KEYS), call.api.now_ns())
    await tell_prune(call, "network", 0)
    return replies.json({"NetworksDeleted": None})


async def list_plugins(_: Call) -> web.StreamResponse:
    """GET /plugins"""
    return replies.json([])


async def no_plugin(call: Call) -> web.StreamResponse:
    """GET /plugins/{name}/json"""
    raise not_found(f'plugin "{call.params["name"]}" not found')
