"""POST /containers/create."""

import logging
import secrets
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Final, TypeVar

from aiohttp import web

from seaway_api.api import Api
from seaway_api.http import replies
from seaway_api.routes.call import Call
from seaway_api.routes.undo_create import forget, forget_later
from seaway_api.translate.platforms import check_platform
from seaway_api.translate.spec import (
    Naming,
    Partners,
    asked_networks,
    check_create,
    container_spec,
    joined_containers,
    linked_containers,
    place_request,
    spec_of_body,
    volume_sources,
)
from seaway_api.translate.warnings import create_warnings
from seaway_bus.bus import Command
from seaway_contracts import catalogue as cat
from seaway_contracts.base import Empty
from seaway_contracts.commands import (
    ContainerId,
    CreateContainer,
    ForgetContainer,
    RegisterContainer,
    RemoveContainer,
)
from seaway_contracts.containers import ContainerRecord, ContainerSpec, Mount
from seaway_contracts.errors import Code, SeawayError, bad_request, not_found
from seaway_contracts.images import ImageRecord, ImageRef
from seaway_docker.errors import InvalidParameter, no_such_network, too_many_cpus
from seaway_docker.model_container import ContainerCreate
from seaway_docker.names import container_name, generate_name
from seaway_kit.failpoints import Failpoint, reach

log = logging.getLogger(__name__)
T = TypeVar("T")
_NAME_ATTEMPTS: Final = 8
_CORE: Final = 1_000_000_000


@dataclass(frozen=True)
class _Companions:
    """The other containers that a body names, and the one node where they are."""

    partners: Partners
    node: str | None = None


async def create(call: Call) -> web.StreamResponse:
    """Make a container: image and node are found side by side, then name and record are reserved, then it is made."""
    body = await call.body(ContainerCreate)
    check_create(body)
    warnings = create_warnings(body, call.version)
    given = call.text("name")
    name = container_name(given) if given else ""
    identifier = call.api.new_id()
    try:
        told = await _made(call, body, name, identifier)
    finally:
        call.api.making.pop(identifier, None)
    return replies.json({"Id": identifier, "Warnings": [*warnings, *told]}, 201)


async def _made(call: Call, body: ContainerCreate, name: str, identifier: str) -> tuple[str, ...]:
    """Make it; what its node warns of."""
    companions = await _companions(call.api, body)
    platform = call.text("platform")
    image, node = await _image_and_node(call.api, body, identifier, platform, companions.node)
    try:
        for network in asked_networks(body):
            raise not_found(no_such_network(network))
        check_platform(platform, body.image, image)
        for attempt in range(_NAME_ATTEMPTS):
            chosen = name or generate_name(secrets.randbelow(1 << 32), attempt)
            naming = Naming(identifier, chosen, call.api.now_ns(), _new_volume, platform)
            spec = container_spec(body, image, naming, companions.partners)
            if await _register(call, spec, node, may_retry=not name and attempt < _NAME_ATTEMPTS - 1):
                break
        reach(Failpoint.CREATE_REGISTERED)
        told = await _make(call, spec, node)
        reach(Failpoint.CREATE_MADE)
        return told
    except BaseException:
        call.api.hub.forget(identifier)
        call.api.tasks.spawn("unplace", _unplace(call.api, identifier))
        raise


def _new_volume() -> str:
    return secrets.token_hex(32)


# --- image and node


async def _image_and_node(
    api: Api, body: ContainerCreate, identifier: str, platform: str, node: str | None
) -> tuple[ImageRecord, str]:
    """The image's refusal goes before the scheduler's: clients pull upon it."""
    if node is not None:
        return await _image(api, body, identifier), node
    placing = api.tasks.spawn("place", _outcome(_place(api, body, identifier, platform)))
    try:
        image = await _image(api, body, identifier)
    except BaseException:
        api.tasks.spawn("unplace", _unplace(api, identifier, placing))
        raise
    placed = await placing
    if isinstance(placed, Exception):
        raise placed
    return image, placed


async def _image(api: Api, body: ContainerCreate, identifier: str) -> ImageRecord:
    """From now on it is in use."""
    image = await api.bus.call(cat.GET_IMAGE, ImageRef(ref=body.image))
    api.making[identifier] = image.id
    return image


async def _place(api: Api, body: ContainerCreate, identifier: str, platform: str) -> str:
    """A node for a container without companions; its name and the names of its volumes don't matter yet."""
    naming = Naming(identifier, "", 0, lambda: "", platform)
    request = place_request(spec_of_body(body, naming, Partners({})))
    try:
        return (await api.bus.call(cat.PLACE, request)).node
    except SeawayError as error:
        raise await _refused(api, request.resources.nano_cpus, error) from error


async def _unplace(api: Api, identifier: str, placing: Awaitable[object] | None = None) -> None:
    """Nothing comes of a placement: what it takes up on its node is free. Unheard, it lapses within a minute."""
    if placing is not None:
        await placing
    try:
        await api.bus.call(cat.UNPLACE, ContainerId(id=identifier))
    except SeawayError as error:
        log.debug("the placement of %s lapses by itself: %s", identifier, error)


async def _refused(api: Api, nano_cpus: int, error: SeawayError) -> SeawayError:
    """Docker's words where no node has so many CPUs at all; else the scheduler's own."""
    if nano_cpus <= 0:
        return error
    nodes = (await api.bus.call(cat.LIST_NODES, Empty())).nodes
    most = max((node.beat.capacity.nano_cpus for node in nodes if node.state == "up"), default=0)
    return bad_request(too_many_cpus(most // _CORE)) if 0 < most < nano_cpus else error


async def _outcome(work: Awaitable[T]) -> T | SeawayError | InvalidParameter:
    """A task's failure as a value: whoever awaits it decides, nobody logs it."""
    try:
        return await work
    except (SeawayError, InvalidParameter) as error:
        return error


# --- other containers


async def _companions(api: Api, body: ContainerCreate) -> _Companions:
    """Look up the containers whose namespaces or volumes are shared, or that are linked to; they bind the new one
    to their node.
    """
    joined, sources, linked = joined_containers(body), volume_sources(body), linked_containers(body)
    if not joined and not sources and not linked:
        return _Companions(Partners({}))
    records = {ref: await _companion(api, ref) for ref in dict.fromkeys((*joined, *(ref for ref, _ in sources)))}
    records |= {ref: await _companion(api, ref, f"could not get container for {ref}: ") for ref in linked}
    nodes = {record.node for record in records.values()}
    if len(nodes) > 1:
        raise bad_request(f"the containers {', '.join(records)} are on different nodes and can't be shared together")
    mounts = [mount for ref, read_only in sources for mount in _taken_over(records[ref], read_only)]
    ids = {ref: record.id for ref, record in records.items()}
    names = {ref: records[ref].spec.name for ref in linked}
    return _Companions(Partners(ids, tuple(mounts), names), nodes.pop())


async def _companion(api: Api, ref: str, head: str = "") -> ContainerRecord:
    """A container that is named in a body. Not a 404 if it isn't there: upon that, clients would pull the image."""
    try:
        return await api.record(ref)
    except SeawayError as error:
        if error.code != Code.NOT_FOUND:
            raise
        raise bad_request(head + error.message) from error


def _taken_over(record: ContainerRecord, read_only: bool) -> list[Mount]:
    """Anonymous ones stay so: whoever is the last to be removed with its volumes takes them along, as with Docker."""
    return [
        mount.model_copy(update={"read_only": mount.read_only or read_only, "no_copy": True, "shown_mode": ""})
        for mount in record.spec.mounts
        if mount.type != "tmpfs"
    ]


# --- making it


async def _register(call: Call, spec: ContainerSpec, node: str, *, may_retry: bool) -> bool:
    """Reserve name and record; False if a generated name is taken and another may be tried."""
    try:
        await call.api.bus.call(cat.REGISTER, RegisterContainer(spec=spec, node=node), command=call.command())
    except SeawayError as error:
        if error.code == Code.CONFLICT and may_retry:
            return False
        if error.retryable:
            later = forget_later(call.api, ForgetContainer(id=spec.id, name=spec.name))
            call.api.tasks.spawn(f"forget-{spec.id[:12]}", later)
        raise
    call.api.hub.remember(spec.id, node)
    return True


async def _make(call: Call, spec: ContainerSpec, node: str) -> tuple[str, ...]:
    """Have the node make it; if it can't, or doesn't answer, nothing is left of it. Gives the node's warnings."""
    command = call.command()
    try:
        made = await call.api.bus.call(cat.CREATE, CreateContainer(spec=spec), node=node, command=command)
        call.api.hub.answers.add(spec.id, made.status)
        return made.warnings
    except SeawayError as error:
        unheard = error.code is Code.UNAVAILABLE
        if error.code is Code.TIMEOUT:
            unheard = not await _unmade(call, spec, node, command)
        await _forget(call, spec, unheard=unheard)
        if error.code is not Code.TIMEOUT:
            raise
        text = f"{error.message}. Container {spec.name} is given up: if the node makes it all the same, it is removed"
        raise SeawayError(error.code, text) from error


async def _unmade(call: Call, spec: ContainerSpec, node: str, command: Command) -> bool:
    """Take away what the node may have made. False if it doesn't answer to that either."""
    request = RemoveContainer(id=spec.id, force=True, volumes=True)
    try:
        await call.api.bus.call(cat.REMOVE, request, node=node, command=Command.new(command.actor), timeout_s=5)
    except SeawayError as error:
        return error.code == Code.NOT_FOUND
    return True


async def _forget(call: Call, spec: ContainerSpec, *, unheard: bool) -> None:
    """Take the registration back; `unheard`: its node has not said that it isn't there."""
    await forget(call.api, ForgetContainer(id=spec.id, name=spec.name, unheard=unheard))
