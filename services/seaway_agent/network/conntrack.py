"""Delete UDP flows whose translation a change of published ports has made stale, as Docker does.

A UDP client with a fixed source port keeps its flow alive by sending; without this it would keep sending to a
removed container's address. Listing the flows walks the kernel's whole hash table, some 10 ms even if it is empty, so
this runs in a thread of its own, started on first use.
"""

import errno
import logging
import threading
from collections.abc import Collection, Sequence

from seaway_agent.network import ctnl
from seaway_agent.network.errors import NetlinkError
from seaway_agent.network.netlink import NETFILTER, NetlinkSocket
from seaway_agent.network.thread import NetworkThread

_log = logging.getLogger(__name__)
Change = tuple[Collection[int], Collection[ctnl.Address]]
"""Host ports, and the addresses of the container that published or withdrew them."""


class FlowSweeper:
    """Deletes flows in the background, in the network namespace of the thread that first calls it."""

    def __init__(self) -> None:
        self._flows = FlowTable()
        self._thread: NetworkThread | None = None
        self._lock = threading.Lock()
        self._changes: list[Change] = []

    def delete_udp_flows(self, ports: Collection[int], addresses: Collection[ctnl.Address]) -> None:
        """Schedule the deletion of stale flows of UDP ``ports``; failures are logged."""
        if not ports:
            return
        if self._thread is None:
            self._thread = NetworkThread("network-flows", lambda: None)
        with self._lock:
            self._changes.append((ports, addresses))
            if len(self._changes) == 1:
                self._thread.submit(self._delete_flows)

    def close(self) -> None:
        """Finish the scheduled deletions, and end the thread."""
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.submit(self._flows.close)
            thread.stop()

    def _delete_flows(self) -> None:
        """Delete the flows of all changes that came during the last listing, by one listing."""
        with self._lock:
            changes, self._changes = self._changes, []
        try:
            self._flows.delete_udp_flows(changes)
        except (NetlinkError, OSError) as error:
            _log.warning("UDP clients of ports %s may be stuck for up to 3 minutes: %s", changes[0][0], error)


class FlowTable:
    """The kernel's tracked flows. Belongs to one thread; its socket stays open, since closing it waits for RCU."""

    def __init__(self) -> None:
        self._socket: NetlinkSocket | None = None

    def delete_udp_flows(self, changes: Sequence[Change]) -> int:
        """Delete the stale flows of UDP ports that addresses (un)published; returns their number.

        Does nothing on a kernel without conntrack's netlink interface.
        """
        if self._socket is None:
            self._socket = NetlinkSocket(NETFILTER)
        try:
            dumped = self._socket.dump(ctnl.dump(), "list tracked flows")
        except NetlinkError as error:
            if error.code in (errno.EINVAL, errno.EOPNOTSUPP):
                return 0
            raise
        flows = (ctnl.parse(reply.body) for reply in dumped)
        stale = [flow for flow in flows if any(ctnl.is_stale(flow, *change) for change in changes)]
        return sum(_delete(self._socket, flow) for flow in stale)

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def _delete(socket: NetlinkSocket, flow: ctnl.Flow) -> bool:
    try:
        socket.transact([ctnl.delete(flow)], f"forget the flow from {flow.source} to UDP port {flow.port}")
    except NetlinkError as error:
        if error.code == errno.ENOENT:
            return False
        raise
    return True
