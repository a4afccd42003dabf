"""One attached client: its backlog, and the task that sends it."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from typing import Final

from seaway_agent.streams.backlog import Backlog
from seaway_bus.streams import CHUNK, ByteStream
from seaway_contracts.errors import SeawayError, internal, unavailable

_FLOWING: Final = 4096
"""Output in pieces of this size is bulk, not dialogue: a short wait makes fewer and larger messages of it."""
_TOGETHER_S: Final = 0.001


class Client:
    """A client of some of the streams. `stdin`: it may write. `raw`: its output has no stdcopy frames."""

    def __init__(
        self, stream: ByteStream, backlog: Backlog, *, stdin: bool, stdout: bool, stderr: bool, raw: bool
    ) -> None:
        self.stream = stream
        self.backlog = backlog
        self.stdin = stdin
        self.stdout = stdout
        self.stderr = stderr
        self.raw = raw
        self._sending: asyncio.Task[None] | None = None
        self._refusal: SeawayError | None = None
        self.last_message = b""

    async def send(self, history: AsyncGenerator[bytes] | None) -> None:
        """Send the history, then the backlog to its end, then `last_message`, or the reason for a disconnection.

        Raises SeawayError if the client has gone.
        """
        self._sending = asyncio.current_task()
        try:
            await self._send(history)
        except asyncio.CancelledError:
            if self._refusal is None:
                raise
        except OSError as error:
            self._refusal = internal(f"some of the output is lost: {error.strerror or error}")
        await (self.stream.end(self.last_message) if self._refusal is None else self.stream.fail(self._refusal))

    async def _send(self, history: AsyncGenerator[bytes] | None) -> None:
        if self._refusal is not None:
            return
        if history is not None:
            async with contextlib.aclosing(history):
                async for data in history:
                    await self.stream.write(data)
        while data := await self.backlog.get():
            await self.stream.write(data)
            if _FLOWING <= len(data) < CHUNK:
                await asyncio.sleep(_TOGETHER_S)

    def cut_off(self) -> None:
        """Stop sending: the client is too far behind. The stream ends with an error that says so."""
        self._refusal = unavailable("this client did not read what the container wrote, and is too far behind")
        self.backlog.close()
        if self._sending is not None:
            self._sending.cancel()
