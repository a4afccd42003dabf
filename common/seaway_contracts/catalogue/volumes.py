"""Volumes: their events, their records at metadata, commands to the agents whose nodes have them."""

from typing import Final

from seaway_contracts import volumes as v
from seaway_contracts.base import Empty
from seaway_contracts.catalogue.declare import AGENT, METADATA, call, event, look, query
from seaway_contracts.channels import BucketConfig, EventChannel, Repeat


def _volume(action: str, about: str) -> EventChannel[v.VolumeEvent]:
    return event("volume", action, v.VolumeEvent, about, public=v.PublicVolumeEvent)


# --- events, in Docker's words. Metadata tells `create` and `destroy` of volumes that a user makes and removes.

VOLUME_CREATE: Final = _volume("create", "A volume was created.")
VOLUME_MOUNT: Final = _volume("mount", "A volume was mounted for a starting container.")
VOLUME_UNMOUNT: Final = _volume("unmount", "A volume was unmounted as its container ended.")
VOLUME_DESTROY: Final = _volume("destroy", "A volume was removed.")

# --- records

CREATE_VOLUME: Final = call(
    METADATA,
    "volume.create",
    v.CreateVolume,
    v.VolumeReply,
    "Reserve its name, store its record, and have its node make it if that is known.",
    timeout_s=30,
    repeat=Repeat.UNANSWERED,
)
GET_VOLUME: Final = query(METADATA, "volume.get", v.VolumeRef, v.VolumeReply, "Return one volume.")
LIST_VOLUMES: Final = query(METADATA, "volume.list", v.ListVolumes, v.VolumeList, "Return a page of all volumes.")
REMOVE_VOLUME: Final = call(
    METADATA,
    "volume.remove",
    v.RemoveVolume,
    v.VolumeReply,
    "Remove a volume that no container has from its node and the records.",
    timeout_s=30,
    repeat=Repeat.UNANSWERED,
)

# --- commands to an agent

MAKE_HELD_VOLUME: Final = call(
    AGENT,
    "volume.make",
    v.MakeHeldVolume,
    Empty,
    "Make a volume on this node.",
    callers=(METADATA,),
    timeout_s=10,
    repeat=Repeat.UNANSWERED,
)
REMOVE_HELD_VOLUME: Final = call(
    AGENT,
    "volume.remove",
    v.RemoveHeldVolume,
    Empty,
    "Remove a volume from this node, unless a container has it.",
    callers=(METADATA,),
    timeout_s=10,
    repeat=Repeat.UNANSWERED,
)
VOLUME_INVENTORY: Final = call(
    AGENT,
    "volume.inventory",
    v.ListHeldVolumes,
    v.VolumeInventory,
    "Return a page of the volumes that this node has.",
    callers=(METADATA,),
    repeat=Repeat.NEVER,
)
MEASURE_VOLUMES: Final = look(
    "volume.measure", v.MeasureVolumes, v.VolumeSizes, "Measure how much space volumes take up.", timeout_s=60
)

VOLUMES_BUCKET: Final = BucketConfig("seaway_volumes", "Volume records, by id.")
VOLUME_NAMES_BUCKET: Final = BucketConfig(
    "seaway_volume_names", "Reserved volume names (in hex) and the id of their holder."
)
