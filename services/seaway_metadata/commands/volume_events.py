"""The events of volumes that metadata publishes."""

import time

from seaway_bus.bus import Command
from seaway_bus.outbox import Outbox
from seaway_contracts.channels import EventChannel
from seaway_contracts.lifecycle import CLUSTER, Envelope, volume_subject
from seaway_contracts.volumes import VolumeEvent, VolumeRecord


def publish(outbox: Outbox, channel: EventChannel[VolumeEvent], volume: VolumeRecord, command: Command) -> None:
    """Publish the event of a volume's creation or end, once however often this is called."""
    if not volume.name:  # it was published before
        return
    envelope = Envelope(
        id=f"volume-{channel.action}-{volume.id}",
        node=CLUSTER,
        noun=channel.noun,
        action=channel.action,
        subject_id=volume_subject(volume.name),
        time_ns=time.time_ns(),
        cause=command.id,
        actor=command.actor,
    )
    attributes = {"driver": volume.driver}
    body = VolumeEvent(name=volume.name, id=volume.id, anonymous=volume.anonymous, attributes=attributes)
    outbox.tell(channel, envelope, body)
