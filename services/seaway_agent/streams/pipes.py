"""The pipes of an exec that has no shim: the agent itself reads, frames and writes them."""

import asyncio
import contextlib
import fcntl
import os
from collections.abc import Callable
from typing import Final

from seaway_agent.streams.packets import STDERR, STDOUT, Batch
from seaway_agent.streams.stdio import InputWait
from seaway_docker.stdcopy import HEADER_LENGTH, put_header

_PIECE: Final = 65536
_BUFFER: Final = 2 * (_PIECE + HEADER_LENGTH)


class Pipes:
    """Our ends of the pipes: `outputs` of stdout and stderr; `stdin`, or -1 where the program has none. Closes them."""

    discards_unread: Final = False
    """The program blocks while we don't read."""
    closed: Final = False
    unaccepted: Final = False
    _buffer: Final = bytearray(_BUFFER)

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
        """See `Stdio`."""
        self._readable = readable
        for fd in self._outputs.values():
            asyncio.get_running_loop().add_reader(fd, readable)

    def unwatch(self) -> None:
        """See `Stdio`."""
        self._readable = None
        for fd in self._outputs.values():
            asyncio.get_running_loop().remove_reader(fd)

    def receive(self) -> Batch | None:
        """See `Stdio`."""
        buffer = memoryview(self._buffer)
        kinds: list[int] = []
        ends: list[int] = []
        position = 0
        for kind, fd in list(self._outputs.items()):
            begin = position + HEADER_LENGTH
            size = self._read(kind, fd, buffer[begin : begin + _PIECE])
            if size > 0:
                put_header(buffer, position, kind - 1, size)
                position = begin + size
                kinds.append(kind)
                ends.append(position)
        return Batch(bytes(buffer[:position]), kinds, ends) if kinds else None

    def read_stderr(self) -> str:
        """The text in the pipe of stderr: there a runtime writes why it could not start the program."""
        try:
            return os.read(self._outputs[STDERR], _PIECE).decode(errors="replace")
        except OSError:
            return ""

    def finish(self) -> None:
        """See `Stdio`. What other processes write later to these pipes is not read."""
        self._left = {fd: fcntl.fcntl(fd, fcntl.F_GETPIPE_SZ) for fd in self._outputs.values()}

    def send(self, data: bytes | memoryview) -> int:
        """See `Stdio`."""
        if self._stdin < 0:
            raise OSError("the program takes no input")
        return os.write(self._stdin, data)

    async def writable(self) -> None:
        """See `Stdio`. Returns at the end of input too."""
        if self._stdin >= 0:
            await self._input.wait(self._stdin)

    def end_input(self) -> None:
        """See `Stdio`."""
        fd, self._stdin = self._stdin, -1
        if fd >= 0:
            self._input.end()
            os.close(fd)

    def close(self) -> None:
        """See `Stdio`."""
        self.end_input()
        self.unwatch()
        for fd in self._outputs.values():
            os.close(fd)
        self._outputs = {}

    def _read(self, kind: int, fd: int, buffer: memoryview) -> int:
        if self._left is not None:
            buffer = buffer[: self._left[fd]]
        try:
            size = os.readv(fd, [buffer]) if len(buffer) else 0
        except BlockingIOError:
            return 0
        if not size:
            self._close_output(kind, fd)
        elif self._left is not None:
            self._left[fd] -= size
        return size

    def _close_output(self, kind: int, fd: int) -> None:
        del self._outputs[kind]
        with contextlib.suppress(ValueError):
            asyncio.get_running_loop().remove_reader(fd)
        os.close(fd)
