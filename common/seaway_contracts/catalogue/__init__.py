"""The catalogue: every subject, stream and bucket of Seaway, declared once, in a module for each noun.

No other module has subjects. A channel's declaration says who owns, calls and hears it; permissions on the bus derive
from that.
"""

from typing import Final

from seaway_contracts.catalogue.builds import *
from seaway_contracts.catalogue.cluster import *
from seaway_contracts.catalogue.containers import *
from seaway_contracts.catalogue.declare import CALLS as CALLS
from seaway_contracts.catalogue.declare import EVENTS as EVENTS
from seaway_contracts.catalogue.declare import MESSAGES as MESSAGES
from seaway_contracts.catalogue.events import *
from seaway_contracts.catalogue.execs import *
from seaway_contracts.catalogue.images import *
from seaway_contracts.catalogue.logs import *
from seaway_contracts.catalogue.metrics import *
from seaway_contracts.catalogue.networks import *
from seaway_contracts.catalogue.nodes import *
from seaway_contracts.catalogue.streams import *
from seaway_contracts.catalogue.users import *
from seaway_contracts.catalogue.volumes import *
from seaway_contracts.channels import EventChannel, Role
from seaway_contracts.lifecycle import ContainerEvent

BUCKETS: Final = (
    CONTAINERS_BUCKET,
    NAMES_BUCKET,
    ADDRESSES_BUCKET,
    NETWORKS_BUCKET,
    NETWORK_NAMES_BUCKET,
    SUBNETS_BUCKET,
    VOLUMES_BUCKET,
    VOLUME_NAMES_BUCKET,
    NODES_BUCKET,
    NODE_SETTINGS_BUCKET,
    CLUSTER_BUCKET,
    TOKENS_BUCKET,
    IDENTITIES_BUCKET,
    USERS_BUCKET,
    SHARES_BUCKET,
)
SERVICES: Final = tuple(role.value for role in Role if role not in (Role.CLI, Role.JOIN))


def event_channel(noun: str, action: str) -> EventChannel[ContainerEvent]:
    """The channel of an event by noun and action; raises KeyError for one that isn't in the catalogue."""
    return EVENTS[noun, action]
