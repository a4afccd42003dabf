"""Containers: their events, their records at metadata, their placement, commands to the agents that hold them."""

from typing import Final

from seaway_contracts import archives as a
from seaway_contracts import commands as c
from seaway_contracts import placement as p
from seaway_contracts import records as r
from seaway_contracts import stats as s
from seaway_contracts.base import Empty
from seaway_contracts.catalogue.declare import (
    AGENT,
    API,
    COMMAND_S,
    METADATA,
    SCHEDULER,
    ask,
    call,
    event,
    look,
    message,
    query,
)
from seaway_contracts.channels import ROOT, BucketConfig, CallChannel, EventChannel, Q, Repeat
from seaway_contracts.containers import ContainerRecord
from seaway_contracts.lifecycle import ContainerEvent, PublicContainerEvent


def _event(action: str, about: str, *, lossy: bool = False) -> EventChannel[ContainerEvent]:
    return event("container", action, ContainerEvent, about, lossy=lossy, public=PublicContainerEvent)


def _command(
    verb: str, request: type[Q], about: str, *, timeout_s: float = COMMAND_S, by_metadata: bool = False
) -> CallChannel[Q, c.StatusReply]:
    """A command to an agent. If the agent is killed and the next one gets the command again, the state is the same."""
    callers = (API, METADATA) if by_metadata else (API,)
    return call(
        AGENT, verb, request, c.StatusReply, about, callers=callers, timeout_s=timeout_s, repeat=Repeat.UNANSWERED
    )


# --- events, in Docker's words

CONTAINER_CREATE: Final = _event("create", "The container was made on its node.")
CONTAINER_START: Final = _event("start", "Its first process runs.")
CONTAINER_DIE: Final = _event("die", "Its first process ended, with `exitCode`.")
CONTAINER_OOM: Final = _event("oom", "The kernel killed a process because memory ran out.")
CONTAINER_KILL: Final = _event("kill", "A signal was sent.")
CONTAINER_STOP: Final = _event("stop", "It was stopped on request.")
CONTAINER_RESTART: Final = _event("restart", "It was restarted on request.")
CONTAINER_PAUSE: Final = _event("pause", "Its processes were frozen.")
CONTAINER_UNPAUSE: Final = _event("unpause", "Its processes were resumed.")
CONTAINER_DESTROY: Final = _event("destroy", "It was removed.")
CONTAINER_ATTACH: Final = _event("attach", "A client attached to it.", lossy=True)
CONTAINER_DETACH: Final = _event("detach", "A client detached from it with its detach keys.", lossy=True)
CONTAINER_RESIZE: Final = _event("resize", "Its terminal has a new size.", lossy=True)
CONTAINER_ARCHIVE_PATH: Final = _event("archive-path", "Files were copied out of it.", lossy=True)
CONTAINER_EXTRACT_TO_DIR: Final = _event("extract-to-dir", "Files were copied into it.", lossy=True)
CONTAINER_EXPORT: Final = _event("export", "Its file system was exported.", lossy=True)
CONTAINER_COMMIT: Final = _event("commit", "An image was made of it.", lossy=True)
CONTAINER_RENAME: Final = _event("rename", "It was renamed from `oldName`.")
CONTAINER_UPDATE: Final = _event("update", "Its limits or restart policy were changed.")
CONTAINER_TOP: Final = _event("top", "Its processes were listed.", lossy=True)
CONTAINER_HEALTH: Final = _event("health_status", "Its health status changed.", lossy=True)
CONTAINER_STATUS: Final = _event("status", "Its status changed; Docker has no event for this.")

# --- records

REGISTER: Final = query(
    METADATA,
    "container.register",
    r.RegisterContainer,
    r.RegisteredContainer,
    "Reserve name and addresses, and store the record.",
)
FORGET: Final = query(METADATA, "container.forget", r.ForgetContainer, Empty, "Undo a registration.")
RESOLVE: Final = query(
    METADATA,
    "container.resolve",
    r.ResolveContainer,
    r.ContainerLocation,
    "Find a container by id, name or prefix of an id.",
)
GET_CONTAINER: Final = query(
    METADATA, "container.get", r.ResolveContainer, ContainerRecord, "Return one record.", callers=(API, SCHEDULER)
)
LIST_CONTAINERS: Final = query(
    METADATA,
    "container.list",
    r.ListContainers,
    r.ContainerList,
    "List all records, by page.",
    callers=(API, SCHEDULER),
)
RENAME: Final = call(
    METADATA,
    "container.rename",
    c.RenameContainer,
    c.StatusReply,
    "Rename a container: reserve the new name, free the old one.",
    timeout_s=15,
    repeat=Repeat.UNANSWERED,
)
KNOWN_CONTAINERS: Final = ask(
    METADATA,
    "container.known",
    r.ListKnown,
    r.KnownContainers,
    "Return what metadata knows of these containers of the node.",
)

# --- placement

PLACE: Final = query(SCHEDULER, "container.place", p.PlaceRequest, p.Placement, "Choose a node for a container.")
EXPLAIN_PLACE: Final = query(
    SCHEDULER,
    "container.explain",
    p.PlaceRequest,
    p.PlacementExplanation,
    "Say where a container would be placed, and why, without placing it.",
)
UNPLACED: Final = message(
    "container.unplaced",
    f"{ROOT}.container.unplaced",
    c.ContainerId,
    "Nothing comes of a placement: each copy of the scheduler frees what it has counted for it.",
    owner=API,
    hearers=(SCHEDULER,),
)

# --- commands to an agent

CREATE: Final = _command("container.create", c.CreateContainer, "Create a container.", timeout_s=600, by_metadata=True)
REJECT_CREATE: Final = call(
    AGENT,
    "container.reject_create",
    c.ContainerId,
    c.CreateRejected,
    "Reject a later create of this container, unless it exists or is being created.",
    callers=(METADATA,),
    repeat=Repeat.UNANSWERED,
)
START: Final = _command("container.start", c.ContainerId, "Start it.")
STOP: Final = _command("container.stop", c.StopContainer, "Stop it.")
RESTART: Final = _command("container.restart", c.StopContainer, "Stop and start it.")
KILL: Final = _command("container.kill", c.KillContainer, "Send it a signal.")
PAUSE: Final = _command("container.pause", c.ContainerId, "Freeze its processes.", timeout_s=5)
UNPAUSE: Final = _command("container.unpause", c.ContainerId, "Resume its processes.", timeout_s=5)
REMOVE: Final = _command("container.remove", c.RemoveContainer, "Remove it.", by_metadata=True)
RENAME_HELD: Final = call(
    AGENT,
    "container.rename",
    c.RenameContainer,
    c.StatusReply,
    "Rename it on its node, after metadata has reserved the name.",
    callers=(METADATA,),
    timeout_s=5,
    repeat=Repeat.UNANSWERED,
)
UPDATE: Final = _command("container.update", c.UpdateContainer, "Change its limits and restart policy.", timeout_s=30)
ATTACH: Final = call(AGENT, "container.attach", c.AttachContainer, Empty, "Attach to its streams.")
DETACH: Final = call(
    AGENT, "container.detach", c.ContainerId, Empty, "Publish that a client detached with its detach keys."
)
LOGS: Final = look("container.logs", c.ReadLogs, Empty, "Read its output.")
TOP: Final = call(AGENT, "container.top", c.ListProcesses, c.ProcessList, "List its processes.", timeout_s=15)
HEALTH: Final = call(
    AGENT,
    "container.health",
    c.ContainerId,
    c.HealthReply,
    "Return its health status and last probes.",
    timeout_s=2,
    repeat=Repeat.NEVER,
)
STATS: Final = look("container.stats", s.WatchStats, Empty, "Send samples of watched containers over a byte stream.")
RESIZE: Final = call(AGENT, "container.resize", c.ResizeTty, Empty, "Resize its terminal.")
PATH_STAT: Final = look(
    "container.path_stat", a.StatPath, a.PathStat, "Return lstat of a path in the container.", timeout_s=60
)
PATH_READ: Final = call(
    AGENT, "container.path_read", a.ReadPath, a.PathStat, "Read files at a path as a tar.", timeout_s=60
)
PATH_WRITE: Final = call(AGENT, "container.path_write", a.WritePath, Empty, "Extract a tar at a path.", timeout_s=60)
EXPORT: Final = call(
    AGENT, "container.export", a.ExportContainer, Empty, "Read its file system as a tar.", timeout_s=60
)
CHANGES: Final = look("container.changes", a.ListChanges, Empty, "List its changes against its image.")
COMMIT: Final = call(
    AGENT,
    "container.commit",
    a.CommitContainer,
    a.Committed,
    "Make an image of it.",
    timeout_s=3600,
    repeat=Repeat.UNANSWERED,
)
SIZES: Final = look(
    "container.sizes",
    a.MeasureContainers,
    a.ContainerSizes,
    "Return the bytes that containers use on disk.",
    timeout_s=120,
)
INVENTORY: Final = call(
    AGENT,
    "container.inventory",
    c.ListInventory,
    c.Inventory,
    "List the node's containers, by page.",
    callers=(API, METADATA, AGENT),
    repeat=Repeat.NEVER,
)

CONTAINERS_BUCKET: Final = BucketConfig("seaway_containers", "Container records, by id.")
NAMES_BUCKET: Final = BucketConfig("seaway_names", "Reserved container names (in hex) and the id of their holder.")
