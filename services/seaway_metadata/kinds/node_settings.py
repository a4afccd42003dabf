"""Settings of nodes: records that metadata alone makes and changes. Pure."""

from typing import Final

from seaway_contracts.catalogue import NODE_SETTINGS_BUCKET
from seaway_contracts.errors import bad_request
from seaway_contracts.node_settings import NodeSettings, ReservedChange, UpdateNode, check_label
from seaway_contracts.nodes import CORE, Capacity
from seaway_metadata.store.kind import Kind

_MOST_LABELS: Final = 128


class NodeSettingsKind(Kind[NodeSettings]):
    """Their key is the node's name."""

    noun = "settings of node"
    bucket = NODE_SETTINGS_BUCKET
    model = NodeSettings
    unstored_is_gone = False

    def key(self, record: NodeSettings) -> str:
        return record.node

    def newer(self, one: NodeSettings, other: NodeSettings) -> bool:
        return one.version > other.version

    def same_request(self, known: NodeSettings, record: NodeSettings) -> bool:
        return True


NODE_SETTINGS: Final = NodeSettingsKind()


def changed(settings: NodeSettings, request: UpdateNode, command: str) -> NodeSettings:
    """The settings after a command; the same object where nothing changes. Raises SeawayError: BAD_REQUEST."""
    labels = {key: value for key, value in settings.labels.items() if key not in request.removed_labels}
    labels |= request.labels
    if len(labels) > _MOST_LABELS:
        raise bad_request(f"node {settings.node} would have {len(labels)} labels: it may have {_MOST_LABELS}")
    share = request.reserved.model_dump(exclude_none=True) if request.reserved is not None else {}
    after = settings.model_copy(
        update={
            "labels": labels,
            "availability": request.availability or settings.availability,
            "reserved": settings.reserved.model_copy(update=share),
        }
    )
    if after == settings:
        return settings
    return after.model_copy(update={"version": settings.version + 1, "command": command})


def reset(settings: NodeSettings) -> NodeSettings:
    """The settings of a node that was removed: a later node of the same name begins with none."""
    return NodeSettings(node=settings.node, version=settings.version + 1)


def check_update(request: UpdateNode) -> None:
    """Raise SeawayError (BAD_REQUEST) for a label or a share that no node can have."""
    for key, value in request.labels.items():
        check_label(key, value)
        if key in request.removed_labels:
            raise bad_request(f"label {key!r} can't be set and removed at once")
    share = request.reserved or ReservedChange()
    if (share.memory or 0) < 0 or (share.nano_cpus or 0) < 0:
        raise bad_request("a reserved share can't be negative")


def check_share(node: str, share: ReservedChange, capacity: Capacity) -> None:
    """Raise SeawayError (BAD_REQUEST) for a reserved share that is more than the node has."""
    if share.nano_cpus is not None and share.nano_cpus > capacity.nano_cpus:
        cpus, whole = share.nano_cpus // CORE, capacity.nano_cpus / CORE
        raise bad_request(f"node {node} can't keep {cpus} or more CPUs free of reservations: it has {whole:g}")
    if share.memory is not None and share.memory > capacity.memory:
        raise bad_request(f"node {node} can't keep {share.memory} bytes free of reservations: it has {capacity.memory}")


def differences(before: NodeSettings, after: NodeSettings) -> dict[str, str]:
    """What a change has changed, as attributes of its event; availability in the words of Docker's Swarm."""
    found: dict[str, str] = {}
    if before.availability != after.availability:
        found = {"availability.old": before.availability, "availability.new": after.availability}
    for key in sorted(before.labels.keys() | after.labels.keys()):
        if before.labels.get(key) != after.labels.get(key):
            found[f"label.{key}"] = after.labels.get(key, "")
    for name in ("memory", "nano_cpus"):
        if getattr(before.reserved, name) != (share := getattr(after.reserved, name)):
            found[f"reserved.{name}"] = str(share)
    return found
