"""POST /containers/create."""

import secrets
from typing import Final

from aiohttp import web

from seaway_api.api import Api
from seaway_api.http import replies
from seaway_api.routes.call import Call
from seaway_api.translate.checked import CheckedCreate, check_create, companion_refs
from seaway_api.translate.older import create_since
from seaway_api.translate.platforms import check_platform, foreign_warnings
from seaway_api.translate.request import container_request
from seaway_api.translate.volumes import check_driver
from seaway_api.translate.warnings import create_warnings
from seaway_cluster.make import ContainerCreator, MadeContainer, new_container_id
from seaway_cluster.records import find_companions
from seaway_cluster.request import Companions, ContainerRequest
from seaway_contracts import catalogue as cat
from seaway_contracts.base import Empty
from seaway_contracts.docker_errors import too_many_cpus
from seaway_contracts.errors import Code, SeawayError
from seaway_contracts.images import ImageRecord, ImageRef
from seaway_docker.errors import InvalidParameter
from seaway_docker.model_container import ContainerCreate
from seaway_docker.mount_checks import normal_path
from seaway_docker.names import container_name, generate_name

_NAME_ATTEMPTS: Final = 8
_CORE: Final = 1_000_000_000


async def create(call: Call) -> web.StreamResponse:
    """Check and translate the body, have the container made."""
    checked = check_create(create_since(call.version, await call.body(ContainerCreate)), call.version)
    warnings = create_warnings(checked.body, call.version)
    names = _names(call.text("name"))
    companions = await find_companions(call.api.record, companion_refs(checked))
    request = await _request(call, checked, companions)
    made, image = await _made(call, request, names, companions.node, checked.body.host_config.volume_driver)
    if not request.platform:
        node = (await call.api.nodes()).view(made.node)
        warnings += foreign_warnings(image, node.os, node.architecture)
    call.api.hub.answers.add(made.spec.id, made.status)
    for volume in made.new_volumes:
        call.api.hub.volumes.made(volume.id)
    return replies.json({"Id": made.spec.id, "Warnings": [*warnings, *made.warnings]}, 201)


def _names(given: str) -> tuple[str, ...]:
    """The name that was given, or some to try. Raises InvalidParameter."""
    if given:
        return (container_name(given),)
    return tuple(generate_name(secrets.randbelow(1 << 32), attempt) for attempt in range(_NAME_ATTEMPTS))


async def _request(call: Call, checked: CheckedCreate, companions: Companions) -> ContainerRequest:
    """A missing image's refusal goes before those of the translation: clients pull upon it."""
    try:
        return container_request(checked, companions, call.text("platform"))
    except InvalidParameter:
        await call.api.bus.call(cat.GET_IMAGE, ImageRef(ref=checked.body.image))
        raise


async def _made(
    call: Call, request: ContainerRequest, names: tuple[str, ...], node: str | None, volume_driver: str
) -> tuple[MadeContainer, ImageRecord]:
    """The container, and the image as it was found."""
    found: list[ImageRecord] = []
    api, identifier = call.api, new_container_id()
    creator = ContainerCreator(
        api.bus,
        api.tasks,
        call.connection.actor,
        image_found=api.making.__setitem__,
        registered=api.hub.remember,
    )

    def accept(image: ImageRecord) -> None:
        found.append(image)
        check_platform(request.platform, request.image, image)
        taken = {mount.target for mount in request.mounts}
        if any(normal_path(path) not in taken for path in image.config.volumes):
            check_driver("", volume_driver)

    try:
        made = await creator.make(request, names, identifier=identifier, node=node, accept=accept)
        return made, found[-1]
    except BaseException as error:
        api.hub.forget(identifier)
        if isinstance(error, SeawayError) and error.code is Code.UNPLACEABLE:
            raise await _unplaceable(api, request.resources.nano_cpus, error) from error
        raise
    finally:
        api.making.pop(identifier, None)


async def _unplaceable(api: Api, nano_cpus: int, error: SeawayError) -> SeawayError:
    """Docker's words where no node has so many CPUs at all; else the scheduler's own."""
    if nano_cpus <= 0:
        return error
    nodes = (await api.bus.call(cat.LIST_NODES, Empty())).nodes
    most = max((node.beat.capacity.nano_cpus for node in nodes if node.state == "up"), default=0)
    return too_many_cpus(most // _CORE) if 0 < most < nano_cpus else error
