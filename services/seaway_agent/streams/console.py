"""Live streams of a container or exec: the console reads its output at once and queues it for each attached client.

A container blocks while nobody reads its output (by conmon or by the pipe). So each slow client has a backlog of its
own, and delays neither the container nor other clients. Reading stops only while the disk lags behind.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import Final, Protocol

from seaway_agent.streams.backlog import Backlog
from seaway_agent.streams.client import Client
from seaway_agent.streams.packets import Batch
from seaway_agent.streams.spill import SpillStore
from seaway_agent.streams.stdio import AttachSocket, Stdio
from seaway_bus.streams import ByteStream
from seaway_contracts.errors import SeawayError
from seaway_docker.stdcopy import STDOUT, frame
from seaway_kit.tasks import Tasks, cancel

log = logging.getLogger(__name__)
_INPUT: Final = 32 * 1024
_DELIVERED_S: Final = 2.0
_IN_FLIGHT: Final = 16
"""After so many reads of the shim's socket, nothing is left of what was in it before."""


class StoredOutput(Protocol):
    """Reads the output of a run from its log."""

    def __call__(self, *, stdout: bool, stderr: bool, raw: bool) -> bytes:
        """The output in the form that an attached client gets. Raises OSError."""


class Console:
    """The streams of one container over all its runs, or of one exec. `name` appears in log messages."""

    def __init__(self, name: str, *, tty: bool, stdin: bool, stdin_once: bool, spill: SpillStore, tasks: Tasks) -> None:
        self._name = name
        self._tty = tty
        self._stdin = stdin
        self._stdin_once = stdin_once and not tty  # in moby too, a terminal's input outlives its clients
        self._spill = spill
        self._tasks = tasks
        self._clients: list[Client] = []
        self._serving: set[asyncio.Task[None]] = set()
        self._listeners: list[Callable[[bytes], None]] = []
        self._stdio: Stdio | None = None
        self._paused = False
        self._unaccepted = False
        self._fallback: StoredOutput | None = None
        self._connected = asyncio.Event()
        self._input = asyncio.Lock()
        self._input_over = False

    @property
    def is_attached(self) -> bool:
        """Whether there are clients."""
        return bool(self._clients)

    @property
    def wanted(self) -> bool:
        """Whether there are clients or listeners, so that a run must be connected."""
        return bool(self._clients or self._listeners)

    def attach(
        self,
        stream: ByteStream,
        *,
        stdin: bool,
        stdout: bool,
        stderr: bool,
        raw: bool = False,
        history: AsyncGenerator[bytes] | None = None,
    ) -> None:
        """Serve one more client until it goes or the run ends. `history` is sent first; `raw`: no stdcopy frames."""
        takes, raw = stdin and self._stdin, raw or self._tty
        backlog = Backlog(self._spill, on_change=self._backlog_changed)
        client = Client(stream, backlog, stdin=takes, stdout=stdout, stderr=stderr, raw=raw)
        self._clients.append(client)
        self._input_over = self._input_over and not takes
        serving = self._tasks.begin("attach", self._serve(client, history))
        self._serving.add(serving)
        serving.add_done_callback(self._serving.discard)

    def drain(self) -> None:
        """Deliver the output that has arrived, so that a client which attaches after this gets none of it."""
        for _ in range(_IN_FLIGHT):
            if not self._receive():
                return

    def listen(self, listener: Callable[[bytes], None]) -> None:
        """Call `listener` with all output, of both streams, as it arrives."""
        self._listeners.append(listener)

    def inject_output(self, text: bytes) -> None:
        """Send `text` to the clients as if it were output."""
        for client in self._clients:
            client.backlog.put(text if client.raw else frame(STDOUT, text))

    def connect(self, bundle: Path) -> None:
        """Attach to the shim of a run. Raises OSError where the shim isn't there."""
        if self._stdio is None:
            self.use(AttachSocket(bundle))

    def set_fallback(self, stored: StoredOutput) -> None:
        """Read this run's output from `stored` if its shim ends without having accepted our connection.

        conmon may reap a quick program first, as it reaps between two polls for connections.
        """
        self._fallback = stored

    def use(self, stdio: Stdio) -> None:
        """Serve the streams of a run. The console owns and closes `stdio`."""
        self._stdio, self._paused, self._unaccepted, self._fallback = stdio, False, False, None
        stdio.watch(self._receive)
        self._connected.set()
        if self._input_over:
            self._input_over = False
            self._close_input()

    def end(self, last_message: bytes = b"") -> None:
        """Deliver the rest of the output and end the clients' streams, with `last_message`: the run has ended."""
        if self._stdio is not None:
            self._stdio.finish()
            while self._receive():
                pass
            self._disconnect()
        if self._unaccepted and self._fallback is not None:
            self._deliver_stored(self._fallback)
        self._unaccepted, self._fallback = False, None
        for client in self._clients:
            client.last_message = last_message
            client.backlog.end()
        self._clients = []

    async def delivered(self) -> None:
        """Wait until the clients have all output, or for two seconds, as moby does."""
        if self._serving:
            await asyncio.wait(self._serving, timeout=_DELIVERED_S)

    def _deliver_stored(self, stored: StoredOutput) -> None:
        """Deliver all output of the run, of which the shim has sent nothing."""
        for client in self._clients:
            try:
                data = stored(stdout=client.stdout, stderr=client.stderr, raw=client.raw)
            except OSError as error:
                log.warning("%s: can't read its stored output: %s", self._name, error)
                return
            client.backlog.put(data)

    def _disconnect(self) -> None:
        stdio, self._stdio = self._stdio, None
        self._connected.clear()
        if stdio is not None:
            self._unaccepted = stdio.unaccepted
            stdio.close()

    def _receive(self) -> bool:
        """Read and deliver one batch of output; False where there is none now."""
        stdio = self._stdio
        if stdio is None:
            return False
        batch = stdio.receive()
        if batch is not None:
            self._deliver(batch)
        if stdio.closed and self._stdio is stdio:
            self._disconnect()
        return batch is not None

    def _deliver(self, batch: Batch) -> None:
        for listener in self._listeners:
            listener(batch.chosen(stdout=True, stderr=True, raw=True))
        for client in list(self._clients):
            data = batch.chosen(stdout=client.stdout, stderr=client.stderr, raw=client.raw)
            if data and not client.backlog.put(data):
                self._cut_off(client)
        self._pause_or_resume()

    def _cut_off(self, client: Client) -> None:
        log.warning("%s: disconnects an attached client that is too far behind", self._name)
        self._clients.remove(client)
        client.cut_off()

    def _backlog_changed(self) -> None:
        for client in [client for client in self._clients if client.backlog.failed is not None]:
            self._cut_off(client)
        self._pause_or_resume()

    def _pause_or_resume(self) -> None:
        """Read no output while a backlog waits for the disk."""
        pause = any(client.backlog.congested for client in self._clients)
        if self._stdio is None or pause == self._paused:
            return
        self._paused = pause
        if pause:
            self._stdio.unwatch()
        else:
            self._stdio.watch(self._receive)

    async def _serve(self, client: Client, history: AsyncGenerator[bytes] | None) -> None:
        reader = self._tasks.begin("attach-stdin", self._read_input(client)) if client.stdin else None
        watcher = self._tasks.begin("attach-gone", self._watch(client))
        try:
            await client.send(history)
        except SeawayError as error:
            log.debug("%s: an attached client has gone: %s", self._name, error)
        finally:
            for task in (reader, watcher):
                if task is not None:
                    await cancel(task)
            self._leave(client)
            await client.stream.close()

    def _leave(self, client: Client) -> None:
        if client in self._clients:
            self._clients.remove(client)
            self._input_over = client.stdin and self._stdin_once and self._stdio is None  # it left before the start
        client.backlog.close()
        self._pause_or_resume()
        if client.stdin and self._stdin_once:
            self._close_input()
        if self._stdio is not None and self._stdio.discards_unread and not self._clients and not self._stdin:
            self._disconnect()

    async def _watch(self, client: Client) -> None:
        """End the client's backlog when the client goes, also while the container is silent."""
        await client.stream.wait_broken()
        client.backlog.end()

    async def _read_input(self, client: Client) -> None:
        try:
            while data := await client.stream.read():
                await self._write_input(data)
        except SeawayError:
            client.backlog.end()
        except OSError as error:
            log.debug("%s accepts no input: %s", self._name, error)
            return
        if self._stdin_once:
            await self._connected.wait()
            self._close_input()

    async def _write_input(self, data: bytes) -> None:
        await self._connected.wait()
        view = memoryview(data)
        async with self._input:
            for start in range(0, len(data), _INPUT):
                await self._send(view[start : start + _INPUT])

    async def _send(self, piece: memoryview) -> None:
        while piece:
            if self._stdio is None:
                raise OSError("the container has ended")
            try:
                piece = piece[self._stdio.send(piece) :]
            except BlockingIOError:
                await self._stdio.writable()

    def _close_input(self) -> None:
        """End the container's input; its output continues."""
        if self._stdio is not None:
            self._stdio.end_input()
