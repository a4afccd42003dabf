"""Live streams of a container or exec: one reader of its line, which always drains, and its clients.

The container stalls when we don't read (conmon sees to that, or the pipe), so what a slow client hasn't taken waits in
its own backlog, and nobody else notices. Only where the disk can't take what is to wait there, the container does as
well.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import Final, Protocol

from seaway_agent.streams.backlog import Backlog
from seaway_agent.streams.client import Client
from seaway_agent.streams.line import AttachLine, Line
from seaway_agent.streams.packets import Batch
from seaway_agent.streams.spill import SpillRoom
from seaway_bus.streams import ByteStream
from seaway_contracts.errors import SeawayError
from seaway_docker.stdcopy import STDOUT, frame
from seaway_kit.tasks import Tasks, cancel

log = logging.getLogger(__name__)
_INPUT: Final = 32 * 1024
_IN_FLIGHT: Final = 16
"""So many times taken from the shim's socket, nothing is left that was in it when that began."""


class Written(Protocol):
    """Reads the output of a run from where it is kept."""

    def __call__(self, *, stdout: bool, stderr: bool, raw: bool) -> bytes:
        """The output as an attached client gets it. Raises OSError."""


class Console:
    """The streams of one container over all its runs, or of one exec. `name` is for the log."""

    def __init__(self, name: str, *, tty: bool, stdin: bool, stdin_once: bool, spill: SpillRoom, tasks: Tasks) -> None:
        self._name = name
        self._tty = tty
        self._stdin = stdin
        self._stdin_once = stdin_once and not tty  # a terminal's input never ends with a client (as moby has it)
        self._spill = spill
        self._tasks = tasks
        self._clients: list[Client] = []
        self._listeners: list[Callable[[bytes], None]] = []
        self._line: Line | None = None
        self._held = False
        self._unheard = False
        self._written: Written | None = None
        self._connected = asyncio.Event()
        self._input = asyncio.Lock()

    @property
    def wanted(self) -> bool:
        """Whether somebody listens, or stdin must be held open or closed in time."""
        return bool(self._clients or self._listeners)

    def join(
        self,
        stream: ByteStream,
        *,
        stdin: bool,
        stdout: bool,
        stderr: bool,
        raw: bool = False,
        history: AsyncGenerator[bytes] | None = None,
    ) -> None:
        """Serve one more client until it goes or the run ends; without frames where `raw`. `history` comes first."""
        takes, raw = stdin and self._stdin, raw or self._tty
        backlog = Backlog(self._spill, changed=self._backlog_changed)
        client = Client(stream, backlog, stdin=takes, stdout=stdout, stderr=stderr, raw=raw)
        self._clients.append(client)
        self._tasks.begin("attach", self._serve(client, history))

    def catch_up(self) -> None:
        """Hand on what has come: who joins after this gets none of it."""
        for _ in range(_IN_FLIGHT):
            if not self._receive():
                return

    def listen(self, hear: Callable[[bytes], None]) -> None:
        """Call with all output, of both streams, as it comes."""
        self._listeners.append(hear)

    def say(self, text: bytes) -> None:
        """Tell the clients something, as if it were output."""
        for client in self._clients:
            client.backlog.put(text if client.raw else frame(STDOUT, text))

    def connect(self, bundle: Path) -> None:
        """Attach to the shim of a run. Raises OSError where it isn't there."""
        if self._line is None:
            self.take(AttachLine(bundle))

    def fall_back(self, written: Written) -> None:
        """Read the output of this run there if its shim ends without having accepted our connection.

        conmon may reap a quick program first: it reaps between its look for connections and the next one.
        """
        self._written = written

    def take(self, line: Line) -> None:
        """The streams of a run, which are ours from now on."""
        self._line, self._held, self._unheard, self._written = line, False, False, None
        line.watch(self._receive)
        self._connected.set()

    def ended(self, words: bytes = b"") -> None:
        """The run is over: hand on what has come, then let the clients go. `words` tell them how it ended."""
        if self._line is not None:
            self._line.finish()
            while self._receive():
                pass
            self._disconnect()
        if self._unheard and self._written is not None:
            self._hand_out_written(self._written)
        self._unheard, self._written = False, None
        for client in self._clients:
            client.last_words = words
            client.backlog.end()
        self._clients = []

    def _hand_out_written(self, written: Written) -> None:
        """All that the run has written: the shim has sent nothing."""
        for client in self._clients:
            try:
                data = written(stdout=client.stdout, stderr=client.stderr, raw=client.raw)
            except OSError as error:
                log.warning("%s: what it wrote can't be read: %s", self._name, error)
                return
            client.backlog.put(data)

    def _disconnect(self) -> None:
        line, self._line = self._line, None
        self._connected.clear()
        if line is not None:
            self._unheard = line.unheard
            line.close()

    def _receive(self) -> bool:
        """Take what has come, up to a bound; False when there is none now, or the shim has closed."""
        line = self._line
        if line is None:
            return False
        batch = line.receive()
        if batch is not None:
            self._hand_out(batch)
        if line.closed and self._line is line:
            self._disconnect()
        return batch is not None

    def _hand_out(self, batch: Batch) -> None:
        for hear in self._listeners:
            hear(batch.chosen(stdout=True, stderr=True, raw=True))
        for client in list(self._clients):
            data = batch.chosen(stdout=client.stdout, stderr=client.stderr, raw=client.raw)
            if data and not client.backlog.put(data):
                self._cut_off(client)
        self._regulate()

    def _cut_off(self, client: Client) -> None:
        log.warning("%s: an attached client fell too far behind and is cut off", self._name)
        self._clients.remove(client)
        client.cut_off()

    def _backlog_changed(self) -> None:
        for client in [client for client in self._clients if client.backlog.failed is not None]:
            self._cut_off(client)
        self._regulate()

    def _regulate(self) -> None:
        """Take no more from the run while the disk is behind with what clients have not read."""
        hold = any(client.backlog.pressing for client in self._clients)
        if self._line is None or hold == self._held:
            return
        self._held = hold
        if hold:
            self._line.unwatch()
        else:
            self._line.watch(self._receive)

    async def _serve(self, client: Client, history: AsyncGenerator[bytes] | None) -> None:
        reader = self._tasks.begin("attach-stdin", self._read_input(client)) if client.stdin else None
        watcher = self._tasks.begin("attach-gone", self._watch(client))
        try:
            await client.send(history)
        except SeawayError as error:
            log.debug("%s: an attached client went: %s", self._name, error)
        finally:
            for task in (reader, watcher):
                if task is not None:
                    await cancel(task)
            self._leave(client)
            await client.stream.close()

    def _leave(self, client: Client) -> None:
        if client in self._clients:
            self._clients.remove(client)
        client.backlog.close()
        self._regulate()
        if client.stdin and self._stdin_once:
            self._close_input()
        if self._line is not None and self._line.drains_alone and not self._clients and not self._stdin:
            self._disconnect()

    async def _watch(self, client: Client) -> None:
        """A client that goes is let go, also while the container is silent."""
        await client.stream.wait_broken()
        client.backlog.end()

    async def _read_input(self, client: Client) -> None:
        try:
            while data := await client.stream.read():
                await self._write_input(data)
        except SeawayError:
            client.backlog.end()
        except OSError as error:
            log.debug("%s takes no more input: %s", self._name, error)
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
            if self._line is None:
                raise OSError("the container has ended")
            try:
                piece = piece[self._line.send(piece) :]
            except BlockingIOError:
                await self._line.writable()

    def _close_input(self) -> None:
        """End of input for the container; its output goes on."""
        if self._line is not None:
            self._line.end_input()
