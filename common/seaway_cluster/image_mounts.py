"""Mounts of images: the images are found before the container is made, so that it stays what it was made of."""

from collections.abc import Callable
from dataclasses import replace

from seaway_bus.bus import Bus
from seaway_cluster.request import ContainerRequest
from seaway_contracts import catalogue as cat
from seaway_contracts.containers import ImageUse, Mount
from seaway_contracts.images import ImageRef


async def with_images(bus: Bus, request: ContainerRequest, found: Callable[[str], object]) -> ContainerRequest:
    """The request with the images that it mounts; `found` is called with the id of each. Raises SeawayError (404)."""
    if not any(mount.type == "image" for mount in request.mounts):
        return request
    mounts = [await _with_image(bus, mount, found) if mount.type == "image" else mount for mount in request.mounts]
    return replace(request, mounts=tuple(mounts))


async def _with_image(bus: Bus, mount: Mount, found: Callable[[str], object]) -> Mount:
    image = await bus.call(cat.GET_IMAGE, ImageRef(ref=mount.source))
    found(image.id)
    return mount.model_copy(update={"image": ImageUse(ref=mount.source, id=image.id, layers=image.layers)})
