"""All sandboxes of a node: built, adopted, released, counted. Belongs to the network's thread."""

import os
import random
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path

from seaway_agent.network import netns, rtnl, sandbox
from seaway_agent.network.bridge import BridgeNetwork
from seaway_agent.network.errors import AddressError, NetworkError, SandboxGone
from seaway_agent.network.names import IFNAME, host_veth, mac_of
from seaway_agent.network.rtnl import InterfaceCounters
from seaway_agent.network.sandbox import Endpoint, Sandbox


@dataclass(frozen=True, slots=True)
class NetworkRequest:
    """What sandbox a container wants. ``mode`` is ``bridge`` or ``none``; ``address`` and ``mac`` are fixed ones."""

    mode: str = "bridge"
    address: IPv4Address | None = None
    mac: str | None = None


class Sandboxes:
    """Which veths and addresses of the bridge belong to whom."""

    def __init__(self, network: BridgeNetwork) -> None:
        self.network = network
        self._home = -1
        self._serial = random.getrandbits(32)
        self._plugged: dict[str, Sandbox] = {}
        self._isolated: set[Sandbox] = set()

    def open(self) -> None:
        """To be called first, in the thread and the namespace in which all the rest will run."""
        self._home = netns.current()

    def build(self, request: NetworkRequest) -> Sandbox:
        """A new sandbox. Raises AddressError, NetlinkError, OSError; nothing stays behind then."""
        if request.mode == "none":
            isolated = sandbox.build_isolated(self._home)
            self._isolated.add(isolated)
            return isolated
        if request.mode != "bridge":
            raise NetworkError(f"no network mode {request.mode!r} on a node: use bridge or none")
        addresses = self.network.addresses
        address = self._take_address(request.address)
        try:
            endpoint = self._endpoint(address, request.mac)
            built = sandbox.build(self._home, self.network.host, endpoint, ipv6=self.network.ipv6)
        except BaseException:
            addresses.release(address)
            raise
        self._plugged[built.host_veth] = built
        return built

    def release(self, held: Sandbox) -> None:
        """Let go of a sandbox, whose address is free from now on. Twice does no harm.

        The kernel removes namespace and veth as soon as no process is left in it.
        """
        held.hand_over()
        self._isolated.discard(held)
        if held.address is not None and self._plugged.get(held.host_veth) is held:
            del self._plugged[held.host_veth]
            self.network.addresses.release(held.address)
            self.network.forget_port(held.host_index)

    def adopt(self, pid: int, address: IPv4Address | None) -> Sandbox:
        """The sandbox of a process that outlived an earlier agent; its address is taken from now on.

        ``address`` None is for ``--network none``. Raises SandboxGone if the process has ended, NetworkError if it
        isn't on this bridge with that address.
        """
        if address is None:
            return self._adopt_isolated(pid)
        link, present = sandbox.inspect(self._home, pid)
        host_end = self._host_end(link)
        if address not in present or host_end is None or host_end.master != self.network.index:
            raise NetworkError(f"process {pid} isn't on bridge {self.network.bridge} with address {address}")
        if address in self.network.addresses:
            raise AddressError(f"address {address} of process {pid} belongs to another sandbox already")
        self.network.addresses.restore([address])
        prefix_len, gateway = self.network.addresses.subnet.prefixlen, self.network.addresses.gateway
        adopted = Sandbox(-1, address, prefix_len, gateway, link.mac, IFNAME, host_end.name, host_end.index)
        self._plugged[host_end.name] = adopted
        return adopted

    def sweep(self) -> list[str]:
        """Delete veths of this suite that belong to no sandbox; their names are given back."""
        return self.network.sweep(self._plugged.keys())

    def addresses(self) -> set[IPv4Address]:
        """The addresses of all sandboxes."""
        return {held.address for held in self._plugged.values() if held.address is not None}

    def counters(self) -> dict[str, InterfaceCounters]:
        """Counters of all sandboxes on the bridge by the name of their host's end, from one dump."""
        by_index = self.network.counters()
        return {name: by_index[held.host_index] for name, held in self._plugged.items() if held.host_index in by_index}

    def close(self) -> None:
        """Forget all sandboxes; those that containers hold live on."""
        for held in (*self._plugged.values(), *self._isolated):
            held.hand_over()
        self._plugged.clear()
        self._isolated.clear()
        if self._home >= 0:
            os.close(self._home)
            self._home = -1

    def _adopt_isolated(self, pid: int) -> Sandbox:
        if not Path(f"/proc/{pid}").exists():
            raise SandboxGone(f"process {pid} has ended, and its network sandbox with it")
        return Sandbox(-1)

    def _take_address(self, wanted: IPv4Address | None) -> IPv4Address:
        if wanted is None:
            return self.network.addresses.allocate()
        self.network.addresses.reserve(wanted)
        return wanted

    def _endpoint(self, address: IPv4Address, mac: str | None) -> Endpoint:
        addresses = self.network.addresses
        self._serial += 1
        return Endpoint(
            bridge_index=self.network.index,
            host_veth=host_veth(self.network.suite, self._serial),
            address=address,
            prefix_len=addresses.subnet.prefixlen,
            gateway=addresses.gateway,
            mac=mac or mac_of(address),
            mtu=self.network.mtu,
        )

    def _host_end(self, link: rtnl.Link) -> rtnl.Link | None:
        if not link.peer:
            return None
        return self.network.link(rtnl.get_link_at(link.peer), f"find the host's end of interface {link.name}")
