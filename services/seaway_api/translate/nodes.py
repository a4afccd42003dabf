"""Nodes as containers show them: `Node` of inspect, and addresses of published ports, as in classic Swarm. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from seaway_contracts.nodes import CORE, NodeRecord

HEALTHY: Final = "Healthy"
DOWN: Final = "Down"
HOST_DOWN: Final = "Host Down"
"""The `Status` that lists show of a container that ran when its node went down."""
_DRIVER: Final = "overlay2"


@dataclass(frozen=True)
class NodeView:
    """A node. `remote`: it is not on the machine of the API, whose clients would look for ports there.

    `architecture`: as the kernel calls it; empty where it isn't known.
    """

    name: str
    address: str = ""
    up: bool = True
    remote: bool = False
    cpus: int = 0
    memory: int = 0
    version: str = ""
    os: str = "linux"
    architecture: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def ports_address(self) -> str:
        """What stands in place of an unspecified address of a published port; empty where that stays."""
        return self.address if self.remote else ""

    def json(self) -> dict[str, Any]:
        """The `Node` of inspect."""
        return {
            "ID": self.name,
            "Name": self.name,
            "IP": self.address,
            "Addr": self.address,
            "Status": HEALTHY if self.up else DOWN,
            "Cpus": self.cpus,
            "Memory": self.memory,
            "Version": self.version,
            "Labels": dict(self.labels),
        }


def node_view(record: NodeRecord, *, up: bool, remote: bool) -> NodeView:
    """A node from its record."""
    capacity, facts = record.beat.capacity, record.beat.facts
    return NodeView(
        name=record.node,
        address=facts.address,
        up=up,
        remote=remote,
        cpus=capacity.nano_cpus // CORE,
        memory=capacity.memory,
        version=facts.version,
        os=facts.os,
        architecture=facts.architecture,
        labels=engine_labels(record),
    )


def engine_labels(record: NodeRecord) -> dict[str, str]:
    """The node's labels, after those that classic Swarm made of what an engine said of itself."""
    facts = record.beat.facts
    own = {
        "kernelversion": facts.kernel_version,
        "operatingsystem": facts.operating_system,
        "storagedriver": _DRIVER,
    }
    return own | record.labels


def shown_host_ip(host_ip: str, ports_address: str) -> str:
    """The address of a published port: `ports_address` in place of any address of its family, if there is one."""
    unspecified = "::" if ":" in ports_address else "0.0.0.0"
    return ports_address if ports_address and host_ip == unspecified else host_ip
