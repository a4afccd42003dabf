"""Volumes."""

from typing import Final

from seaway_contracts.catalogue.declare import event
from seaway_contracts.lifecycle import VolumeEvent

VOLUME_CREATE: Final = event("volume", "create", VolumeEvent, "A volume was made.")
VOLUME_MOUNT: Final = event("volume", "mount", VolumeEvent, "A container that starts has it.")
VOLUME_UNMOUNT: Final = event("volume", "unmount", VolumeEvent, "The container that had it has ended.")
VOLUME_DESTROY: Final = event("volume", "destroy", VolumeEvent, "A volume is gone.")
