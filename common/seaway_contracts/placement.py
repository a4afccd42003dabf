"""Requests to the scheduler for a node, and its reply."""

from typing import Final, Literal

from pydantic import Field

from seaway_contracts.base import Payload
from seaway_contracts.containers import (
    DeviceRequest,
    Resources,
)
from seaway_contracts.node_settings import Strategy

FILTERS: Final = (
    "node", "up", "excluded", "availability", "platform", "runtime", "constraint", "affinity", "resources",
    "devices", "pressure", "builder",
)  # fmt: skip
"""The scheduler's filters, each of which may refuse a node, in their order."""


class PlacedMount(Payload):
    """A mount as placement sees it; `source` is empty for a volume without a name."""

    type: Literal["bind", "volume", "tmpfs"]
    source: str = ""
    target: str


class Condition(Payload):
    """`key==value`, or `key!=value` if not `equal`.

    `*` in the value stands for any text and `?` for one character; a value between slashes is a regular expression,
    which is searched for. `soft`: a wish, which is dropped if no node meets all wishes.
    """

    key: str
    value: str
    equal: bool = True
    soft: bool = False

    def __str__(self) -> str:
        return f"{self.key}{'==' if self.equal else '!='}{'~' if self.soft else ''}{self.value}"


class PlaceRequest(Payload):
    """Find a node for a container. The request has all that a filter may ask about; `resources` has the devices, too.

    The node is chosen while the image is looked up: `image_id` may be empty, and the image's labels and volumes are
    missing. `networks` are those in which the container gets an endpoint, as its user named them. `node`: the only
    one that will do, if there is one. `constraints` are on nodes (`node`, `node.labels.disk`), `affinities` on what a
    node has already (`container`, `image`, `label`, or the key of a label). `excluded`: nodes that have refused it.
    `builds`: it is a build of an image, which needs a builder.
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
    constraints: tuple[Condition, ...] = ()
    affinities: tuple[Condition, ...] = ()
    excluded: tuple[str, ...] = ()
    node: str = ""
    builds: bool = False

    @property
    def devices(self) -> tuple[DeviceRequest, ...]:
        """The devices that a driver must find."""
        return self.resources.device_requests


class Placement(Payload):
    """The node that was chosen."""

    node: str


class NodeVerdict(Payload):
    """What the scheduler found about one node.

    `filter` and `reason`: which filter refuses it and why; both empty if the node can take the container. Then `rank`
    is its place among those that can (1: the chosen one), `full` the share of its CPUs or memory, whichever is
    greater, that limits would take up with the container, `running` and `containers` are the numbers before it, and
    `unmet` names the wishes that the node does not meet. `has_image`: a container of the same image is there.
    """

    node: str
    filter: str = ""
    reason: str = ""
    rank: int = 0
    full: float = 0.0
    running: int = 0
    containers: int = 0
    unmet: tuple[str, ...] = ()
    has_image: bool = False


class PlacementExplanation(Payload):
    """Where a container would be placed, and why; nothing is reserved or made.

    `node` is empty where none can take it, and `refusal` says why in counts. `verdicts`: the nodes in the order of
    their ranks, then those that are refused, by name; `left_out` more are not listed.
    """

    node: str = ""
    refusal: str = ""
    strategy: Strategy = "spread"
    verdicts: tuple[NodeVerdict, ...] = ()
    left_out: int = 0
