"""Requests to the scheduler for a node, and its reply."""

from typing import Literal

from pydantic import Field

from seaway_contracts.base import Payload
from seaway_contracts.containers import (
    DeviceRequest,
    Resources,
)


class PlacedMount(Payload):
    """A mount as placement sees it; `source` is empty for a volume without a name."""

    type: Literal["bind", "volume", "tmpfs"]
    source: str = ""
    target: str


class PlaceRequest(Payload):
    """Find a node for a container. The request has all that a filter may ask about; `resources` has the devices, too.

    The node is chosen while the image is looked up: `image_id` may be empty, and the image's labels and volumes are
    missing. `networks` are those in which the container gets an endpoint, as its user named them. `node`: the only
    one that will do, if there is one. `excluded`: nodes that have refused it.
    """

    container_id: str
    resources: Resources = Field(default_factory=Resources)
    labels: dict[str, str] = Field(default_factory=dict)
    mounts: tuple[PlacedMount, ...] = ()
    networks: tuple[str, ...] = ()
    host_ports: tuple[int, ...] = ()
    runtime: str = ""
    platform: str = ""
    image_ref: str = ""
    image_id: str = ""
    constraints: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()
    node: str = ""

    @property
    def devices(self) -> tuple[DeviceRequest, ...]:
        """The devices that a driver must find."""
        return self.resources.device_requests


class Placement(Payload):
    """The node that was chosen."""

    node: str
