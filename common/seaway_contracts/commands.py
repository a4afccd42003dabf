"""Requests and replies about containers: to metadata, to the scheduler, to one node's agent."""

from typing import Final, Literal

from pydantic import Field

from seaway_contracts.base import Payload
from seaway_contracts.containers import (
    ContainerRecord,
    ContainerSpec,
    ContainerStatus,
    DeviceRequest,
    Health,
    Resources,
    RestartPolicy,
)

# --- metadata


class RegisterContainer(Payload):
    """Reserve the name and store the record, before the node makes the container."""

    spec: ContainerSpec
    node: str


class ForgetContainer(Payload):
    """Undo the registration of a container that was never made, and free its name.

    `unheard`: the node may have made it, but can't be asked. It removes the container as soon as it can be reached.
    """

    id: str
    name: str = ""
    unheard: bool = False


GONE: Final = 1 << 53
"""In a basis: the asker knows that the container is removed."""


class ResolveContainer(Payload):
    """A container as a user names it: id, name, or prefix of an id.

    `basis`: the status numbers that the asker knows, by container; the reply must not be older.
    """

    ref: str
    basis: dict[str, int] = Field(default_factory=dict)


class ContainerLocation(Payload):
    """A container and the node that holds it."""

    id: str
    node: str
    name: str


class ListContainers(Payload):
    """Page through the records in order of creation, newest first: pass the `next` of the page before.

    `basis` as in ResolveContainer.
    """

    all: bool = True
    after: str = ""
    basis: dict[str, int] = Field(default_factory=dict)


class ContainerList(Payload):
    """Records, newest first; `next` continues the listing unless it is empty.

    Metadata sends each record on a line of its own (`page_lines`). The line changes only with the record.
    """

    containers: tuple[ContainerRecord, ...] = ()
    next: str = ""


PAGE_HEAD: Final = b'{"containers":[\n'
PAGE_COMMA: Final = b",\n"
PAGE_TAIL: Final = b'\n],"next":"'


def page_lines(page: bytes) -> tuple[list[bytes], str] | None:
    """The records' lines in a ContainerList, and its `next`; None if it has another form."""
    records, tail, following = page.rpartition(PAGE_TAIL)
    if not tail or not records.startswith(PAGE_HEAD):
        return None
    lines = records[len(PAGE_HEAD) :].split(PAGE_COMMA)
    return (lines if lines != [b""] else []), following.removesuffix(b'"}').decode()


class ListKnown(Payload):
    """The containers in a node's database."""

    ids: tuple[str, ...] = ()


class KnownContainers(Payload):
    """The records of containers that the node has reported, and the ids of those that it has removed."""

    containers: tuple[ContainerRecord, ...] = ()
    removed: tuple[str, ...] = ()


# --- scheduler


class PlacedMount(Payload):
    """A mount as placement sees it; `source` is empty for a volume without a name."""

    type: Literal["bind", "volume", "tmpfs"]
    source: str = ""
    target: str


class PlaceRequest(Payload):
    """Find a node for a container. It has all that a filter may ask about; `resources` has the devices, too.

    The node is chosen while the image is looked up: `image_id` may be empty, and the image's labels and volumes are
    missing. `networks` are those in which the container gets an endpoint, as its user named them.
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

    @property
    def devices(self) -> tuple[DeviceRequest, ...]:
        """The devices that a driver must find."""
        return self.resources.device_requests


class Placement(Payload):
    """The node that was chosen."""

    node: str


# --- agent


class CreateContainer(Payload):
    """Make the container on this node; the same id twice makes it once.

    `former`: its last reported status, if the node held it and lost it in a reboot.
    """

    spec: ContainerSpec
    former: ContainerStatus | None = None


class ContainerId(Payload):
    """A command with the container's id alone."""

    id: str


class CreateRejected(Payload):
    """Whether the container doesn't exist, and this agent will never make it."""

    rejected: bool = False


class StopContainer(Payload):
    """Stop: signal, wait `timeout_s` (None: the container's own, negative: for ever), then SIGKILL."""

    id: str
    timeout_s: int | None = None
    signal: str = ""


class KillContainer(Payload):
    """Send one signal."""

    id: str
    signal: str = "SIGKILL"


class RemoveContainer(Payload):
    """Remove; `force` kills a running one, `volumes` also removes its anonymous volumes."""

    id: str
    force: bool = False
    volumes: bool = False


class RenameContainer(Payload):
    """Change its name (without Docker's slash)."""

    id: str
    name: str


class UpdateContainer(Payload):
    """Change limits and restart policy. A limit at its default and a policy of None stay as they are."""

    id: str
    limits: Resources = Field(default_factory=Resources)
    restart: RestartPolicy | None = None


class ListProcesses(Payload):
    """List a container's processes as `ps` does with these arguments."""

    id: str
    ps_args: str = "-ef"


class ProcessList(Payload):
    """A table of `ps`: its titles, and a row for each process."""

    titles: tuple[str, ...] = ()
    processes: tuple[tuple[str, ...], ...] = ()


class HealthReply(Payload):
    """A container's health; None without a health check."""

    health: Health | None = None


class ResizeTty(Payload):
    """The size of the container's terminal in character cells."""

    id: str
    height: int
    width: int


class AttachContainer(Payload):
    """Attach to the container through the byte stream `stream`, in Docker's multiplexed frames.

    There are no frames with `raw` or with a TTY.
    """

    id: str
    stream: str
    stdin: bool = False
    stdout: bool = True
    stderr: bool = True
    logs: bool = False
    follow: bool = True
    raw: bool = False


class ReadLogs(Payload):
    """Send the container's output through the byte stream `stream`. `tail` -1: all; since/until: Unix ns, 0 none."""

    id: str
    stream: str
    stdout: bool = True
    stderr: bool = True
    follow: bool = False
    tail: int = -1
    since_ns: int = 0
    until_ns: int = 0
    timestamps: bool = False
    details: bool = False


class StatusReply(Payload):
    """The container's status after the command, and warnings for its user."""

    status: ContainerStatus
    warnings: tuple[str, ...] = ()


class InventoryItem(Payload):
    """A container that a node holds."""

    spec: ContainerSpec
    status: ContainerStatus


class ListInventory(Payload):
    """Page through a node's containers: pass the `next` of the page before. `ids`: only these, if there are any."""

    after: str = ""
    ids: tuple[str, ...] = ()


class Inventory(Payload):
    """The containers that a node holds. `epoch` and `revision` as in its beats.

    `lost_memory`: the node has rebooted, and its database may lack the last containers before that.
    """

    node: str
    epoch: str
    revision: int
    containers: tuple[InventoryItem, ...] = ()
    next: str = ""
    lost_memory: bool = False


PrunedKind = Literal["container", "image", "network", "builder"]


class Pruned(Payload):
    """The result of a prune: `reclaimed` bytes of things of this kind."""

    kind: PrunedKind
    reclaimed: int = 0
