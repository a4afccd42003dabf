"""The catalogue: every subject, stream and bucket of Seaway, once. No subject stands anywhere else."""

from typing import Any, Final

from seaway_contracts import archives as a
from seaway_contracts import commands as c
from seaway_contracts import execs as e
from seaway_contracts import images as i
from seaway_contracts import nodes as n
from seaway_contracts import stats as s
from seaway_contracts.base import Empty
from seaway_contracts.channels import (
    ROOT,
    BeatChannel,
    BucketConfig,
    CallChannel,
    EventChannel,
    LinesChannel,
    M,
    Q,
    R,
    Repeat,
    StreamConfig,
    Template,
)
from seaway_contracts.containers import ContainerRecord
from seaway_contracts.ids import check_token
from seaway_contracts.lifecycle import ContainerEvent, NetworkEvent, PruneEvent, VolumeEvent
from seaway_contracts.logs import LogLines

EVENTS: Final[dict[tuple[str, str], EventChannel[Any]]] = {}
CALLS: Final[list[CallChannel[Any, Any]]] = []
_COMMAND_S: Final = 120.0


def _event(noun: str, action: str, payload: type[M], about: str, *, lossy: bool = False) -> EventChannel[M]:
    channel = EventChannel(noun, action, payload, about, lossy)
    EVENTS[noun, action] = channel
    return channel


def _call(
    service: str,
    verb: str,
    request: type[Q],
    reply: type[R],
    about: str,
    *,
    timeout_s: float = 5.0,
    repeat: Repeat = Repeat.UNHEARD,
) -> CallChannel[Q, R]:
    noun, _, word = verb.partition(".")
    channel = CallChannel(service, noun, word, request, reply, timeout_s, service == "agent", about, repeat=repeat)
    CALLS.append(channel)
    return channel


def _query(service: str, verb: str, request: type[Q], reply: type[R], about: str) -> CallChannel[Q, R]:
    """To be answered twice changes nothing."""
    return _call(service, verb, request, reply, about, repeat=Repeat.UNANSWERED)


def _command(
    verb: str, request: type[Q], about: str, *, timeout_s: float = _COMMAND_S
) -> CallChannel[Q, c.StatusReply]:
    """To an agent. Heard by the agent after the one that was killed, it leads to the same state."""
    return _call("agent", verb, request, c.StatusReply, about, timeout_s=timeout_s, repeat=Repeat.UNANSWERED)


def _look(verb: str, request: type[Q], reply: type[R], about: str, *, timeout_s: float = 5.0) -> CallChannel[Q, R]:
    """At an agent. It changes nothing and no event tells of it: the agent after one that was killed may be asked."""
    return _call("agent", verb, request, reply, about, timeout_s=timeout_s, repeat=Repeat.UNANSWERED)


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
CONTAINER_ATTACH = _event("container", "attach", ContainerEvent, "A client joined its streams.", lossy=True)
CONTAINER_DETACH = _event("container", "detach", ContainerEvent, "A client left it by its detach keys.", lossy=True)
CONTAINER_RESIZE = _event("container", "resize", ContainerEvent, "Its terminal has a new size.", lossy=True)
CONTAINER_ARCHIVE_PATH = _event("container", "archive-path", ContainerEvent, "Files were copied out of it.", lossy=True)
CONTAINER_EXTRACT_TO_DIR = _event(
    "container", "extract-to-dir", ContainerEvent, "Files were copied into it.", lossy=True
)
CONTAINER_EXPORT = _event("container", "export", ContainerEvent, "Its filesystem was read as a whole.", lossy=True)
CONTAINER_COMMIT = _event("container", "commit", ContainerEvent, "An image was made of it.", lossy=True)
CONTAINER_RENAME = _event("container", "rename", ContainerEvent, "It has another name; `oldName` is the former one.")
CONTAINER_UPDATE = _event("container", "update", ContainerEvent, "Its limits or restart policy were changed.")
CONTAINER_TOP = _event("container", "top", ContainerEvent, "Its processes were listed.", lossy=True)
CONTAINER_HEALTH = _event(
    "container", "health_status", ContainerEvent, "Its health check has changed its mind.", lossy=True
)
EXEC_CREATE = _event("container", "exec_create", ContainerEvent, "A further process was made ready in it.", lossy=True)
EXEC_START = _event("container", "exec_start", ContainerEvent, "A further process is being started in it.", lossy=True)
EXEC_DIE = _event(
    "container", "exec_die", ContainerEvent, "A further process in it ended; `exitCode` says how.", lossy=True
)
EXEC_DETACH = _event(
    "container", "exec_detach", ContainerEvent, "A client left a further process in it by its detach keys.", lossy=True
)
CONTAINER_STATUS = _event("container", "status", ContainerEvent, "A change that Docker has no word for.")
NETWORK_CONNECT = _event("network", "connect", NetworkEvent, "A container joined a network.")
NETWORK_DISCONNECT = _event("network", "disconnect", NetworkEvent, "A container left a network.")
VOLUME_CREATE = _event("volume", "create", VolumeEvent, "A volume was made.")
VOLUME_MOUNT = _event("volume", "mount", VolumeEvent, "A container that starts has it.")
VOLUME_UNMOUNT = _event("volume", "unmount", VolumeEvent, "The container that had it has ended.")
VOLUME_DESTROY = _event("volume", "destroy", VolumeEvent, "A volume is gone.")
IMAGE_PULL = _event("image", "pull", i.ImageEvent, "An image was pulled.", lossy=True)
IMAGE_TAG = _event("image", "tag", i.ImageEvent, "An image got a further name.", lossy=True)
IMAGE_UNTAG = _event("image", "untag", i.ImageEvent, "A name was taken from an image.", lossy=True)
IMAGE_DELETE = _event("image", "delete", i.ImageEvent, "An image is gone.", lossy=True)
IMAGE_LOAD = _event("image", "load", i.ImageEvent, "An image came from an archive.", lossy=True)
IMAGE_IMPORT = _event("image", "import", i.ImageEvent, "An image was made from a root filesystem.", lossy=True)
NODE_JOIN = _event("node", "join", n.NodeEvent, "A node beats for the first time.")
NODE_DOWN = _event("node", "down", n.NodeEvent, "A node has stopped beating.")
NODE_UP = _event("node", "up", n.NodeEvent, "A node beats again.")
CLUSTER_PRUNE = _event("cluster", "prune", PruneEvent, "What was not in use was removed.", lossy=True)

# --- metadata

REGISTER = _query("metadata", "container.register", c.RegisterContainer, Empty, "Reserve name and record.")
FORGET = _query("metadata", "container.forget", c.ForgetContainer, Empty, "Undo a registration.")
RESOLVE = _query("metadata", "container.resolve", c.ResolveContainer, c.ContainerLocation, "Whose id is this?")
GET_CONTAINER = _query("metadata", "container.get", c.ResolveContainer, ContainerRecord, "One record.")
LIST_CONTAINERS = _query("metadata", "container.list", c.ListContainers, c.ContainerList, "All records, by page.")
RENAME = _call(
    "metadata",
    "container.rename",
    c.RenameContainer,
    c.StatusReply,
    "Reserve a name, give it, free the old one.",
    timeout_s=15,
    repeat=Repeat.UNANSWERED,
)
TELL_PRUNE = _query("metadata", "prune.tell", c.Pruned, Empty, "Have an event tell of it.")
LIST_NODES = _call("metadata", "node.list", Empty, n.NodeList, "All nodes.", repeat=Repeat.NEVER)

# --- scheduler

PLACE = _query("scheduler", "container.place", c.PlaceRequest, c.Placement, "Choose a node.")
UNPLACE = _query("scheduler", "container.unplace", c.ContainerId, Empty, "Nothing was made of that placement.")

# --- image

GET_IMAGE = _query("image", "image.get", i.ImageRef, i.ImageRecord, "One image, by name, id or prefix.")
LIST_IMAGES = _query("image", "image.list", i.ListImages, i.ImageList, "All images, by page.")
PULL_IMAGE = _call("image", "image.pull", i.PullRequest, i.PullStarted, "Start a pull; progress is a byte stream.")
TAG_IMAGE = _call("image", "image.tag", i.TagRequest, Empty, "A further name.", repeat=Repeat.UNANSWERED)
REMOVE_IMAGE = _call(
    "image",
    "image.remove",
    i.RemoveImage,
    i.RemovedImages,
    "Untag, delete.",
    timeout_s=30,
    repeat=Repeat.UNANSWERED,
)
LOGIN = _call(
    "image", "registry.login", i.RegistryLogin, Empty, "Does a registry take these credentials?", timeout_s=60
)
REGISTRIES = _query("image", "registry.list", Empty, i.Registries, "How are registries reached?")
BLOB_ENDPOINT = _query("image", "blob.locate", Empty, i.BlobEndpoint, "Where blobs are served.")

# --- agent

CREATE = _command("container.create", c.CreateContainer, "Make it.", timeout_s=600)
RENOUNCE = _call(
    "agent",
    "container.renounce",
    c.ContainerId,
    c.Renounced,
    "Nobody waits for it any more: unless it is there or being made, never make it.",
    repeat=Repeat.UNANSWERED,
)
START = _command("container.start", c.ContainerId, "Run it.")
STOP = _command("container.stop", c.StopContainer, "Stop it.")
RESTART = _command("container.restart", c.StopContainer, "Stop and run it.")
KILL = _command("container.kill", c.KillContainer, "Signal it.")
PAUSE = _command("container.pause", c.ContainerId, "Freeze it.", timeout_s=5)
UNPAUSE = _command("container.unpause", c.ContainerId, "Let it go on.", timeout_s=5)
REMOVE = _command("container.remove", c.RemoveContainer, "Remove it.")
ATTACH = _call("agent", "container.attach", c.AttachContainer, Empty, "Join its streams.")
DETACH = _call(
    "agent", "container.detach", c.ContainerId, Empty, "A client has left it by its detach keys.", repeat=Repeat.UNHEARD
)
LOGS = _look("container.logs", c.ReadLogs, Empty, "Read its output.")
RENAME_HELD = _command("container.rename", c.RenameContainer, "Take the reserved name.", timeout_s=5)
UPDATE = _command("container.update", c.UpdateContainer, "Change its limits and policy.", timeout_s=30)
TOP = _call("agent", "container.top", c.ListProcesses, c.ProcessList, "List its processes.", timeout_s=15)
HEALTH = _call(
    "agent",
    "container.health",
    c.ContainerId,
    c.HealthReply,
    "What its health check knows.",
    timeout_s=2,
    repeat=Repeat.NEVER,
)
STATS = _look("container.stats", s.WatchStats, Empty, "Sample what is watched over a byte stream.")
RESIZE = _call("agent", "container.resize", c.ResizeTty, Empty, "Size its terminal.")
PATH_STAT = _look("container.path_stat", a.StatPath, a.PathStat, "What is at a path?", timeout_s=60)
PATH_READ = _call("agent", "container.path_read", a.ReadPath, a.PathStat, "Copy out.", timeout_s=60)
PATH_WRITE = _call("agent", "container.path_write", a.WritePath, Empty, "Copy in.", timeout_s=60)
EXPORT = _call("agent", "container.export", a.ExportContainer, Empty, "Read it all.", timeout_s=60)
CHANGES = _look("container.changes", a.ListChanges, Empty, "What differs from its image?")
COMMIT = _call(
    "agent",
    "container.commit",
    a.CommitContainer,
    a.Committed,
    "Make an image.",
    timeout_s=3600,
    repeat=Repeat.UNANSWERED,
)
SIZES = _look("container.sizes", a.MeasureContainers, a.ContainerSizes, "How large are they?", timeout_s=120)
CREATE_EXEC = _call(
    "agent", "exec.create", e.CreateExec, c.StatusReply, "Make a further process ready.", repeat=Repeat.UNANSWERED
)
START_EXEC = _call(
    "agent", "exec.start", e.StartExec, e.ExecStarted, "Run it.", timeout_s=_COMMAND_S, repeat=Repeat.UNANSWERED
)
RESIZE_EXEC = _call(
    "agent", "exec.resize", e.ResizeExec, Empty, "Size its terminal.", timeout_s=30, repeat=Repeat.UNHEARD
)
DETACH_EXEC = _call(
    "agent", "exec.detach", e.ExecId, Empty, "A client has left it by its detach keys.", repeat=Repeat.UNHEARD
)
INSPECT_EXEC = _call("agent", "exec.inspect", e.ExecId, e.ExecInfo, "How is it?", repeat=Repeat.UNANSWERED)
INVENTORY = _call(
    "agent", "container.inventory", c.ListInventory, c.Inventory, "What the node holds, by page.", repeat=Repeat.NEVER
)

# --- the rest of the subjects

BEAT = BeatChannel("beat", n.Beat, "Heartbeat with capacity and inventory revision.")
LOG_LINES = LinesChannel("logs", LogLines, "Lines of a container with the log driver `nats`.")
STREAM_TEMPLATE: Final = Template(f"{ROOT}.stream.{{stream}}.{{direction}}")
NODE_STREAM_TEMPLATE: Final = Template(f"{ROOT}.stream.{{node}}.{{stream}}.{{direction}}")
TO_SERVER: Final = "in"
FROM_SERVER: Final = "out"
"""Directions of a byte stream, as its opener's partner has them."""
_LATER: Final = "_"
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


def events_of(node: str) -> str:
    """The wildcard of one node's events; raises BadToken."""
    return f"{ROOT}.event.{check_token(node)}.>"


def stream_subject(name: str, direction: str) -> str:
    """Where bytes of a stream go. Its name is an id; `<node>.<id>` where a node's agent serves it. Raises BadToken."""
    node, dot, identifier = name.rpartition(".")
    identifier = identifier.partition(_LATER)[0]
    if dot:
        return NODE_STREAM_TEMPLATE.subject(node=node, stream=identifier, direction=direction)
    return STREAM_TEMPLATE.subject(stream=identifier, direction=direction)


def later_stream(name: str, number: int) -> str:
    """The name of the `number`th stream that has the subjects of the stream `name` after it."""
    return f"{name}{_LATER}{number}" if number else name


def event_channel(noun: str, action: str) -> EventChannel[ContainerEvent]:
    """The channel of a container event known by its words; raises KeyError for one that isn't in the catalogue."""
    return EVENTS[noun, action]
