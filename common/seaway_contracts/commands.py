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
    """Take back a registration whose container was never made, and the name that it holds.

    `unheard`: the node may have made it, and can't be asked. As soon as it can, it is told to remove it.
    """

    id: str
    name: str = ""
    unheard: bool = False


GONE: Final = 1 << 53
"""In a basis: the container is to be gone."""


class ResolveContainer(Payload):
    """A container as a user names it: id, name, or prefix of an id.

    `basis`: the numbers of statuses, by container, that the asker knows of; the reply is not to be older.
    """

    ref: str
    basis: dict[str, int] = Field(default_factory=dict)


class ContainerLocation(Payload):
    """Which container it is and which node holds it."""

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
    """Records, newest first; `next` continues the listing where not empty.

    Metadata sends each record on a line of its own (`page_lines`), the same bytes for as long as it is the same.
    """

    containers: tuple[ContainerRecord, ...] = ()
    next: str = ""


PAGE_HEAD: Final = b'{"containers":[\n'
PAGE_COMMA: Final = b",\n"
PAGE_TAIL: Final = b'\n],"next":"'


def page_lines(page: bytes) -> tuple[list[bytes], str] | None:
    """The records of a ContainerList as they stand in it, and its `next`; None where it is written otherwise."""
    records, tail, following = page.rpartition(PAGE_TAIL)
    if not tail or not records.startswith(PAGE_HEAD):
        return None
    lines = records[len(PAGE_HEAD) :].split(PAGE_COMMA)
    return (lines if lines != [b""] else []), following.removesuffix(b'"}').decode()


class ListKnown(Payload):
    """Containers that a node's database has."""

    ids: tuple[str, ...] = ()


class KnownContainers(Payload):
    """What the node has told of them: the records as they are, and the ids of those that it has removed."""

    containers: tuple[ContainerRecord, ...] = ()
    removed: tuple[str, ...] = ()


# --- scheduler


class PlacedMount(Payload):
    """A mount as placement sees it; `source` is empty for a volume without a name."""

    type: Literal["bind", "volume", "tmpfs"]
    source: str = ""
    target: str


class PlaceRequest(Payload):
    """Find a node for a container: all that a filter may ask about. `resources` has the devices, too.

    The node is sought while the image is: `image_id` may be empty, and what the image says is not in it (its labels
    and volumes). `networks` are those in which the container gets an endpoint, as its user named them.
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
        """The devices that a driver is to find."""
        return self.resources.device_requests


class Placement(Payload):
    """The node that was chosen."""

    node: str


# --- agent


class CreateContainer(Payload):
    """Make the container on this node; the same id twice makes it once.

    `former`: the node held it, and lost all memory of it in a reboot; this was its last status that was told.
    """

    spec: ContainerSpec
    former: ContainerStatus | None = None


class ContainerId(Payload):
    """A command that needs no more than the container."""

    id: str


class Renounced(Payload):
    """Whether the container is not there, and won't be made any more by this agent."""

    renounced: bool = False


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
    """Give it another name (without Docker's slash)."""

    id: str
    name: str


class UpdateContainer(Payload):
    """Change limits and restart policy. A limit at its default stays as it is, as does the policy where None."""

    id: str
    limits: Resources = Field(default_factory=Resources)
    restart: RestartPolicy | None = None


class ListProcesses(Payload):
    """What runs in a container, as `ps` with these arguments shows it."""

    id: str
    ps_args: str = "-ef"


class ProcessList(Payload):
    """A table of `ps`: its titles, and a row for each process."""

    titles: tuple[str, ...] = ()
    processes: tuple[tuple[str, ...], ...] = ()


class HealthReply(Payload):
    """What the health check knows just now; None without one."""

    health: Health | None = None


class ResizeTty(Payload):
    """The size of the container's terminal in character cells."""

    id: str
    height: int
    width: int


class AttachContainer(Payload):
    """Join the container's streams through the byte stream `stream`, in Docker's multiplexed frames.

    Without frames with `raw` and with a TTY.
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
    """The container's status after the command, and what its user should know."""

    status: ContainerStatus
    warnings: tuple[str, ...] = ()


class InventoryItem(Payload):
    """A container that a node holds."""

    spec: ContainerSpec
    status: ContainerStatus


class ListInventory(Payload):
    """Page through what a node holds: pass the `next` of the page before. `ids`: only of these, where there are any."""

    after: str = ""
    ids: tuple[str, ...] = ()


class Inventory(Payload):
    """What a node holds. `epoch` and `revision` as in its beats.

    `forgetful`: it has rebooted, and its database may lack what was made in the last moments before.
    """

    node: str
    epoch: str
    revision: int
    containers: tuple[InventoryItem, ...] = ()
    next: str = ""
    forgetful: bool = False


PrunedKind = Literal["container", "image", "network", "builder"]


class Pruned(Payload):
    """What a prune came to: things of this kind were removed, which frees so many bytes."""

    kind: PrunedKind
    reclaimed: int = 0
