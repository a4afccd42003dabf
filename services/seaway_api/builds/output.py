"""The client's end of a build: a stream of JSON lines, whose head goes out with the first of them."""

from collections import deque
from typing import Final

from aiohttp import web

from seaway_api.http import replies
from seaway_docker.streams import stream_line

MOST_HELD: Final = 4 << 20
"""Bytes of a quiet build's output that are held back; of more, the last."""


class BuildOutput:
    """What the client sees. With `quiet`, only the image's id; after a failure what was held back."""

    def __init__(self, request: web.BaseRequest, *, quiet: bool) -> None:
        self._request = request
        self._quiet = quiet
        self._held: deque[bytes] = deque()
        self._size = 0
        self.response: web.StreamResponse | None = None

    async def say(self, *lines: bytes) -> None:
        """Tell the client."""
        if self._quiet:
            self._hold(lines)
        elif lines:
            await self._write(b"".join(lines))

    def _hold(self, lines: tuple[bytes, ...]) -> None:
        self._held += lines
        self._size += sum(map(len, lines))
        while self._size > MOST_HELD:
            self._size -= len(self._held.popleft())

    async def built(self, image: str) -> None:
        """The end of a quiet build."""
        if self._quiet:
            self._held.clear()
            await self._write(stream_line(f"{image}\n"))

    async def fail(self, line: bytes) -> None:
        """The last line of a build that failed."""
        await self._write(b"".join((*self._held, line)))

    @property
    def has_begun(self) -> bool:
        """Whether there was anything to say: an error from now on is a line."""
        return self.response is not None or bool(self._held)

    async def _write(self, data: bytes) -> None:
        if self.response is None:
            self.response = await replies.begin_stream(self._request)
        await self.response.write(data)
