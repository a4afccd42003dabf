"""The names of all networks on this node, and what each container finds of them. Pure.

As Docker does it: a container's networks are searched in the order of its endpoints, for its own links first. A name
may have the network's name behind it. See libnetwork's Sandbox.ResolveName.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from seaway_agent.dns.port import NamedEndpoint
from seaway_agent.dns.resolver import wire
from seaway_agent.dns.resolver.wire import AAAA, PTR, A

_ROOT: Final = b"\0"


class Records:
    """The addresses of one name in one network, packed for the answer, each with the container that has it."""

    __slots__ = ("_by_type", "_turn")

    def __init__(self) -> None:
        self._by_type: dict[int, list[tuple[str, bytes]]] = {A: [], AAAA: []}
        self._turn = 0

    def add(self, container: str, kind: int, record: bytes) -> None:
        """Add a container's address."""
        self._by_type[kind].append((container, record))

    def discard(self, container: str) -> bool:
        """Remove a container's addresses; True if no address is left."""
        for kind, held in self._by_type.items():
            self._by_type[kind] = [one for one in held if one[0] != container]
        return not any(self._by_type.values())

    def answers(self, kind: int) -> Sequence[bytes]:
        """The records of a type, another one first each time."""
        held = self._by_type.get(kind, ())
        if len(held) < 2:
            return [record for _, record in held]
        self._turn = (self._turn + 1) % len(held)
        return list(dict.fromkeys(record for _, record in (*held[self._turn :], *held[: self._turn])))


class NetworkZone:
    """The names in one network, in wire form and lower case: bare, and with the network's name behind them."""

    def __init__(self, name: str) -> None:
        self._suffix = wire.pack_name(name)
        self.labels = name.count(".")
        self.bare: dict[bytes, Records] = {}
        self.qualified: dict[bytes, Records] = {}
        self.pointers: dict[bytes, dict[str, bytes]] = {}
        self.containers: set[str] = set()

    def put(self, container: str, endpoint: NamedEndpoint) -> None:
        """Add a container that isn't there."""
        self.containers.add(container)
        addresses = [address for address in (endpoint.address, endpoint.address6) if address is not None]
        names = list(filter(None, map(wire.pack_name, endpoint.names)))
        for name in dict.fromkeys(name.lower() for name in names):
            for address in addresses:
                kind = A if address.version == 4 else AAAA
                self._add(container, name, kind, wire.pack_address(address))
        pointer = self.qualify(names[0]) if names else None
        if pointer is not None:
            for address in addresses:
                self.pointers.setdefault(wire.reverse_name(address), {})[container] = wire.pack_pointer(pointer)

    def remove(self, container: str, endpoint: NamedEndpoint) -> None:
        """Remove a container with the endpoint that it was put with."""
        self.containers.discard(container)
        for name in filter(None, map(wire.pack_name, endpoint.names)):
            key = name.lower()
            if (records := self.bare.get(key)) is not None and records.discard(container):
                del self.bare[key]
                if (qualified := self._qualified(key)) is not None:
                    self.qualified.pop(qualified, None)
        for address in (endpoint.address, endpoint.address6):
            if address is not None and (held := self.pointers.get(key := wire.reverse_name(address))) is not None:
                held.pop(container, None)
                if not held:
                    del self.pointers[key]

    def qualify(self, name: bytes) -> bytes | None:
        """A name with the network's name behind it; None where that is no name."""
        if self._suffix is None or len(name) + len(self._suffix) - 1 > 255:
            return None
        return name.removesuffix(_ROOT) + self._suffix

    def _qualified(self, key: bytes) -> bytes | None:
        qualified = self.qualify(key)
        return None if qualified is None else qualified.lower()

    def _add(self, container: str, key: bytes, kind: int, record: bytes) -> None:
        if (records := self.bare.get(key)) is None:
            records = self.bare[key] = Records()
            if (qualified := self._qualified(key)) is not None:
                self.qualified[qualified] = records
        records.add(container, kind, record)


class _Searched:
    """A network as one container searches it: its links, in both forms, stand before the network's names."""

    def __init__(self, network: NetworkZone, links: Iterable[tuple[str, str]]) -> None:
        self.network = network
        self.links: dict[bytes, bytes] = {}
        self.qualified_links: dict[bytes, bytes] = {}
        for alias, name in links:
            key, target = wire.pack_name(alias), wire.pack_name(name)
            if key is not None and target is not None:
                self.links[key.lower()] = target.lower()
                if (qualified := network.qualify(key)) is not None:
                    self.qualified_links[qualified.lower()] = target.lower()

    def linked(self, name: bytes) -> Records | None:
        target = self.links.get(name)
        return None if target is None else self.network.bare.get(target)

    def linked_qualified(self, name: bytes) -> Records | None:
        target = self.qualified_links.get(name)
        return None if target is None else self.network.bare.get(target)

    def named(self, name: bytes) -> Records | None:
        return None if name in self.links else self.network.bare.get(name)

    def named_qualified(self, name: bytes) -> Records | None:
        return None if name in self.qualified_links else self.network.qualified.get(name)


class View:
    """What one container finds."""

    def __init__(self, searched: Sequence[_Searched]) -> None:
        linking = [one for one in searched if one.links]
        qualified = sorted(searched, key=lambda one: one.network.labels)
        self._steps = [
            [one.linked for one in linking],
            [one.named for one in searched],
            [one.linked_qualified for one in linking],
            [one.named_qualified for one in qualified],
        ]
        self._networks = [one.network for one in searched]

    def find(self, name: bytes, kind: int) -> Sequence[bytes] | None:
        """The packed answers: none where the name has other records only; None where nothing has that name."""
        if kind == PTR and (pointer := self._pointer(name)) is not None:
            return [pointer]
        for step in self._steps:
            known = False
            for look in step:
                if (records := look(name)) is not None:
                    known = True
                    if found := records.answers(kind):
                        return found
            if known:
                return ()
        return None

    def _pointer(self, name: bytes) -> bytes | None:
        for network in self._networks:
            if held := network.pointers.get(name):
                return next(iter(held.values()))
        return None


class Zone:
    """The names of all networks, by the containers that have them."""

    def __init__(self) -> None:
        self.networks: dict[str, NetworkZone] = {}
        self._endpoints: dict[str, tuple[NamedEndpoint, ...]] = {}

    def put(self, container: str, endpoints: Sequence[NamedEndpoint]) -> View:
        """Replace a container's names; returns what it finds."""
        self.remove(container)
        self._endpoints[container] = tuple(endpoints)
        searched = []
        for endpoint in endpoints:
            network = self.networks.setdefault(endpoint.network, NetworkZone(endpoint.network_name))
            network.put(container, endpoint)
            searched.append(_Searched(network, endpoint.links.items()))
        return View(searched)

    def remove(self, container: str) -> None:
        """Remove a container's names. Harmless if it has none."""
        for endpoint in self._endpoints.pop(container, ()):
            network = self.networks[endpoint.network]
            network.remove(container, endpoint)
            if not network.containers:
                del self.networks[endpoint.network]
