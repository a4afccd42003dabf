"""Networks."""

from typing import Final

from seaway_contracts.catalogue.declare import event
from seaway_contracts.networks import NetworkEvent

NETWORK_CONNECT: Final = event("network", "connect", NetworkEvent, "A container joined a network.")
NETWORK_DISCONNECT: Final = event("network", "disconnect", NetworkEvent, "A container left a network.")
