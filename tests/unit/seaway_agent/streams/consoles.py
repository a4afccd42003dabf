"""A stand-in for conmon (a real SEQPACKET socket), and a console with clients on the in-memory bus."""

import asyncio
import os
import socket
from pathlib import Path
from typing import Any

from seaway_agent.streams.console import Console
from seaway_agent.streams.spill import SpillStore
from seaway_bus.bus import Bus
from seaway_bus.streams import ByteStream, new_stream_id
from seaway_kit.tasks import Tasks

OUT, ERR = 2, 3


class Shim:
    """Conmon's side: a SEQPACKET socket named `attach` in the bundle."""

    def __init__(self, bundle: Path) -> None:
        bundle.mkdir(parents=True)
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        directory = os.open(bundle, os.O_PATH)
        self.listener.bind(f"/proc/self/fd/{directory}/attach")
        os.close(directory)
        self.listener.listen()
        self.listener.setblocking(False)
        self.peer: socket.socket | None = None

    def accept(self) -> socket.socket:
        self.peer, _ = self.listener.accept()
        self.peer.setblocking(False)
        return self.peer

    async def say(self, kind: int, data: bytes) -> None:
        assert self.peer is not None
        await asyncio.get_running_loop().sock_sendall(self.peer, bytes((kind,)) + data)

    async def hear(self, size: int = 65536) -> bytes:
        assert self.peer is not None
        return await asyncio.get_running_loop().sock_recv(self.peer, size)

    def close(self) -> None:
        if self.peer is not None:
            self.peer.close()
        self.listener.close()


class Attached:
    """A console, and the clients that a test lets join."""

    def __init__(self, bus: Bus, tasks: Tasks, spill: SpillStore, bundle: Path) -> None:
        self.bus, self.tasks, self.spill, self.bundle = bus, tasks, spill, bundle
        self.console = self.make()
        self.streams: list[ByteStream] = []

    def make(self, *, tty: bool = False, stdin: bool = False, stdin_once: bool = False) -> Console:
        self.console = Console("abc", tty=tty, stdin=stdin, stdin_once=stdin_once, spill=self.spill, tasks=self.tasks)
        return self.console

    async def join(self, **wanted: Any) -> ByteStream:
        """A client's end; its other end is served by the console."""
        stream = new_stream_id()
        client = await ByteStream(self.bus.transport, stream, "opening", self.tasks).open()
        serving = await ByteStream(self.bus.transport, stream, "serving", self.tasks).open()
        self.streams.append(client)
        self.console.attach(serving, **({"stdin": False, "stdout": True, "stderr": True} | wanted))
        return client


async def read_all(stream: ByteStream) -> bytes:
    taken = b""
    while data := await stream.read():
        taken += data
    return taken


async def read_bytes(stream: ByteStream, size: int) -> bytes:
    taken = b""
    while len(taken) < size:
        data = await stream.read()
        assert data, f"the stream ended after {len(taken)} of {size} bytes"
        taken += data
    return taken
