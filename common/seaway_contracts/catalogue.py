"""The catalogue: every subject, stream and bucket of Seaway, once. No subject stands anywhere else."""

from typing import Any, Final

from seaway_contracts import commands as c
from seaway_contracts import images as i
from seaway_contracts import nodes as n
from seaway_contracts.base import Empty
from seaway_contracts.channels import (
    ROOT,
    BeatChannel,
    BucketConfig,
    CallChannel,
    EventChannel,
    M,
    Q,
    R,
    StreamConfig,
    Template,
)
from seaway_contracts.containers import ContainerRecord
from seaway_contracts.lifecycle import ContainerEvent, NetworkEvent

EVENTS: Final[dict[tuple[str, str], EventChannel[Any]]] = {}
CALLS: Final[list[CallChannel[Any, Any]]] = []


def _event(noun: str, action: str, payload: type[M], about: str) -> EventChannel[M]:
    channel = EventChannel(noun, action, payload, about)
    EVENTS[noun, action] = channel
    return channel


def _call(
    service: str, verb: str, request: type[Q], reply: type[R], about: str, *, timeout_s: float = 5.0
) -> CallChannel[Q, R]:
    noun, _, word = verb.partition(".")
    channel = CallChannel(service, noun, word, request, reply, timeout_s, service == "agent", about)
    CALLS.append(channel)
    return channel


# --- durable events, in Docker's words

CONTAINER_CREATE = _event("container", "create", ContainerEvent, "The container was made on its node.")
CONTAINER_START = _event("container", "start", ContainerEvent, "Its first process runs.")
CONTAINER_DIE = _event("container", "die", ContainerEvent, "Its first process ended; `exitCode` says how.")
CONTAINER_OOM = _event("container", "oom", ContainerEvent, "The kernel killed a process for want of memory.")
CONTAINER_KILL = _event("container", "kill", ContainerEvent, "A signal was sent.")
CONTAINER_STOP = _event("container", "stop", ContainerEvent, "It was stopped on request.")
CONTAINER_RESTART = _event("container", "restart", ContainerEvent, "It was restarted on request.")
CONTAINER_PAUSE = _event("container", "pause", ContainerEvent, "Its processes were frozen.")
CONTAINER_UNPAUSE = _event("container", "unpause", ContainerEvent, "Its processes go on.")
CONTAINER_DESTROY = _event("container", "destroy", ContainerEvent, "It is gone.")
CONTAINER_ATTACH = _event("container", "attach", ContainerEvent, "A client joined its streams.")
CONTAINER_RESIZE = _event("container", "resize", ContainerEvent, "Its terminal has a new size.")
CONTAINER_STATUS = _event("container", "status", ContainerEvent, "A change that Docker has no word for.")
NETWORK_CONNECT = _event("network", "connect", NetworkEvent, "A container joined a network.")
NETWORK_DISCONNECT = _event("network", "disconnect", NetworkEvent, "A container left a network.")
IMAGE_PULL = _event("image", "pull", i.ImageEvent, "An image was pulled.")
IMAGE_TAG = _event("image", "tag", i.ImageEvent, "An image got a further name.")
IMAGE_UNTAG = _event("image", "untag", i.ImageEvent, "A name was taken from an image.")
IMAGE_DELETE = _event("image", "delete", i.ImageEvent, "An image is gone.")
IMAGE_LOAD = _event("image", "load", i.ImageEvent, "An image came from an archive.")
IMAGE_IMPORT = _event("image", "import", i.ImageEvent, "An image was made from a root filesystem.")
NODE_JOIN = _event("node", "join", n.NodeEvent, "A node beats for the first time.")
NODE_DOWN = _event("node", "down", n.NodeEvent, "A node has stopped beating.")
NODE_UP = _event("node", "up", n.NodeEvent, "A node beats again.")

# --- metadata

REGISTER = _call("metadata", "container.register", c.RegisterContainer, Empty, "Reserve name and record.")
FORGET = _call("metadata", "container.forget", c.ForgetContainer, Empty, "Undo a registration.")
RESOLVE = _call("metadata", "container.resolve", c.ResolveContainer, c.ContainerLocation, "Whose id is this?")
GET_CONTAINER = _call("metadata", "container.get", c.ResolveContainer, ContainerRecord, "One record.")
LIST_CONTAINERS = _call("metadata", "container.list", c.ListContainers, c.ContainerList, "All records, by page.")
LIST_NODES = _call("metadata", "node.list", Empty, n.NodeList, "All nodes.")

# --- scheduler

PLACE = _call("scheduler", "container.place", c.PlaceRequest, c.Placement, "Choose a node.")

# --- image

GET_IMAGE = _call("image", "image.get", i.ImageRef, i.ImageRecord, "One image, by name, id or prefix.")
LIST_IMAGES = _call("image", "image.list", i.ListImages, i.ImageList, "All images, by page.")
PULL_IMAGE = _call("image", "image.pull", i.PullRequest, i.PullStarted, "Start a pull; progress is a byte stream.")
TAG_IMAGE = _call("image", "image.tag", i.TagRequest, Empty, "A further name.")
REMOVE_IMAGE = _call("image", "image.remove", i.RemoveImage, i.RemovedImages, "Untag, delete.", timeout_s=30)
BLOB_ENDPOINT = _call("image", "blob.locate", Empty, i.BlobEndpoint, "Where blobs are served.")

# --- agent

_COMMAND_S: Final = 120.0
CREATE = _call("agent", "container.create", c.CreateContainer, c.StatusReply, "Make it.", timeout_s=600)
START = _call("agent", "container.start", c.ContainerId, c.StatusReply, "Run it.", timeout_s=_COMMAND_S)
STOP = _call("agent", "container.stop", c.StopContainer, c.StatusReply, "Stop it.", timeout_s=_COMMAND_S)
RESTART = _call("agent", "container.restart", c.StopContainer, c.StatusReply, "Stop and run it.", timeout_s=_COMMAND_S)
KILL = _call("agent", "container.kill", c.KillContainer, c.StatusReply, "Signal it.", timeout_s=_COMMAND_S)
PAUSE = _call("agent", "container.pause", c.ContainerId, c.StatusReply, "Freeze it.")
UNPAUSE = _call("agent", "container.unpause", c.ContainerId, c.StatusReply, "Let it go on.")
REMOVE = _call("agent", "container.remove", c.RemoveContainer, c.StatusReply, "Remove it.", timeout_s=_COMMAND_S)
ATTACH = _call("agent", "container.attach", c.AttachContainer, Empty, "Join its streams.")
LOGS = _call("agent", "container.logs", c.ReadLogs, Empty, "Read its output.")
RESIZE = _call("agent", "container.resize", c.ResizeTty, Empty, "Size its terminal.")
INVENTORY = _call("agent", "container.inventory", c.ListInventory, c.Inventory, "What the node holds, by page.")

# --- the rest of the subjects

BEAT = BeatChannel("beat", n.Beat, "Heartbeat with capacity and inventory revision.")
STREAM_TEMPLATE: Final = Template(f"{ROOT}.stream.{{stream}}.{{direction}}")
ALL_EVENTS: Final = f"{ROOT}.event.>"

# --- streams and buckets

EVENT_STREAM = StreamConfig(
    name="SEAWAY_EVENTS",
    subjects=(ALL_EVENTS,),
    max_age_s=30 * 86_400,
    max_bytes=8 << 30,
    duplicate_window_s=3600,
)
CONTAINERS_BUCKET = BucketConfig("seaway_containers", "Container records, by id.")
NAMES_BUCKET = BucketConfig("seaway_names", "Reserved container names (in hex) and the id of their holder.")
NODES_BUCKET = BucketConfig("seaway_nodes", "Node records, by name.")
BUCKETS: Final = (CONTAINERS_BUCKET, NAMES_BUCKET, NODES_BUCKET)

SERVICES: Final = ("api", "image", "metadata", "scheduler", "agent")


def event_channel(noun: str, action: str) -> EventChannel[ContainerEvent]:
    """The channel of a container event known by its words; raises KeyError for one that isn't in the catalogue."""
    return EVENTS[noun, action]
