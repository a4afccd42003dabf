"""Hears when somebody deletes the node's nftables table: a firewall that is loaded anew flushes everything."""

import errno
import socket
from typing import Final

from seaway_agent.network import nfnl
from seaway_agent.network.netlink import NETFILTER

_GROUP: Final = 7  # NFNLGRP_NFTABLES (linux/netfilter/nfnetlink.h)
_SOL_NETLINK, _ADD_MEMBERSHIP = 270, 1
_DATAGRAM: Final = 1 << 16


class TableWatch:
    """A socket that is readable when nftables have changed, in the network namespace of the thread that made it."""

    def __init__(self, table: str) -> None:
        self._table = table
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, NETFILTER)
        try:
            self._socket.setblocking(False)
            self._socket.bind((0, 0))
            self._socket.setsockopt(_SOL_NETLINK, _ADD_MEMBERSHIP, _GROUP)
        except OSError:
            self._socket.close()
            raise

    def fileno(self) -> int:
        """The descriptor to watch."""
        return self._socket.fileno()

    def deleted(self) -> bool:
        """Whether the table has been deleted, or may have been, since the last call."""
        gone = False
        while True:
            try:
                gone |= self._table in nfnl.deleted_tables(self._socket.recv(_DATAGRAM))
            except BlockingIOError:
                return gone
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                gone = True  # more has happened than the socket could hold

    def close(self) -> None:
        """Hear no more."""
        self._socket.close()
