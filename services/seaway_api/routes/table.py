"""All endpoints. More specific templates come first: `{name}` takes slashes too."""

from seaway_api.http.routing import Route
from seaway_api.routes import (
    archive,
    attach,
    attach_ws,
    buildkit,
    builds,
    containers,
    contract,
    create,
    endpoints,
    events,
    exec,
    images,
    logs,
    networks,
    registries,
    run,
    stats,
    system,
    transfer,
    volumes,
)
from seaway_api.routes.absent import checkpoint_routes
from seaway_api.routes.call import ApiRoute
from seaway_api.routes.plugins import plugin_routes
from seaway_api.routes.swarm import swarm_routes


def all_routes() -> list[ApiRoute]:
    """The whole table."""
    refused = (*swarm_routes(), *checkpoint_routes())
    return [*_system(), *_containers(), *_images(), *_networks(), *_volumes(), *plugin_routes(), *refused]


def _system() -> list[ApiRoute]:
    return [
        Route("GET", "/_ping", system.ping, early=True),
        Route("HEAD", "/_ping", system.ping, early=True),
        Route("GET", "/version", system.version, early=True),
        Route("GET", "/info", system.info, early=True),
        Route("POST", "/auth", system.auth),
        Route("GET", "/system/df", system.disk_usage),
        Route("GET", "/events", events.events, waits=True),
        Route("POST", "/grpc", buildkit.grpc, waits=True),
        Route("POST", "/session", buildkit.session, waits=True),
        Route("GET", "/seaway/asyncapi.json", contract.asyncapi, early=True),
    ]


def _containers() -> list[ApiRoute]:
    return [
        Route("GET", "/containers/json", containers.list_containers),
        Route("POST", "/containers/create", create.create),
        Route("POST", "/containers/prune", containers.prune),
        Route("POST", "/containers/{name}/start", run.start),
        Route("POST", "/containers/{name}/stop", run.stop),
        Route("POST", "/containers/{name}/restart", run.restart),
        Route("POST", "/containers/{name}/kill", run.kill),
        Route("POST", "/containers/{name}/pause", run.pause),
        Route("POST", "/containers/{name}/unpause", run.unpause),
        Route("POST", "/containers/{name}/resize", run.resize),
        Route("POST", "/containers/{name}/rename", containers.rename),
        Route("POST", "/containers/{name}/update", containers.update),
        Route("GET", "/containers/{name}/top", containers.top),
        Route("GET", "/containers/{name}/stats", stats.stats, waits=True),
        Route("POST", "/containers/{name}/exec", exec.create),
        Route("POST", "/exec/{name}/start", exec.start, waits=True),
        Route("POST", "/exec/{name}/resize", exec.resize),
        Route("GET", "/exec/{name}/json", exec.inspect),
        Route("POST", "/containers/{name}/wait", run.wait, waits=True),
        Route("POST", "/containers/{name}/attach", attach.attach, waits=True),
        Route("GET", "/containers/{name}/attach/ws", attach_ws.attach_ws, waits=True),
        Route("GET", "/containers/{name}/json", containers.inspect),
        Route("GET", "/containers/{name}/logs", logs.logs, waits=True),
        Route("HEAD", "/containers/{name}/archive", archive.stat),
        Route("GET", "/containers/{name}/archive", archive.read, waits=True),
        Route("PUT", "/containers/{name}/archive", archive.write, waits=True),
        Route("GET", "/containers/{name}/export", archive.export, waits=True),
        Route("GET", "/containers/{name}/changes", archive.changes),
        Route("POST", "/commit", images.commit),
        Route("DELETE", "/containers/{name}", run.remove, nameless=True),
    ]


def _images() -> list[ApiRoute]:
    return [
        Route("GET", "/images/json", images.list_images),
        Route("GET", "/images/get", transfer.save_many, waits=True),
        Route("POST", "/images/create", transfer.create, waits=True),
        Route("GET", "/images/search", registries.search, waits=True),
        Route("POST", "/images/load", transfer.load, waits=True),
        Route("POST", "/images/prune", images.prune),
        Route("POST", "/build", builds.build, waits=True),
        Route("POST", "/build/cancel", builds.cancel),
        Route("POST", "/build/prune", builds.prune),
        Route("POST", "/images/{name}/tag", images.tag),
        Route("POST", "/images/{name}/push", registries.push, waits=True),
        Route("GET", "/images/{name}/json", images.inspect),
        Route("GET", "/images/{name}/history", images.history),
        Route("GET", "/images/{name}/get", transfer.save_one, waits=True),
        Route("DELETE", "/images/{name}", images.remove, nameless=True),
        Route("GET", "/distribution/{name}/json", registries.distribution, waits=True),
    ]


def _networks() -> list[ApiRoute]:
    return [
        Route("GET", "/networks", networks.list_networks),
        Route("GET", "/networks/", networks.list_networks),
        Route("POST", "/networks/create", networks.create),
        Route("POST", "/networks/prune", networks.prune),
        Route("POST", "/networks/{name}/connect", endpoints.connect),
        Route("POST", "/networks/{name}/disconnect", endpoints.disconnect),
        Route("GET", "/networks/{name}", networks.inspect_network),
        Route("DELETE", "/networks/{name}", networks.remove_network, nameless=True),
    ]


def _volumes() -> list[ApiRoute]:
    return [
        Route("GET", "/volumes", volumes.list_volumes),
        Route("POST", "/volumes/create", volumes.create),
        Route("POST", "/volumes/prune", volumes.prune),
        Route("GET", "/volumes/{name}", volumes.inspect, nameless=True),
        Route("PUT", "/volumes/{name}", volumes.update, nameless=True),
        Route("DELETE", "/volumes/{name}", volumes.remove, nameless=True),
    ]
