"""The events of networks of users that metadata tells."""

import time

from seaway_bus.bus import Command
from seaway_bus.outbox import Outbox
from seaway_contracts.channels import EventChannel
from seaway_contracts.lifecycle import CLUSTER, Envelope
from seaway_contracts.networks import NetworkEvent, NetworkRecord


def tell(outbox: Outbox, channel: EventChannel[NetworkEvent], network: NetworkRecord, command: Command) -> None:
    """Tell of a network's creation or end, once however often this is called."""
    if not network.name:  # it was told before
        return
    envelope = Envelope(
        id=f"network-{channel.action}-{network.id}",
        node=CLUSTER,
        noun=channel.noun,
        action=channel.action,
        subject_id=network.id,
        time_ns=time.time_ns(),
        cause=command.id,
        actor=command.actor,
    )
    attributes = {"name": network.name, "type": "null" if network.config_only else network.driver}
    outbox.tell(channel, envelope, NetworkEvent(network_id=network.id, attributes=attributes))
