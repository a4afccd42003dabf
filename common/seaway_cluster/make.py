"""Make a container: find image and node side by side, reserve name and record, have the node make it.

Each failure undoes what was done before it: the placement is given back, the registration taken back, and what the
node may have made is removed. If the chosen node has no room left, the container is placed on another one.
"""

import logging
import secrets
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial

from seaway_bus.bus import Bus, Command
from seaway_bus.transport import TransportError
from seaway_cluster.image_mounts import with_images
from seaway_cluster.registrations import Registrations
from seaway_cluster.request import ContainerRequest, Identity, container_spec, place_request
from seaway_contracts import catalogue as cat
from seaway_contracts.commands import ContainerId, CreateContainer, RemoveContainer, StatusReply
from seaway_contracts.containers import ContainerSpec, ContainerStatus
from seaway_contracts.errors import Code, Reason, SeawayError, conflict
from seaway_contracts.ids import short_id
from seaway_contracts.images import ImageRecord, ImageRef
from seaway_contracts.records import ForgetContainer, RegisteredContainer
from seaway_contracts.volumes import VolumeRecord
from seaway_kit.failpoints import Failpoint, reach
from seaway_kit.tasks import Tasks

log = logging.getLogger(__name__)
_REMOVE_S = 5.0
_MOST_REFUSALS = 4
"""At most so many nodes are asked to make a container."""

Note = Callable[[str, str], None]
"""Takes a container's id, and what is known of it by now."""


@dataclass(frozen=True)
class MadeContainer:
    """A container that its node has made, the status after that, and what the node warns of.

    `new_volumes`: those with a name that were made with it.
    """

    spec: ContainerSpec
    node: str
    status: ContainerStatus
    warnings: tuple[str, ...] = ()
    new_volumes: tuple[VolumeRecord, ...] = ()


def new_container_id() -> str:
    """64 random hex digits. They begin as a host name can, which must not look like a number."""
    while short_id(identifier := secrets.token_hex(32)).isdigit():
        pass
    return identifier


def nothing(*_: object) -> None:
    """Takes no note, and accepts any image."""


class ContainerCreator:
    """Makes containers in the name of `actor`; `tasks` finish what a failure leaves to be undone."""

    def __init__(
        self, bus: Bus, tasks: Tasks, actor: str, *, image_found: Note = nothing, registered: Note = nothing
    ) -> None:
        """`image_found` is called with an image's id, which is in use from then on; `registered` with the node, before
        that is asked to make the container.
        """
        self._bus = bus
        self._tasks = tasks
        self._actor = actor
        self._image_found = image_found
        self._registered = registered
        self._registrations = Registrations(bus, tasks, actor)

    async def make(
        self,
        request: ContainerRequest,
        names: Sequence[str],
        *,
        identifier: str = "",
        node: str | None = None,
        accept: Callable[[ImageRecord], None] = nothing,
    ) -> MadeContainer:
        """Make it, named by the first of `names` that is free; on `node`, or where the scheduler places it.

        `accept` raises what speaks against the image, once image and node are found. Raises SeawayError.
        """
        identifier = identifier or new_container_id()
        image, placed = await self._image_and_node(request, identifier, node)
        try:
            accept(image)
            request = await with_images(self._bus, request, partial(self._image_found, identifier))
            whole = container_spec(request, image, Identity(identifier, names[0], time.time_ns(), _new_volume))
            return await self._make_where_placed(request, whole, placed, names, is_fixed=node is not None)
        except BaseException:
            self._tasks.spawn("unplace", self._unplace(identifier))
            raise

    async def _make_where_placed(
        self, request: ContainerRequest, spec: ContainerSpec, placed: str, names: Sequence[str], *, is_fixed: bool
    ) -> MadeContainer:
        """Make it on the node that was chosen; on another one if that has no room left, unless the node `is_fixed`."""
        refused: tuple[str, ...] = ()
        while True:
            registered, at = await self._register(request, spec, placed, names, is_fixed=is_fixed, refused=refused)
            self._registered(spec.id, at)
            reach(Failpoint.CREATE_REGISTERED)
            try:
                reply = await self._make(registered, at)
            except _Refused as error:
                refused = (*refused, at)
                if is_fixed:
                    raise error.reason from None
                if len(refused) == _MOST_REFUSALS:
                    raise _without_room(error.reason, len(refused)) from None
                placed = _chosen(await self._place(request, spec.id, refused=refused))
                continue
            reach(Failpoint.CREATE_MADE)
            new_volumes = tuple(one for one in registered.volumes if one.made_for == spec.id)
            return MadeContainer(registered.spec, at, reply.status, reply.warnings, new_volumes)

    async def _image_and_node(
        self, request: ContainerRequest, identifier: str, node: str | None
    ) -> tuple[ImageRecord, str]:
        """The image's refusal goes before the scheduler's: Docker's clients pull upon it."""
        if node is not None:
            return await self._image(request, identifier), node
        placing = self._tasks.spawn("place", self._place(request, identifier))
        try:
            image = await self._image(request, identifier)
        except BaseException:
            self._tasks.spawn("unplace", self._unplace(identifier, placing))
            raise
        return image, _chosen(await placing)

    async def _image(self, request: ContainerRequest, identifier: str) -> ImageRecord:
        image = await self._bus.call(cat.GET_IMAGE, ImageRef(ref=request.image))
        self._image_found(identifier, image.id)
        return image

    async def _register(
        self,
        request: ContainerRequest,
        spec: ContainerSpec,
        node: str,
        names: Sequence[str],
        *,
        is_fixed: bool,
        refused: tuple[str, ...],
    ) -> tuple[RegisteredContainer, str]:
        """The registered container and its node: that of its networks and volumes, if it is another than was placed."""
        try:
            return await self._registrations.register(spec, node, names), node
        except SeawayError as error:
            if is_fixed or error.reason is not Reason.OTHER_NODE:
                raise
            first = error
        placed = _chosen(await self._place(request, spec.id, first.facts["node"], refused))
        try:
            return await self._registrations.register(spec, placed, names), placed
        except SeawayError as error:
            raise _on_two_nodes(first, error) if error.reason is Reason.OTHER_NODE else error from None

    async def _place(
        self, request: ContainerRequest, identifier: str, node: str = "", refused: tuple[str, ...] = ()
    ) -> str | SeawayError:
        """The node, or the scheduler's refusal as a value, so that it is not logged.

        `node`: the only one that will do. `refused`: those that have no room.
        """
        try:
            return (await self._bus.call(cat.PLACE, place_request(request, identifier, node, refused))).node
        except SeawayError as error:
            return error

    async def _unplace(self, identifier: str, placing: Awaitable[object] | None = None) -> None:
        """Give back what a placement takes up on its node. If the scheduler can't be reached, it lapses in a minute."""
        if placing is not None:
            await placing
        try:
            await self._bus.publish(cat.UNPLACED, ContainerId(id=identifier))
        except TransportError as error:
            log.debug("the placement of %s lapses by itself: %s", identifier, error)

    async def _make(self, registered: RegisteredContainer, node: str) -> StatusReply:
        """Have the node make it; if it can't, or doesn't answer, nothing is left of it.

        Raises _Refused where another node may have room for it, and SeawayError.
        """
        spec, command = registered.spec, Command.new(self._actor)
        request = CreateContainer(spec=spec, networks=registered.networks, volumes=registered.volumes)
        try:
            return await self._bus.call(cat.CREATE, request, node=node, command=command)
        except SeawayError as error:
            unheard = error.code is Code.UNAVAILABLE
            if error.code is Code.TIMEOUT:
                unheard = not await self._unmade(spec, node)
            forgotten = await self._registrations.forget(ForgetContainer(id=spec.id, name=spec.name, unheard=unheard))
            if error.reason is Reason.NO_ROOM and forgotten:
                raise _Refused(error) from None
            if error.code is not Code.TIMEOUT:
                raise
            text = (
                f"{error.message}. Container {spec.name} is given up: if the node makes it all the same, it is removed"
            )
            raise SeawayError(error.code, text) from error

    async def _unmade(self, spec: ContainerSpec, node: str) -> bool:
        """Take away what the node may have made. False if it doesn't answer to that either."""
        request, command = RemoveContainer(id=spec.id, force=True, volumes=True), Command.new(self._actor)
        try:
            await self._bus.call(cat.REMOVE, request, node=node, command=command, timeout_s=_REMOVE_S)
        except SeawayError as error:
            return error.code is Code.NOT_FOUND
        return True


class _Refused(Exception):
    """A node has no room for the container, whose registration was taken back."""

    def __init__(self, reason: SeawayError) -> None:
        super().__init__(reason)
        self.reason = reason


def _chosen(placed: str | SeawayError) -> str:
    if isinstance(placed, SeawayError):
        raise placed
    return placed


def _without_room(last: SeawayError, nodes: int) -> SeawayError:
    """The same code as where the scheduler finds no node."""
    return SeawayError(Code.UNPLACEABLE, f"{nodes} nodes have refused it, the last: {last.message}")


def _on_two_nodes(first: SeawayError, other: SeawayError) -> SeawayError:
    """No node will do: what the container needs is on several."""
    places = [f"{error.facts.get('thing', 'it')} is on node {error.facts['node']}" for error in (first, other)]
    return conflict(f"no node can have the container: {' and '.join(dict.fromkeys(places))}")


def _new_volume() -> str:
    return secrets.token_hex(32)
