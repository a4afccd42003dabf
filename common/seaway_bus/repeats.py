"""Requests that the bus repeats by itself, and the outcomes with which a repeated command runs once.

A killed process is back within a second or so; its callers wait for it instead of failing.
"""

import asyncio
import itertools
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from seaway_bus.transport import Message, NoResponders, NotConnected, RequestTimeout, Transport, TransportError
from seaway_contracts.channels import Repeat
from seaway_contracts.errors import SeawayError

PATIENCE_S: Final = 5.0
_FIRST_PAUSE_S: Final = 0.02
_LAST_PAUSE_S: Final = 0.25
_FIRST_SILENCE_S: Final = 1.0
_LAST_SILENCE_S: Final = 8.0
_TICK_S: Final = 0.001  # the event loop's resolution
_REMEMBERED: Final = 1024
_JOINED: Final = 8


@dataclass
class Asking:
    """One request with its repeats. `patience_s`: how long it waits while nobody serves the subject.

    A repeat has the same headers, and so the same command id and dead-line.
    """

    transport: Transport
    subject: str
    data: bytes
    headers: Mapping[str, str]
    repeat: Repeat
    patience_s: float = PATIENCE_S
    node: str = ""
    """The node whose agent is asked; empty for a service."""

    async def answer(self, timeout_s: float) -> Message:
        """The first answer.

        Raises RequestTimeout if the request may have been heard; NoResponders, NotConnected if it wasn't; TooLarge.
        """
        now = asyncio.get_running_loop().time
        end, silence, pause = now() + timeout_s, _FIRST_SILENCE_S, _FIRST_PAUSE_S
        heard = False
        alone_until = 0.0
        while True:
            wait = min(silence, end - now()) if self.repeat is Repeat.UNANSWERED else end - now()
            try:
                return await self.transport.request(self.subject, self.data, self.headers, max(0.0, wait), self.node)
            except RequestTimeout:
                if self.repeat is not Repeat.UNANSWERED or now() >= end - _TICK_S:
                    raise
                heard, alone_until, silence, pause = True, 0.0, min(silence * 2, _LAST_SILENCE_S), _FIRST_PAUSE_S
            except (NoResponders, NotConnected) as error:
                alone_until = alone_until or min(end, now() + self.patience_s)
                if self.repeat is Repeat.NEVER or now() + pause > alone_until:
                    raise _unheard(error, heard) from error
                await asyncio.sleep(pause)
                pause = min(pause * 1.5, _LAST_PAUSE_S)


def _unheard(error: TransportError, heard: bool) -> TransportError:
    """The error when nobody serves the subject now: a time-out if an earlier attempt was heard."""
    return RequestTimeout("whoever heard it is gone without an answer") if heard else error


class Outcomes:
    """The outcomes of commands, by channel and command id: a repeat gets the first one's outcome.

    It does not keep an error after which the same command may succeed.
    """

    def __init__(self, remembered: int = _REMEMBERED) -> None:
        self._remembered = remembered
        self._known: OrderedDict[tuple[str, str], asyncio.Future[bytes]] = OrderedDict()
        self._joined: dict[tuple[str, str], deque[Message]] = {}

    def join(self, channel: str, command: str, request: Message) -> bool:
        """Whether that command is in work; then its reply is also `request`'s.

        Of many repeats it keeps the last few: their caller listens only for the answer to its last one.
        """
        known = self._known.get((channel, command))
        if known is None or known.done():
            return False
        self._joined.setdefault((channel, command), deque(maxlen=_JOINED)).append(request)
        return True

    def joined(self, channel: str, command: str) -> Iterable[Message]:
        """Remove and return the requests that joined a command whose work is done."""
        return self._joined.pop((channel, command), ())

    async def once(
        self, channel: str, command: str, work: Callable[[], Awaitable[bytes]], *, remembered: bool = True
    ) -> bytes:
        """The outcome of `work`; of the first `work` for this command if there was one.

        An outcome that is not `remembered` is forgotten as soon as it is there.
        """
        key = channel, command
        known = self._known.get(key)
        if known is not None:
            return await asyncio.shield(known)
        outcome: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._known[key] = outcome
        try:
            outcome.set_result(await work())
        except asyncio.CancelledError:
            outcome.cancel()
            del self._known[key]
            self._joined.pop(key, None)
            raise
        except Exception as error:
            outcome.set_exception(error)
            if isinstance(error, SeawayError) and error.retryable:
                remembered = False
        if not remembered:
            del self._known[key]
        self._forget_oldest()
        return await outcome

    def _forget_oldest(self) -> None:
        """Forget the oldest outcomes beyond the bound; commands in work stay."""
        excess = max(0, len(self._known) - self._remembered)
        ended = (key for key, outcome in self._known.items() if outcome.done())
        for key in list(itertools.islice(ended, excess)):
            del self._known[key]
