"""What operators set for a node and for the cluster, and how they change it."""

import re
from typing import Final, Literal

from pydantic import Field, FiniteFloat

from seaway_contracts.base import Payload
from seaway_contracts.errors import bad_request
from seaway_contracts.masking import is_secret

Availability = Literal["active", "pause", "drain"]
Strategy = Literal["spread", "binpack", "random"]
_LABEL: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._/-]{0,126}[A-Za-z0-9])?")
_MOST_VALUE: Final = 256


class Reserved(Payload):
    """The share of a node that containers may not reserve: billionths of a core, and bytes."""

    nano_cpus: int = 0
    memory: int = 0


class ReservedChange(Payload):
    """A change of a reserved share; what is not given stays."""

    nano_cpus: int | None = None
    memory: int | None = None


class NodeSettings(Payload):
    """A node's settings. `version` grows by one with each change; 0: nothing has been set.

    `availability`: neither `pause` nor `drain` lets a new container come; the containers that are there continue.
    """

    node: str
    labels: dict[str, str] = Field(default_factory=dict)
    availability: Availability = "active"
    reserved: Reserved = Field(default_factory=Reserved)
    version: int = 0
    command: str = ""
    """The id of the command that made the last change."""


class UpdateNode(Payload):
    """Change a node's settings; what is not given stays."""

    node: str
    availability: Availability | None = None
    labels: dict[str, str] = Field(default_factory=dict)
    """Labels to add or to replace."""
    removed_labels: tuple[str, ...] = ()
    reserved: ReservedChange | None = None


class NodeSettingsReply(Payload):
    """The settings after a change."""

    settings: NodeSettings


class NodeUpdated(Payload):
    """A node's settings were changed; `settings` are all of them."""

    settings: NodeSettings
    attributes: dict[str, str] = Field(default_factory=dict)


class ClusterSettings(Payload):
    """The settings of the whole cluster. Reservations may add up to a node's capacity times the overcommit."""

    strategy: Strategy = "spread"
    cpu_overcommit: FiniteFloat = 1.0
    memory_overcommit: FiniteFloat = 1.0
    version: int = 0
    command: str = ""
    """The id of the command that made the last change."""


class UpdateCluster(Payload):
    """Change the cluster's settings; what is not given stays."""

    strategy: Strategy | None = None
    cpu_overcommit: FiniteFloat | None = None
    memory_overcommit: FiniteFloat | None = None


class ClusterSettingsReply(Payload):
    """The cluster's settings."""

    settings: ClusterSettings


class ClusterUpdated(Payload):
    """The cluster's settings were changed; `settings` are all of them. `kind`: `cluster`, what the event is about."""

    kind: str
    settings: ClusterSettings
    attributes: dict[str, str] = Field(default_factory=dict)


class ToNodes(Payload):
    """What all agents must know. `beat_interval_ns`: at least this much between two beats; 0: as the agent is set.

    `changed`: the settings of a node, whose agent applies them and asks again.
    """

    beat_interval_ns: int = 0
    cluster: ClusterSettings = Field(default_factory=ClusterSettings)
    changed: NodeSettings | None = None


class NodeConfig(Payload):
    """What one agent must know."""

    settings: NodeSettings
    to_nodes: ToNodes = Field(default_factory=ToNodes)


# --- checks


def check_label(key: str, value: str) -> None:
    """Raise SeawayError (BAD_REQUEST) for a label that no node can have, whoever sets it."""
    if not _LABEL.fullmatch(key):
        raise bad_request(
            f"{_short(key)!r} is no label of a node: use 1 to 128 of A-Z a-z 0-9 . _ / -, "
            "a letter or digit at both ends"
        )
    if is_secret(key):
        raise bad_request(
            f"label {key!r} has the name of a secret, and events and lists show the labels of nodes: choose another one"
        )
    if len(value) > _MOST_VALUE or not value.isprintable():
        raise bad_request(f"the value of label {key!r} must be printable and have {_MOST_VALUE} characters at most")


def _short(text: str) -> str:
    return text if len(text) <= _MOST_VALUE else f"{text[:_MOST_VALUE]}…"
