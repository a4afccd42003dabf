"""All sandboxes of a node: built, adopted, released, counted. Belongs to the network's thread."""

import logging
import os
import random
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path

from seaway_agent.network import netns, rtnl, sandbox
from seaway_agent.network.bridge import BridgeNetwork
from seaway_agent.network.errors import AddressError, NetlinkError, NetworkError, SandboxGone
from seaway_agent.network.names import host_veth, is_host_veth, mac_of
from seaway_agent.network.rtnl import InterfaceCounters
from seaway_agent.network.sandbox import Endpoint, Sandbox

_log = logging.getLogger(__name__)


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
        self._plugged: set[Sandbox] = set()
        self._isolated: set[Sandbox] = set()
        self._veths_known = True

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
        self._plugged.add(built)
        return built

    def release(self, held: Sandbox) -> None:
        """Let go of a sandbox, whose address is free from now on. Twice does no harm.

        The kernel removes namespace and veth as soon as no process is left in it.
        """
        held.hand_over()
        self._isolated.discard(held)
        if held in self._plugged:
            self._plugged.remove(held)
            if held.address is not None:
                self.network.addresses.release(held.address)
            if held.host_index:
                self.network.forget_port(held.host_index)

    def adopt(self, pid: int, address: IPv4Address | None) -> Sandbox:
        """The sandbox of a process that outlived an earlier agent, whatever that process has done to it.

        The ``address`` that it was given is taken from now on; None is for ``--network none``. Raises SandboxGone if
        the process has ended.
        """
        if address is None:
            return self._adopt_isolated(pid)
        inner, outer = self._ends(pid)
        if outer is None:
            _log.warning("process %d with address %s has no veth on this host any more", pid, address)
        prefix_len, gateway = self.network.addresses.subnet.prefixlen, self.network.addresses.gateway
        mac = inner.mac if inner is not None else mac_of(address)
        name, index = (outer.name, outer.index) if outer is not None else ("", 0)
        mine = address if self._reserve(pid, address) else None
        adopted = Sandbox(-1, mine, prefix_len, gateway, mac, name, index)
        self._plugged.add(adopted)
        return adopted

    def sweep(self) -> list[str]:
        """Delete veths of this suite that belong to no sandbox; their names are given back.

        None is deleted while nobody knows which of them is a living process's.
        """
        if not self._veths_known:
            return []
        return self.network.sweep({held.host_veth for held in self._plugged})

    def addresses(self) -> set[IPv4Address]:
        """The addresses of all sandboxes."""
        return {held.address for held in self._plugged if held.address is not None}

    def counters(self) -> dict[str, InterfaceCounters]:
        """Counters of all sandboxes on the bridge by the name of their host's end, from one dump."""
        by_index = self.network.counters()
        return {held.host_veth: by_index[held.host_index] for held in self._plugged if held.host_index in by_index}

    def close(self) -> None:
        """Forget all sandboxes; those that containers hold live on."""
        for held in (*self._plugged, *self._isolated):
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

    def _reserve(self, pid: int, address: IPv4Address) -> bool:
        """Take the address of a living process; whether it is that one's alone."""
        try:
            if address in self.network.addresses:
                raise AddressError("it belongs to another sandbox already")
            self.network.addresses.restore([address])
        except AddressError as error:
            _log.error("address %s of process %d: %s", address, pid, error)
            return False
        return True

    def _ends(self, pid: int) -> tuple[rtnl.Link | None, rtnl.Link | None]:
        """Both ends of the veth of a living process: inside, and on the host. Raises SandboxGone."""
        try:
            for inner in sandbox.veths(self._home, pid):
                outer = self.network.link(rtnl.get_link_at(inner.peer), f"find the host's end of {inner.name}")
                if outer is not None and outer.peer == inner.index and is_host_veth(self.network.suite, outer.name):
                    return inner, outer
        except (NetlinkError, OSError) as error:
            self._veths_known = False
            _log.warning("the interfaces of process %d can't be read, so no veth is removed: %s", pid, error)
        return None, None
