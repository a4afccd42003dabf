"""Commands and other requests about containers, mostly to a node's agent, and their replies; the events of prunes."""

from typing import Literal

from pydantic import Field

from seaway_contracts.base import Payload
from seaway_contracts.containers import (
    ContainerSpec,
    ContainerStatus,
    Health,
    Resources,
    RestartPolicy,
)
from seaway_contracts.networks import NetworkRecord
from seaway_contracts.volumes import VolumeRecord


class CreateContainer(Payload):
    """Make the container on this node; the same id twice makes it once.

    `networks`: those of users in which it has endpoints. `volumes`: those with a name that it mounts. `former`: its
    last reported status, if the node held it and lost it in a reboot.
    """

    spec: ContainerSpec
    networks: tuple[NetworkRecord, ...] = ()
    volumes: tuple[VolumeRecord, ...] = ()
    former: ContainerStatus | None = None


class ContainerId(Payload):
    """A command with the container's id alone."""

    id: str


class CreateRejected(Payload):
    """`rejected`: the agent will never make the container. False if it has it, is making it, or has just started."""

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


PrunedKind = Literal["container", "image", "network", "volume", "builder"]


class Pruned(Payload):
    """The result of a prune: `reclaimed` bytes of things of this kind."""

    kind: PrunedKind
    reclaimed: int = 0
