"""The node's nftables tables: rules by ``nft``, map elements by raw nfnetlink, and a watch for its deletion."""

import errno
import json
import socket
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from seaway_agent.network import forward_policy, nfnl, ruleset
from seaway_agent.network.attributes import Message, Reply
from seaway_agent.network.errors import NatError, NetlinkError
from seaway_agent.network.names import check_suite, table_name
from seaway_agent.network.netlink import NETFILTER, NetlinkSocket
from seaway_agent.network.nfnl import Dnat, Family
from seaway_agent.network.ruleset import BridgeRules

_NFT_TIMEOUT = 30.0
_IPV6 = Path("/proc/sys/net/ipv6")
_GROUP: Final = 7  # NFNLGRP_NFTABLES (linux/netfilter/nfnetlink.h)
_SOL_NETLINK, _ADD_MEMBERSHIP = 270, 1
_DATAGRAM: Final = 1 << 16
_VERSIONS: Final[Mapping[str, Family]] = {ruleset.IPV4: 4, ruleset.IPV6: 6}


class NatTable:
    """Masquerade, published ports and isolation of one suite's bridges, and the user's rules. See ``ruleset``.

    Belongs to one thread, in the host's network namespace. It knows nothing but the kernel does: others may change the
    same tables.
    """

    def __init__(self, suite: str) -> None:
        self.suite = check_suite(suite)
        self.name = table_name(suite)
        self._socket: NetlinkSocket | None = None

    def install(self, bridges: Sequence[BridgeRules], *, only: bool = False) -> None:
        """Make or update the tables, and add these bridges; all else stays, but no other bridge if ``only``.

        Raises NatError.
        """
        ipv6 = any(one.subnet6 is not None for one in bridges) or self._has_ipv6()
        _run_nft(ruleset.install(self.suite, bridges, ipv6=ipv6, only=only))

    def remove(self) -> None:
        """Delete the tables with everything in them."""
        _run_nft(ruleset.remove(self.suite, ipv6=_IPV6.exists()))

    def add(self, elements: Sequence[Dnat]) -> None:
        """Publish, all or nothing. Raises NetlinkError."""
        if elements:
            self._apply(nfnl.add(self.name, elements), "publish ports")

    def discard(self, elements: Sequence[Dnat]) -> None:
        """Remove elements, all or nothing. Raises NetlinkError (ENOENT if one is missing)."""
        if elements:
            self._apply(nfnl.discard(self.name, elements), "withdraw published ports")

    def replace(self, elements: Sequence[Dnat]) -> None:
        """Make the maps hold exactly these elements. Packets see the old or the new maps, nothing in between."""
        families: tuple[Family, ...] = (4, 6) if self._has_ipv6() else (4,)
        self._apply([*nfnl.flush(self.name, families), *nfnl.add(self.name, elements)], "restore published ports")

    def warnings(self, bridges: Sequence[BridgeRules]) -> list[str]:
        """What another program's firewall drops of these bridges' packets, and how to change that.

        One netlink request per family; nft runs only if the policy is drop. Raises NatError, NetlinkError.
        """
        found = []
        leading_out = [one for one in bridges if not one.internal]
        for family, version in _VERSIONS.items():
            names = [one.bridge for one in leading_out if one.elements(family)]
            if names and self._drops_forwarded(version):
                listing = _list_table(family, forward_policy.TABLE)
                if blocked := forward_policy.blocked(listing, names):
                    found.append(forward_policy.warning(family, listing, blocked))
        return found

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _has_ipv6(self) -> bool:
        """Whether the IPv6 table is there."""
        return bool(self._look(nfnl.get_table(self.name, 6), f"look for table {self.name}"))

    def _drops_forwarded(self, family: Family) -> bool:
        """Whether iptables drops forwarded packets that no rule of it accepts."""
        asked = nfnl.get_chain(forward_policy.TABLE, forward_policy.CHAIN, family)
        return any(nfnl.drops(reply.body) for reply in self._look(asked, "read the policy of iptables' chain FORWARD"))

    def _look(self, message: Message, doing: str) -> list[Reply]:
        """The object that is asked for; nothing if there is none."""
        try:
            return self._open().transact([message], doing)
        except NetlinkError as error:
            if error.code != errno.ENOENT:
                raise
            return []

    def _apply(self, messages: list[Message], doing: str) -> None:
        self._open().exchange(nfnl.batch(messages), f"{doing} in nftables table {self.name}")

    def _open(self) -> NetlinkSocket:
        if self._socket is None:
            self._socket = NetlinkSocket(NETFILTER)
        return self._socket


class TableWatch:
    """A socket that is readable after a change of nftables, in the network namespace of the thread that made it.

    A firewall's reload flushes all tables, ours among them.
    """

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
                gone = True  # the socket's buffer overflowed, so a deletion may be lost

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()


def _list_table(family: str, table: str) -> dict[str, Any]:
    """A table of any program. Raises NatError."""
    shown = _run_nft("", "-j", "list", "table", family, table)
    try:
        return dict(json.loads(shown))
    except ValueError as error:
        raise NatError(f"nft does not show table {family} {table} as JSON: {error}") from error


def _run_nft(script: str, *arguments: str) -> str:
    """Run a script, or nft with these arguments; returns its output. Raises NatError."""
    command = ["nft", *(arguments or ("-f", "-"))]
    try:
        done = subprocess.run(command, input=script, capture_output=True, text=True, timeout=_NFT_TIMEOUT, check=False)
    except FileNotFoundError as error:
        raise NatError("nft is not installed: install the nftables package") from error
    except subprocess.TimeoutExpired as error:
        raise NatError(f"nft did not finish within {_NFT_TIMEOUT:.0f} s") from error
    if done.returncode != 0:
        reason = done.stderr.strip() or f"it ended with code {done.returncode} and said nothing"
        raise NatError(f"nft refused {'to ' + ' '.join(arguments) if arguments else 'the rules'}: {reason}")
    return done.stdout
