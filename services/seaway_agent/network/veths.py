"""The veths of one suite, from a host bridge to a sandbox; hand-packed datagrams keep starts and connects fast."""

import errno
import logging
import random
import threading
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Final

from seaway_agent.network import rtnl
from seaway_agent.network.attributes import Message
from seaway_agent.network.driver import EndpointPlan, PluggedEndpoint
from seaway_agent.network.errors import NetlinkError, NetworkError
from seaway_agent.network.names import host_veth, is_host_veth, stale_group
from seaway_agent.network.netlink import ROUTE, NetlinkSocket
from seaway_agent.network.port import InterfaceCounters
from seaway_kit.failpoints import Failpoint, reach

_log = logging.getLogger(__name__)
_LOOK_S: Final = 0.0005


@dataclass(frozen=True, slots=True)
class BridgePort:
    """What a new port is made with: the bridge's index, and whether the port reaches no other isolated one."""

    bridge: int
    isolated: bool = False


class Veths:
    """Belongs to one thread, in the host's network namespace. Every method raises NetlinkError, OSError."""

    def __init__(self, suite: str, *, ipv6: bool) -> None:
        self._suite = suite
        self._ipv6 = ipv6
        self._serial = random.getrandbits(32)
        self._socket: NetlinkSocket | None = None

    def plug_at_start(
        self, plan: EndpointPlan, port: BridgePort, netns_fd: int, inner: NetlinkSocket
    ) -> PluggedEndpoint:
        """Make an endpoint in a new namespace, in two datagrams."""
        name = self._next_name()
        link = self._plug(plan, name, port, netns_fd)
        reach(Failpoint.NETWORK_VETH)
        self._configure(plan, inner, link.peer)
        reach(Failpoint.NETWORK_ADDRESS)
        return plan.plugged(name, link.index)

    def plug(self, plan: EndpointPlan, port: BridgePort, netns_fd: int, inner: NetlinkSocket) -> PluggedEndpoint:
        """Make an endpoint in a namespace in which programs run. Leaves nothing on error."""
        try:
            return self.plug_at_start(plan, port, netns_fd, inner)
        except BaseException:
            self.delete(host_veth(self._suite, self._serial))
            raise

    def unplug(self, plugged: PluggedEndpoint) -> None:
        """Delete an endpoint of a namespace that stays."""
        self.delete(plugged.info.host_interface)

    def delete(self, name: str) -> None:
        """Delete a veth, if it exists; returns when it is gone.

        The kernel answers only some 20 ms later, after it has waited for RCU. So a thread of its own asks for it.
        """
        deleting: Future[None] = Future()
        try:
            threading.Thread(target=_delete, args=(name, deleting), name=f"delete-{name}", daemon=True).start()
        except RuntimeError:  # no more threads may be made
            _delete(name, deleting)
        while not deleting.done():
            if self.link(rtnl.get_link(name), f"look for {name}") is None:
                return
            time.sleep(_LOOK_S)
        deleting.result()

    def flush_port(self, plugged: PluggedEndpoint) -> None:
        """Flush the addresses that the bridge learned on a port, so that another port can use them at once."""
        if plugged.host_index:
            self._tolerate([rtnl.flush_port(plugged.host_index)], f"flush port {plugged.host_index}")

    def find(self, plan: EndpointPlan, bridge: int, inside: Iterable[rtnl.Link]) -> PluggedEndpoint:
        """Find an endpoint on this bridge by the interfaces of its namespace; without a host end if that is gone.

        Accepts a port without a bridge, as another program may have removed the bridge.
        """
        for inner, outer in self.own(inside):
            if outer.master in (bridge, 0):
                return replace(plan, interface=inner.name, mac=inner.mac).plugged(outer.name, outer.index)
        _log.warning("the endpoint with address %s has no veth on this host any more", plan.address)
        return plan.plugged()

    def own(self, inside: Iterable[rtnl.Link]) -> Iterator[tuple[rtnl.Link, rtnl.Link]]:
        """Of the interfaces of a namespace the inner ends of this suite's veths, each with its host end."""
        for inner in inside:
            if inner.kind != "veth":
                continue
            outer = self.link(rtnl.get_link_at(inner.peer), f"find the host's end of {inner.name}")
            if outer is not None and outer.peer == inner.index and is_host_veth(self._suite, outer.name):
                yield inner, outer

    def sweep(self, live: Collection[str]) -> list[str]:
        """Delete stale veths in one request, with one wait for RCU; returns their names."""
        stale = [link.name for link in self.links() if is_host_veth(self._suite, link.name) and link.name not in live]
        group = stale_group(self._suite)
        for name in stale:
            self._tolerate([rtnl.set_group(name, group)], f"mark stale veth {name}")
        if stale:
            self._tolerate([rtnl.delete_group(group)], f"delete {len(stale)} stale veths of suite {self._suite}")
        return stale

    def counters(self, endpoints: Iterable[PluggedEndpoint]) -> Mapping[str, InterfaceCounters]:
        """The endpoints' counters by host interface, from one dump."""
        dumped = self.host.dump(rtnl.dump_counters(), "read counters")
        by_index = dict(rtnl.parse_counters(reply.body) for reply in dumped)
        return {
            plugged.info.host_interface: by_index[plugged.host_index]
            for plugged in endpoints
            if plugged.host_index in by_index
        }

    @property
    def host(self) -> NetlinkSocket:
        """The route socket in the host's namespace."""
        if self._socket is None:
            self._socket = NetlinkSocket(ROUTE)
        return self._socket

    def links(self) -> list[rtnl.Link]:
        """The host's interfaces."""
        return [rtnl.parse_link(reply.body) for reply in self.host.dump(rtnl.dump_links(), "list interfaces")]

    def link(self, request: Message, doing: str) -> rtnl.Link | None:
        """The interface that a request names; None if there is none."""
        try:
            answers = self.host.transact([request], doing)
        except NetlinkError as error:
            if error.code == errno.ENODEV:
                return None
            raise
        return rtnl.parse_link(answers[0].body)

    def close(self) -> None:
        """Close the socket."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _next_name(self) -> str:
        self._serial += 1
        return host_veth(self._suite, self._serial)

    def _plug(self, plan: EndpointPlan, name: str, port: BridgePort, netns_fd: int) -> rtnl.Link:
        """Make the veth between bridge and namespace; returns the host's end, up."""
        mtu = plan.network.mtu
        messages = [
            rtnl.create_veth(name, port.bridge, mtu, peer=plan.interface, peer_mac=plan.mac, netns_fd=netns_fd),
            *self._without_ipv6(name),
            rtnl.bring_up_port(name, isolated=port.isolated),
            rtnl.get_link(name),
        ]
        with _full(plan):
            answers = self.host.transact(messages, f"make the veth {name} of address {plan.address}")
        return rtnl.parse_link(answers[0].body)

    def _configure(self, plan: EndpointPlan, inner: NetlinkSocket, index: int) -> None:
        name = plan.interface
        messages = [
            *(self._without_ipv6(name) if plan.address6 is None else []),
            rtnl.bring_up(name),
            *(rtnl.add_address(index, address) for address in plan.addresses),
            *(rtnl.set_default_route(index, gateway) for gateway in plan.gateways),
        ]
        inner.transact(messages, f"configure {name} with address {plan.address}")

    def _without_ipv6(self, name: str) -> Sequence[Message]:
        return [rtnl.without_ipv6(name)] if self._ipv6 else []

    def _tolerate(self, messages: list[Message], doing: str) -> None:
        """Change an interface that may be gone meanwhile."""
        try:
            self.host.transact(messages, doing)
        except NetlinkError as error:
            if error.code not in (errno.ENODEV, errno.EINVAL, errno.EOPNOTSUPP):
                raise


def _delete(name: str, done: "Future[None]") -> None:
    try:
        with NetlinkSocket(ROUTE) as socket:
            socket.transact([rtnl.delete_link(name)], f"delete {name}")
    except BaseException as error:  # whoever waits must hear of it
        if not (isinstance(error, NetlinkError) and error.code == errno.ENODEV):
            done.set_exception(error)
            return
    done.set_result(None)


@contextmanager
def _full(plan: EndpointPlan) -> Iterator[None]:
    """Say which network is full where the kernel says that a bridge is: other programs may have ports there."""
    try:
        yield
    except NetlinkError as error:
        if error.code != errno.EXFULL:
            raise
        raise NetworkError(f"the bridge of network {plan.network.name} has no free port: {error}") from error
