"""The driver of macvlan networks: endpoints are in the same Ethernet segment as the parent interface."""

import errno
import logging
import time
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace

from seaway_agent.network import rtnetlink, rtnl
from seaway_agent.network.driver import Driver, EndpointPlan, PluggedEndpoint
from seaway_agent.network.errors import NetlinkError, NetworkError
from seaway_agent.network.names import alias, check_suite, is_own, parent_names, peer_of_parent
from seaway_agent.network.netlink import ROUTE, NetlinkSocket
from seaway_agent.network.options import MacvlanOptions, macvlan_options
from seaway_agent.network.options import mtu as mtu_of
from seaway_agent.network.port import NetworkSpec
from seaway_agent.network.rtnetlink import Interfaces

_FORMER_S, _POLL_S = 5.0, 0.005
_PASSTHRU = "passthru"
_MADE_KINDS = ("dummy", "veth", "vlan")
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Parent:
    """``own``: this driver made it, and removes it with the network."""

    name: str
    index: int
    own: bool


class MacvlanDriver(Driver):
    """One suite's macvlan networks.

    Without the option ``parent`` a network gets an interface that leads nowhere, as with Docker; a parent such as
    ``eth0.50`` is made if it isn't there. Other interfaces of the host are left as they are.
    """

    def __init__(self, suite: str) -> None:
        super().__init__(check_suite(suite))
        self._parents: dict[str, _Parent] = {}

    def make(self, spec: NetworkSpec) -> NetworkSpec:
        """See `Driver`. Raises NetworkError if there is no such parent, or another network has it."""
        options = _options(spec)
        for other, parent in self._parents.items():
            if options.parent and parent.name == options.parent and other != spec.id:
                raise NetworkError(f"network {other[:12]} is already using parent interface {options.parent}")
        self._parents[spec.id] = self._find(spec, options) or self._make(spec, options)
        return spec

    def remove(self, spec: NetworkSpec) -> None:
        """See `Driver`."""
        parent = self._parents.pop(spec.id, None)
        if parent is not None and parent.own:
            with rtnetlink.open_interfaces() as host:
                host.delete(parent.name)

    def plug(self, plan: EndpointPlan, netns_fd: int, _: NetlinkSocket) -> PluggedEndpoint:
        """See `Driver`."""
        parent, options = self._parents[plan.network.id], _options(plan.network)
        mtu = mtu_of(plan.network.options) or None
        mac = plan.mac if options.mode != _PASSTHRU else None
        with rtnetlink.open_interfaces() as host, rtnetlink.open_interfaces(netns_fd) as inner:
            host.make_macvlan(plan.interface, parent.index, options.mode, mac=mac, mtu=mtu, netns_fd=netns_fd)
            try:
                _configure(inner, plan)
                return replace(plan, mac=inner.mac(plan.interface)).plugged()
            except BaseException:
                inner.delete(plan.interface)
                raise

    def unplug(self, plugged: PluggedEndpoint, netns_fd: int) -> None:
        """See `Driver`."""
        with rtnetlink.open_interfaces(netns_fd) as inner:
            inner.delete(plugged.info.interface)

    def adopt(self, plan: EndpointPlan, inside: Sequence[rtnl.Link]) -> PluggedEndpoint:
        """See `Driver`. A program may have renamed its interface, but not given it another parent."""
        parent = self._parents[plan.network.id].index
        for link in self.made_of(inside):
            if link.peer == parent:
                return replace(plan, interface=link.name, mac=link.mac).plugged()
        return plan.plugged()

    def made_of(self, inside: Sequence[rtnl.Link]) -> list[rtnl.Link]:
        """See `Driver`. A macvlan that a program made itself is over an interface of its own namespace."""
        parents = {parent.index for parent in self._parents.values()}
        return [link for link in inside if link.kind == "macvlan" and link.leads_elsewhere and link.peer in parents]

    def sweep(self, live: Collection[str], networks: Iterable[NetworkSpec]) -> list[str]:
        """See `Driver`."""
        kept = {parent.name for parent in self._parents.values()}
        orphans = [name for name in self._made() if name not in kept]
        self._delete(orphans)
        return orphans

    def refresh(self, networks: Iterable[NetworkSpec]) -> None:
        """See `Driver`."""
        for spec in networks:
            try:
                self.make(spec)
            except (NetworkError, OSError) as error:
                _log.error("network %s can't be set up again: %s", spec.name, error)

    def teardown(self) -> None:
        """See `Driver`."""
        self._delete(self._made())
        self._parents.clear()

    # --- parents

    def _find(self, spec: NetworkSpec, options: MacvlanOptions) -> _Parent | None:
        """The parent, if it is there: the user's, or one that an earlier agent made."""
        own, names = alias(self.suite, spec.id), (options.parent,) if options.parent else self._names(spec)
        for link in _links():
            if link.name in names and (options.parent or link.alias == own):
                return _Parent(link.name, link.index, link.alias == own)
        return None

    def _make(self, spec: NetworkSpec, options: MacvlanOptions) -> _Parent:
        name = options.parent or self._free_name(spec)
        first, known = self._names(spec)[1], alias(self.suite, spec.id)
        if options.parent and options.vlan is None:
            raise NetworkError(
                f"network {spec.name}: this host has no interface {options.parent},"
                " and that is no name of a VLAN such as eth0.50"
            )
        with rtnetlink.open_interfaces() as host:
            if options.vlan is not None:
                return _Parent(name, host.make_vlan(name, *options.vlan, first_name=first, alias=known), own=True)
            return _Parent(name, host.make_parent(name, peer_of_parent(name), first_name=first, alias=known), own=True)

    def _free_name(self, spec: NetworkSpec) -> str:
        preferred, first = self._names(spec)
        taken = {link.name for link in _links() if link.name != first or link.alias}
        name = next((name for name in (preferred, first) if name not in taken), "")
        if not name:
            raise NetworkError(f"interface {preferred} exists and is not network {spec.name}'s: remove it first")
        return name

    def _names(self, spec: NetworkSpec) -> tuple[str, str]:
        return parent_names(self.suite, spec.id)

    def _made(self) -> list[str]:
        """The names of the interfaces that this driver has made on the host."""
        found = (link for link in _links() if link.kind in _MADE_KINDS)
        return [link.name for link in found if is_own(self.suite, link.name, link.alias)]

    def _delete(self, names: Collection[str]) -> None:
        if names:
            with rtnetlink.open_interfaces() as host:
                for name in names:
                    host.delete(name)


def _configure(inner: Interfaces, plan: EndpointPlan) -> None:
    """Bring an endpoint up, as soon as the kernel has removed a former one with its MAC address.

    That one's namespace ends with its container's last process, but the kernel removes interfaces some time later.
    """
    deadline = time.monotonic() + _FORMER_S
    while True:
        try:
            inner.configure(plan.interface, plan.addresses, plan.gateways)
            return
        except NetlinkError as error:
            if error.code != errno.EADDRINUSE or time.monotonic() > deadline:
                raise
        time.sleep(_POLL_S)


def _links() -> list[rtnl.Link]:
    """The host's interfaces."""
    with NetlinkSocket(ROUTE) as host:
        return [rtnl.parse_link(reply.body) for reply in host.dump(rtnl.dump_links(), "list interfaces")]


def _options(spec: NetworkSpec) -> MacvlanOptions:
    try:
        return macvlan_options(spec.options)
    except ValueError as error:
        raise NetworkError(f"network {spec.name}: {error}") from error
