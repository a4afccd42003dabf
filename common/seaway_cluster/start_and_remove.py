"""Start or remove a container, also one that is registered and was never made on its node.

`start` has such a container made first; `remove` takes its registration back.
"""

from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from seaway_bus.bus import Bus, Command
from seaway_cluster.records import FindRecord
from seaway_contracts import catalogue as cat
from seaway_contracts.commands import ContainerId, CreateContainer, RemoveContainer
from seaway_contracts.containers import ContainerRecord, ContainerSpec, ContainerStatus
from seaway_contracts.errors import Code, SeawayError
from seaway_contracts.networks import NetworkRecord, NetworkRef, network_id
from seaway_contracts.records import ForgetContainer
from seaway_contracts.volumes import VolumeRecord, VolumeRef

T = TypeVar("T")
_UNHEARD: Final = (Code.UNAVAILABLE, Code.TIMEOUT)


async def start(bus: Bus, actor: str, find: FindRecord, identifier: str, node: str) -> ContainerStatus:
    """Run a container; the status after that. Raises SeawayError: NOT_MODIFIED where it runs."""

    async def ask() -> ContainerStatus:
        reply = await bus.call(cat.START, ContainerId(id=identifier), node=node, command=Command.new(actor))
        return reply.status

    return await made_first(bus, actor, find, identifier, node, ask)


async def made_first(
    bus: Bus, actor: str, find: FindRecord, identifier: str, node: str, ask: Callable[[], Awaitable[T]]
) -> T:
    """Ask a container's node; where it was never told to make the container, it is now, and is asked again.

    Raises SeawayError.
    """
    try:
        return await ask()
    except SeawayError as error:
        if error.code is not Code.NOT_FOUND:
            raise
        record = await registered_only(find, identifier, error)
    networks, volumes = await _networks(bus, record.spec), await _volumes(bus, record.spec)
    request = CreateContainer(spec=record.spec, networks=networks, volumes=volumes)
    await bus.call(cat.CREATE, request, node=node, command=Command.new(actor))
    return await ask()


async def _networks(bus: Bus, spec: ContainerSpec) -> tuple[NetworkRecord, ...]:
    """The networks of users in which a container has endpoints, but for those that were removed. Raises SeawayError."""
    found = []
    for endpoint in spec.network.endpoints:
        if endpoint.network_id in ("", network_id(endpoint.network)):
            continue
        try:
            found.append((await bus.call(cat.GET_NETWORK, NetworkRef(ref=endpoint.network_id))).network)
        except SeawayError as error:
            if error.code is not Code.NOT_FOUND:
                raise
    return tuple(found)


async def _volumes(bus: Bus, spec: ContainerSpec) -> tuple[VolumeRecord, ...]:
    """The volumes that a container mounts by name, but for those that were removed. Raises SeawayError."""
    found = []
    for name in dict.fromkeys(one.source for one in spec.mounts if one.type == "volume" and not one.anonymous):
        try:
            found.append((await bus.call(cat.GET_VOLUME, VolumeRef(name=name))).volume)
        except SeawayError as error:
            if error.code is not Code.NOT_FOUND:
                raise
    return tuple(found)


async def registered_only(find: FindRecord, identifier: str, error: SeawayError) -> ContainerRecord:
    """The record of a container that is registered, and of which its node has never published anything.

    Raises `error`, with which the node has refused, for every other one.
    """
    try:
        record = await find(identifier)
    except SeawayError:
        raise error from None
    if record.status.seq:
        raise error
    return record


async def remove(bus: Bus, actor: str, find: FindRecord, request: RemoveContainer, node: str) -> bool:
    """Remove a container; False if only its registration was undone. Raises SeawayError."""
    try:
        await bus.call(cat.REMOVE, request, node=node, command=Command.new(actor))
        return True
    except SeawayError as error:
        if error.code not in (Code.NOT_FOUND, *_UNHEARD):
            raise
        await registered_only(find, request.id, error)
        forgotten = ForgetContainer(id=request.id, unheard=error.code in _UNHEARD)
    await bus.call(cat.FORGET, forgotten, command=Command.new(actor))
    return False
