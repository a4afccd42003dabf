"""The pipes of an exec that has no shim between itself and the agent: read, framed and written here."""

import asyncio
import contextlib
import fcntl
import os
from collections.abc import Callable
from typing import Final

from seaway_agent.streams.line import InputWait
from seaway_agent.streams.packets import STDERR, STDOUT, Batch
from seaway_docker.stdcopy import HEADER_LENGTH, put_header

_PIECE: Final = 65536
_ROOM: Final = 2 * (_PIECE + HEADER_LENGTH)


class Pipes:
    """Our ends: `outputs` are those of stdout and stderr, `stdin` is -1 where the program has none. Closes them."""

    drains_alone: Final = False
    """Nobody reads while we don't."""
    closed: Final = False
    unheard: Final = False
    _room: Final = bytearray(_ROOM)

    def __init__(self, stdin: int, outputs: tuple[int, int]) -> None:
        self._stdin = stdin
        self._input = InputWait()
        self._outputs = dict(zip((STDOUT, STDERR), outputs, strict=True))
        self._readable: Callable[[], object] | None = None
        self._left: dict[int, int] | None = None
        for fd in (stdin, *outputs):
            if fd >= 0:
                os.set_blocking(fd, False)

    def watch(self, readable: Callable[[], object]) -> None:
        """Call when something has come."""
        self._readable = readable
        for fd in self._outputs.values():
            asyncio.get_running_loop().add_reader(fd, readable)

    def unwatch(self) -> None:
        """Call no more, for a while."""
        self._readable = None
        for fd in self._outputs.values():
            asyncio.get_running_loop().remove_reader(fd)

    def receive(self) -> Batch | None:
        """What has come, up to a bound; None when nothing has."""
        room = memoryview(self._room)
        kinds: list[int] = []
        ends: list[int] = []
        position = 0
        for kind, fd in list(self._outputs.items()):
            begin = position + HEADER_LENGTH
            size = self._read(kind, fd, room[begin : begin + _PIECE])
            if size > 0:
                put_header(room, position, kind - 1, size)
                position = begin + size
                kinds.append(kind)
                ends.append(position)
        return Batch(bytes(room[:position]), kinds, ends) if kinds else None

    def said(self) -> str:
        """What is in the pipe of stderr: of a runtime that could not start the program, the reason."""
        try:
            return os.read(self._outputs[STDERR], _PIECE).decode(errors="replace")
        except OSError:
            return ""

    def finish(self) -> None:
        """The program has ended: what is in the pipes is still read, but not what others go on to write."""
        self._left = {fd: fcntl.fcntl(fd, fcntl.F_GETPIPE_SZ) for fd in self._outputs.values()}

    def send(self, data: bytes | memoryview) -> int:
        """Write to the program what it takes now. Raises BlockingIOError, OSError."""
        if self._stdin < 0:
            raise OSError("the program takes no input")
        return os.write(self._stdin, data)

    async def writable(self) -> None:
        """Return when the program takes more, or when its input has ended."""
        if self._stdin >= 0:
            await self._input.wait(self._stdin)

    def end_input(self) -> None:
        """End of input for the program."""
        fd, self._stdin = self._stdin, -1
        if fd >= 0:
            self._input.end()
            os.close(fd)

    def close(self) -> None:
        """Let go of all."""
        self.end_input()
        self.unwatch()
        for fd in self._outputs.values():
            os.close(fd)
        self._outputs = {}

    def _read(self, kind: int, fd: int, room: memoryview) -> int:
        if self._left is not None:
            room = room[: self._left[fd]]
        try:
            size = os.readv(fd, [room]) if len(room) else 0
        except BlockingIOError:
            return 0
        if not size:
            self._over(kind, fd)
        elif self._left is not None:
            self._left[fd] -= size
        return size

    def _over(self, kind: int, fd: int) -> None:
        del self._outputs[kind]
        with contextlib.suppress(ValueError):
            asyncio.get_running_loop().remove_reader(fd)
        os.close(fd)
