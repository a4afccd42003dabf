"""A message server, fake or real, behind one face: what a conformance suite runs on."""

from pathlib import Path
from typing import Protocol

from seaway_bus.nats_transport import NatsTransport
from seaway_bus.transport import Message, Transport
from seaway_testing.fake_transport import FakeServer, FakeTransport
from seaway_testing.nats_server import NatsServer
from seaway_testing.waiting import until


class Wire(Protocol):
    """A message server that a test may stop and start."""

    async def connect(self) -> Transport:
        """A further connection."""

    async def post(self, subject: str, data: bytes, reply: str) -> None:
        """Publish as a client that isn't ours, which wants the answer anywhere; returns when the server has it."""

    async def stop(self) -> None:
        """Take the server down; returns when all connections have noticed."""

    async def start(self) -> None:
        """Bring it back with what it had stored; returns when all are connected again."""

    async def close(self) -> None:
        """End everything."""


class FakeWire:
    """The in-memory server."""

    def __init__(self) -> None:
        self.server = FakeServer()
        self.made: list[FakeTransport] = []

    async def connect(self) -> Transport:
        self.made.append(FakeTransport(self.server))
        return self.made[-1]

    async def post(self, subject: str, data: bytes, reply: str) -> None:
        self.server.route(Message(subject, data, {}, reply))

    async def stop(self) -> None:
        self.server.stop()

    async def start(self) -> None:
        self.server.start()

    async def close(self) -> None:
        for transport in self.made:
            await transport.close()


class NatsWire:
    """The real one."""

    def __init__(self, directory: Path) -> None:
        self.server = NatsServer(directory).start()
        self.made: list[NatsTransport] = []

    async def connect(self) -> Transport:
        self.made.append(await NatsTransport.connect(self.server.url, name="conformance"))
        return self.made[-1]

    async def post(self, subject: str, data: bytes, reply: str) -> None:
        stranger = self.made[-1]
        stranger._nc.send(subject, data, reply=reply)
        await stranger.flush()

    async def stop(self) -> None:
        """As a crash: nothing is said to the clients."""
        self.server.kill()
        await until(lambda: not any(transport.connected for transport in self.made), what="the loss")

    async def start(self) -> None:
        self.server.start()
        await until(lambda: all(transport.connected for transport in self.made), what="the reconnection")

    async def close(self) -> None:
        for transport in self.made:
            await transport.close()
        self.server.kill()
