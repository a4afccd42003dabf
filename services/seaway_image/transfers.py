"""Pulls and pushes on their byte streams: lines to the client while it listens, and their outcome."""

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Final

from prometheus_client import Counter

from seaway_bus.bus import Bus, Command
from seaway_bus.streams import ByteStream
from seaway_contracts import catalogue
from seaway_contracts.errors import Code, SeawayError
from seaway_contracts.images import PushRequest, PushStarted
from seaway_image.registry.credentials import credentials_from
from seaway_image.registry.push import Pushes, PushOrder
from seaway_image.store.names import read_reference
from seaway_image.store.progress import Progress
from seaway_kit.tasks import Tasks, cancel

log = logging.getLogger(__name__)
_LINGER_S: Final = 20.0  # for the client to read to the end before the stream is closed
PULLS: Final = Counter("seaway_image_pulls_total", "Pulls that ended, by outcome.", ["outcome"])
PUSHES: Final = Counter("seaway_image_pushes_total", "Pushes that ended, by outcome.", ["outcome"])
for _outcome in ("ok", "failed", "cancelled"):  # from 0 on: PromQL's `increase` misses the first count of a new series
    PULLS.labels(_outcome)
    PUSHES.labels(_outcome)


class Transfers:
    """Each stream has one transfer, however often it is asked for."""

    def __init__(self, bus: Bus, tasks: Tasks) -> None:
        self._bus = bus
        self._tasks = tasks
        self._streams: set[str] = set()

    async def start(self, name: str, id: str, lines: AsyncGenerator[Progress, None], ended: Counter) -> None:
        """Send `lines` over the stream `id`, in a task; `ended` counts how that ends."""
        if id in self._streams:
            return
        stream = self._bus.serve_stream(id, self._tasks)
        self._streams.add(id)
        try:
            await stream.open()
        except BaseException:
            self._streams.discard(id)
            raise
        self._tasks.spawn(name, self._report(name, stream, lines, ended))

    async def _report(
        self, name: str, stream: ByteStream, lines: AsyncGenerator[Progress, None], ended: Counter
    ) -> None:
        """Send the lines; a client that has gone takes its share in the work with it."""
        sending = self._tasks.spawn(f"lines of {name}", _send_lines(name, stream, lines, ended))
        watching = self._tasks.spawn(f"client of {name}", _client_ended_well(stream))
        try:
            await asyncio.wait({sending, watching}, return_when=asyncio.FIRST_COMPLETED)
            if watching.done() and watching.result():
                await asyncio.wait({sending})
            elif sending.done():
                await asyncio.wait({watching}, timeout=_LINGER_S)
        finally:
            await cancel(watching)
            await cancel(sending)
            self._streams.discard(stream.id)
            await stream.close()


class PushCalls:
    """The call that starts a push. It may come twice, and then is carried out once."""

    def __init__(self, pushes: Pushes, bus: Bus, tasks: Tasks) -> None:
        self._pushes = pushes
        self._bus = bus
        self._transfers = Transfers(bus, tasks)

    async def serve(self) -> None:
        """Answer on the bus from now on."""
        await self._bus.serve(catalogue.PUSH_IMAGE, self._push)

    async def _push(self, request: PushRequest, command: Command) -> PushStarted:
        order = PushOrder(
            reference=read_reference(request.ref),
            credentials=credentials_from(request.auth),
            cause=command.id,
            actor=command.actor,
        )
        name = f"push of {order.reference.familiar}"
        await self._transfers.start(name, request.stream, self._pushes.push(order), PUSHES)
        return PushStarted()


async def _send_lines(name: str, stream: ByteStream, lines: AsyncGenerator[Progress, None], ended: Counter) -> None:
    outcome = "failed"
    try:
        async with aclosing(lines):
            async for progress in lines:
                await stream.write(progress.line())
        outcome = "ok"
        await stream.end()
    except SeawayError as error:  # a registry that is away is no service of ours that is: 500, as in Docker
        away = error.code is Code.UNAVAILABLE
        await _fail(name, stream, SeawayError(Code.INTERNAL, error.message) if away else error)
    except asyncio.CancelledError:
        outcome = "cancelled"
        raise
    except Exception as error:
        log.exception("%s failed", name)
        await _fail(name, stream, SeawayError(Code.INTERNAL, f"{name} failed: {error}"))
    finally:
        ended.labels(outcome).inc()


async def _fail(name: str, stream: ByteStream, error: SeawayError) -> None:
    try:
        await stream.fail(error)
    except SeawayError as gone:
        log.info("nobody heard that %s failed (%s): %s", name, error, gone)


async def _client_ended_well(stream: ByteStream) -> bool:
    """Wait for the client, which sends nothing, to end its side; False if it has gone instead."""
    try:
        while await stream.read():
            pass
    except SeawayError:
        return False
    return True
