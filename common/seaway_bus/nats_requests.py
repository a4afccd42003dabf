"""Requests over nats-py, with one inbox for all. A lost connection ends those in flight at once.

nats-py's own `request` waits for its time-out, though the answer of a lost connection never comes.
"""

import asyncio
import contextlib
import secrets
from collections.abc import Mapping, Sequence
from typing import Final

from seaway_bus.nats_client import LastingClient
from seaway_bus.transport import Message, NoResponders, RequestTimeout
from seaway_contracts.catalogue.streams import REPLY_UNDER

_STATUS: Final = "Status"
_NO_RESPONDERS: Final = "503"


class Requests:
    """The requests of one connection.

    Nodes' agents may answer only on subjects of their own node (`REPLY_UNDER`), so that none can answer for another.
    """

    def __init__(self, client: LastingClient) -> None:
        self._client = client
        self._prefix = client.new_inbox()
        self._node_prefix = f"{REPLY_UNDER}.{self._prefix.removeprefix('_INBOX.')}"
        self._hears_nodes = False
        self._waiting: dict[str, asyncio.Future[Message]] = {}

    def open(self) -> None:
        """Listen for answers."""
        self._client.listen(f"{self._prefix}.*", self._answered)

    async def send(
        self, subject: str, data: bytes, headers: Mapping[str, str], timeout_s: float, node: str = ""
    ) -> Message:
        """Send and wait for one answer. Raises NotConnected, NoResponders, RequestTimeout, TooLarge."""
        inbox = (
            f"{self._inboxes(node)}.{secrets.token_hex(8)}"  # random, so that who gets one request can't answer another
        )
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Message] = loop.create_future()
        self._waiting[inbox] = answer
        timer = None
        try:
            self._client.send(subject, data, headers, inbox)
            timer = loop.call_later(timeout_s, _give_up, answer)
            reply = await answer
        finally:
            del self._waiting[inbox]
            if timer is not None:
                timer.cancel()
        if reply.headers.get(_STATUS) == _NO_RESPONDERS and not reply.data:
            raise NoResponders("nobody serves that subject")
        return reply

    def _inboxes(self, node: str) -> str:
        """The inbox for answers: this client's, or one on that node's subjects."""
        if not node:
            return self._prefix
        if not self._hears_nodes:
            self._hears_nodes = True
            self._client.listen(f"{self._node_prefix.format(node='*')}.*", self._answered)
        return self._node_prefix.format(node=node)

    async def ask(self, subject: str, data: bytes, limits_s: Sequence[float]) -> Message:
        """As `send`, once for each of the limits. Only for a request that may be heard twice.

        A cluster's member that is cut off, or a leader that was just lost, doesn't answer; the next attempt asks
        another.
        """
        for limit_s in limits_s[:-1]:
            with contextlib.suppress(RequestTimeout):
                return await self.send(subject, data, {}, limit_s)
        return await self.send(subject, data, {}, limits_s[-1])

    async def ask_all(self, subject: str, data: bytes, wait_s: float) -> list[Message]:
        """All answers to a request that come within this time. Raises NotConnected."""
        answers: list[Message] = []
        inbox = self._client.new_inbox()
        number = self._client.listen(inbox, answers.append)
        try:
            self._client.send(subject, data, {}, inbox)
            await asyncio.sleep(wait_s)
        finally:
            self._client.unlisten(number)
        return [answer for answer in answers if _STATUS not in answer.headers]

    def lost(self) -> None:
        """End the requests in flight: the lost connection takes their answers with it."""
        for answer in self._waiting.values():
            if not answer.done():
                answer.set_exception(RequestTimeout("the connection was lost before the answer came"))

    def _answered(self, message: Message) -> None:
        answer = self._waiting.get(message.subject)
        if answer is not None and not answer.done():
            answer.set_result(message)


def _give_up(answer: asyncio.Future[Message]) -> None:
    if not answer.done():
        answer.set_exception(RequestTimeout("no answer in time"))
