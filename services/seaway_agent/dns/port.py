"""The port of the DNS in networks of users, and what a resolver must know of a container. Pure.

`node_resolver.NodeResolver` implements it with a process, `fake.FakeResolver` in memory; both pass
tests/conformance/dns.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address
from typing import Final, NamedTuple, Protocol

ADDRESS: Final = "127.0.0.11"
"""The resolver's address in each sandbox, as Docker's."""

OUTCOMES: Final = ("answered", "forwarded", "failed", "refused")
"""What becomes of a question: answered from our names; forwarded, and a server responded; failed, as none did; refused,
as it can't be read or too many are being forwarded."""


class ResolverError(Exception):
    """A sandbox can't have a resolver; the message says why."""


@dataclass(frozen=True, slots=True)
class NamedEndpoint:
    """A container's end of a network of users, and the names by which that network's containers find it.

    `network`: its id. `names`: Docker's DNSNames (name, aliases, short id, hostname); the first one is what a reverse
    look-up finds. `links`: alias → name of another container there, for this container alone.
    """

    network: str
    network_name: str
    names: tuple[str, ...] = ()
    address: IPv4Address | None = None
    address6: IPv6Address | None = None
    links: Mapping[str, str] = field(default_factory=dict, hash=False)
    internal: bool = False


class Upstream(NamedTuple):
    """A nameserver for all other names. `on_host`: it is asked from the host's namespace, not from the container's."""

    address: str
    on_host: bool


@dataclass(frozen=True, slots=True)
class ContainerNames:
    """What the resolver must know of a container. `endpoints` are in the order in which their networks are searched.

    `dotless_stay`: names without a dot are not forwarded, as with Docker where the user has set the option ndots.
    """

    endpoints: tuple[NamedEndpoint, ...] = ()
    upstreams: tuple[Upstream, ...] = ()
    dotless_stay: bool = False

    @property
    def forwards(self) -> bool:
        """Whether other names are forwarded: not where the container has endpoints in internal networks alone."""
        return any(not endpoint.internal for endpoint in self.endpoints)


class Resolver(Protocol):
    """The resolver of one node's sandboxes, by the container's id.

    After a start: ``adopt`` each live container; ``sweep``. Names are right when a method returns. The methods raise
    ResolverError or OSError.
    """

    async def attach(self, container: str, sandbox: str, names: ContainerNames) -> None:
        """Serve a sandbox, by its namespace's path, at 127.0.0.11, and publish the container's names.

        A container that is attached already gets the new sandbox instead. Nothing is left when it raises.
        """

    def hand_over(self, container: str, pid: int) -> None:
        """The container's process has the namespace now: sandbox and names go when that ends. Harmless if unknown."""

    async def adopt(self, container: str, pid: int, names: ContainerNames) -> None:
        """Serve the sandbox of a running container, whether an earlier agent has attached it or nobody has.

        Raises ResolverError: the process has ended.
        """

    async def update(self, container: str, names: ContainerNames) -> None:
        """Replace a container's names, endpoints and upstreams. Harmless if it is not attached."""

    async def detach(self, container: str) -> None:
        """Stop serving the sandbox and withdraw the names. Harmless if it is not attached, and twice."""

    async def sweep(self) -> None:
        """Detach what an earlier agent has attached and this one has not adopted."""
