"""A blocking netlink socket, in the network namespace of the thread that opened it."""

import os
import socket
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from seaway_agent.network.attributes import ACK, NLMSG_DONE, NLMSG_ERROR, Message, Reply, parse_replies
from seaway_agent.network.errors import NetlinkError

ROUTE, NETFILTER = socket.NETLINK_ROUTE, 12
_SEND_BUFFER_FORCE = 32  # SO_SNDBUFFORCE
_SOL_NETLINK, _CAP_ACK, _EXT_ACK = 270, 10, 11
_DATAGRAM = 1 << 16
_RECEIVE_BUFFER = 1 << 20


class NetlinkSocket:
    """The kernel replies while a request is sent, so reading never waits (each read continues a dump)."""

    def __init__(self, protocol: int) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol)
        self._sequence = 0
        self._longest = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) // 2
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
            self._socket.setsockopt(_SOL_NETLINK, _CAP_ACK, 1)
            self._socket.setsockopt(_SOL_NETLINK, _EXT_ACK, 1)
            self._socket.bind((0, 0))
        except OSError:
            self._socket.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._socket.close()

    def transact(self, messages: Sequence[Message], doing: str) -> list[Reply]:
        """Send requests in one datagram, each with an acknowledgement; returns the other replies.

        Raises NetlinkError for the first request that the kernel refused; ``doing`` is the purpose, for its text.
        """
        return self.exchange([Message(m.kind, m.flags | ACK, m.body) for m in messages], doing)

    def exchange(self, messages: Sequence[Message], doing: str) -> list[Reply]:
        """Like ``transact``, but acknowledges only messages with the ACK flag (nfnetlink batches)."""
        self._send(messages)
        answers: list[Reply] = []
        acknowledged = 0
        for reply in self._drain():
            if reply.kind != NLMSG_ERROR:
                answers.append(reply)
            elif reply.error:
                raise _refusal(doing, reply)
            else:
                acknowledged += 1
        if acknowledged != sum(1 for m in messages if m.flags & ACK):
            raise NetlinkError(0, f"cannot {doing}: the kernel acknowledged {acknowledged} of {len(messages)} requests")
        return answers

    def dump(self, message: Message, doing: str) -> list[Reply]:
        """All objects that a dump request yields."""
        self._send([message])
        found: list[Reply] = []
        while True:
            for reply in parse_replies(self._socket.recv(_DATAGRAM)):
                if reply.sequence != self._sequence:
                    continue
                if reply.kind == NLMSG_DONE:
                    return found
                if reply.kind == NLMSG_ERROR:
                    raise _refusal(doing, reply)
                found.append(reply)

    def _send(self, messages: Sequence[Message]) -> None:
        packed = []
        for message in messages:
            self._sequence = self._sequence + 1 & 0xFFFFFFFF
            packed.append(message.pack(self._sequence))
        self._discard()
        datagram = b"".join(packed)
        if len(datagram) > self._longest:  # as a batch of thousands of map elements
            self._socket.setsockopt(socket.SOL_SOCKET, _SEND_BUFFER_FORCE, len(datagram))
            self._longest = len(datagram)
        self._socket.send(datagram)

    def _discard(self) -> None:
        """Discard unread replies of an earlier request that failed."""
        for _ in self._drain():
            pass

    def _drain(self) -> list[Reply]:
        replies: list[Reply] = []
        while True:
            try:
                replies += parse_replies(self._socket.recv(_DATAGRAM, socket.MSG_DONTWAIT))
            except BlockingIOError:
                return replies


def _refusal(doing: str, reply: Reply) -> NetlinkError:
    code = reply.error or 0
    reason = os.strerror(code) + (f" ({reply.explanation})" if reply.explanation else "")
    return NetlinkError(code, f"cannot {doing}: {reason}")
