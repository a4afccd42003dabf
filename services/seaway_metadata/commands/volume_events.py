"""The events of volumes that metadata publishes, and what those that nodes publish may say."""

import time

from seaway_bus.bus import Command
from seaway_bus.outbox import Outbox
from seaway_contracts.channels import EventChannel
from seaway_contracts.errors import Code, SeawayError, bad_request
from seaway_contracts.ids import is_volume_id
from seaway_contracts.lifecycle import CLUSTER, Envelope, volume_subject
from seaway_contracts.volumes import PublicVolumeEvent, VolumeEvent, VolumeRecord
from seaway_metadata.commands.volume_book import VolumeBook
from seaway_metadata.kinds.volumes import named
from seaway_metadata.store.index import Index


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


class VolumeEventCheck:
    """Whether a node may publish an event of a volume: one copy's."""

    def __init__(self, index: Index[VolumeRecord], book: VolumeBook) -> None:
        self._index = index
        self._book = book

    async def check(self, node: str, action: str, subject: str, body: PublicVolumeEvent) -> None:
        """Raises SeawayError for an event of another node's volume, TransportError.

        One of which there is no record may be new, if it is anonymous, or be removed by now.
        """
        if subject != volume_subject(body.name):
            raise bad_request("the event speaks of two volumes")
        if not body.anonymous and action == "destroy":
            raise bad_request("the end of a volume with a name is not its node's to tell")
        if body.anonymous and not is_volume_id(body.name):
            raise bad_request("an anonymous volume has 64 hex digits for a name")
        found = await self._find(body)
        if found is not None and (found.node != node or (body.anonymous and not found.anonymous)):
            raise bad_request("the volume is another node's")

    async def _find(self, body: PublicVolumeEvent) -> VolumeRecord | None:
        if body.anonymous:
            return named(self._index, body.name) or self._index.get(body.name)
        known = self._index.get(body.id)
        if known is not None and known.node:
            return known
        try:
            return await self._book.get(body.name)
        except SeawayError as error:
            if error.code is not Code.NOT_FOUND:
                raise
        return None
