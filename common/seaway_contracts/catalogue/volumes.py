"""Volumes."""

from typing import Final

from seaway_contracts.catalogue.declare import event
from seaway_contracts.lifecycle import VolumeEvent

VOLUME_CREATE: Final = event("volume", "create", VolumeEvent, "A volume was created.")
VOLUME_MOUNT: Final = event("volume", "mount", VolumeEvent, "A volume was mounted for a starting container.")
VOLUME_UNMOUNT: Final = event("volume", "unmount", VolumeEvent, "A volume was unmounted as its container ended.")
VOLUME_DESTROY: Final = event("volume", "destroy", VolumeEvent, "A volume was removed.")
