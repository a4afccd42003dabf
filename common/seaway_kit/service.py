"""The shell of every service process: event loop, signals, bus, health port, readiness, orderly stop."""

import asyncio
import base64
import contextlib
import logging
import os
import signal
import sqlite3
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Final

import uvloop

from seaway_bus import node_keys
from seaway_bus.bus import Bus, Command
from seaway_bus.local_connections import LocalListener
from seaway_bus.nats_transport import Credentials, NatsTransport
from seaway_bus.node_keys import BadKey
from seaway_bus.transport import TransportError
from seaway_contracts.base import Empty
from seaway_contracts.catalogue import READ_METRICS
from seaway_contracts.errors import SeawayError
from seaway_contracts.metrics import MetricsText
from seaway_contracts.version import VERSION
from seaway_kit import logs, memory, metrics, trace_export
from seaway_kit.addresses import nats_endpoints
from seaway_kit.health import Health
from seaway_kit.metrics import Metrics
from seaway_kit.metrics_ports import metrics_address
from seaway_kit.notify import Systemd, tell_supervisor
from seaway_kit.settings import ServiceSettings
from seaway_kit.tasks import Tasks

log = logging.getLogger(__name__)

_FIRST_RETRY_S: Final = 0.01
_LAST_RETRY_S: Final = 2.0
_PROBE_S: Final = 2.0
_CONNECT_S: Final = 10.0
_EXTENDED_US: Final = 60_000_000
"""Each retry asks systemd to wait this much longer for READY=1 (sd_notify(3))."""


@dataclass(frozen=True)
class ServiceContext:
    """What the shell passes to the service that it builds."""

    settings: ServiceSettings
    bus: Bus
    tasks: Tasks
    metrics: Metrics
    health: Health
    joined: asyncio.Task[None]
    """Done when the bus is connected for the first time."""
    addresses: dict[str, str] = field(default_factory=dict)
    """What the service has for users, and where; it enters that while it starts."""


Build = Callable[[ServiceContext], AbstractAsyncContextManager[None]]


def run_service(name: str, settings: ServiceSettings, build: Build, *, without_bus: bool = False) -> int:
    """Run a service until SIGTERM or SIGINT; its exit code.

    `build` gives a context manager: entering it starts the service, leaving it stops it. It is entered when the bus is
    there, or at once where the service has work to do `without_bus`; that waits for `joined` itself, before it serves.
    Readiness is reported once it has been entered. 0 is an orderly end; 1 means that something failed that only a
    new process can mend, and the log says what.
    """
    logs.configure(name, level=settings.log_level, form=settings.log_format)
    memory.one_arena()
    end_traces = trace_export.begin(name, settings)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(_Shell(name, settings, build, without_bus).live())
    finally:
        end_traces()


class _Shell:
    """One service process."""

    def __init__(self, name: str, settings: ServiceSettings, build: Build, without_bus: bool) -> None:
        self._name = name
        self._settings = settings
        self._build = build
        self._without_bus = without_bus
        self._systemd = Systemd()
        self._main: asyncio.Task[object] | None = None
        self._stopping = False
        self._failed = False

    async def live(self) -> int:
        self._main = asyncio.current_task()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._signalled, number)
        try:
            async with contextlib.AsyncExitStack() as stack:
                await self._start(stack)
                await asyncio.Event().wait()
        except asyncio.CancelledError:
            if not self._stopping:
                raise
        except (SeawayError, TransportError, OSError, sqlite3.Error) as error:
            log.critical("%s can't run: %s", self._name, error)
            self._failed = True
        except Exception as error:
            log.critical("%s can't run: %s", self._name, error, exc_info=error)
            self._failed = True
        log.info("%s has stopped", self._name)
        return 1 if self._failed else 0

    async def _start(self, stack: contextlib.AsyncExitStack) -> None:
        """Start everything in order; `stack` stops it in reverse."""
        own, health = Metrics(max_series=self._settings.metrics_max_series), Health()
        token = self._settings.metrics_token()
        stack.callback(own.close)
        transport = NatsTransport(self._settings.nats, name=f"seaway-{self._name}")
        bus = Bus(transport)
        stack.push_async_callback(bus.close)
        bus.local_listener = LocalListener(self._settings.streams or self._settings.run / "streams")
        stack.push_async_callback(bus.local_listener.close)
        tasks = Tasks(self._name, self._task_failed)
        stack.push_async_callback(tasks.close)
        health.watch("bus", lambda: bus.trouble)
        health.set("started", False, f"{self._name} is starting")
        address = self._settings.metrics or metrics_address(self._name)
        url = await stack.enter_async_context(metrics.serve(address, own, health, token))
        joined = tasks.spawn("join", self._join(transport))
        if not self._without_bus:
            await joined
        context = ServiceContext(self._settings, bus, tasks, own, health, joined)
        await stack.enter_async_context(self._build(context))
        await self._answer_bus(bus, own)
        stack.push_async_callback(bus.stop_serving)
        tasks.eternal("loop-lag", metrics.sample_loop_lag())
        tasks.spawn("memory", memory.give_back())
        with contextlib.suppress(TransportError):  # else the client reconnects and subscribes again
            await bus.flush()  # a caller who learns of readiness must find the service on the bus
        health.set("started", True)
        self._ready(stack, context, f"{url}/metrics")

    async def _answer_bus(self, bus: Bus, own: Metrics) -> None:
        """Answer what every service is asked: what it is, and its metrics."""

        async def read(_: Empty, __: Command) -> MetricsText:
            return MetricsText(gzip=base64.b64encode(await own.compressed()).decode())

        node = self._settings.node
        if (channel := READ_METRICS.get(self._name)) is not None:
            await bus.serve(channel, read, node=node)
        await bus.announce(self._name, VERSION, node)

    async def _join(self, transport: NatsTransport) -> None:
        """Connect to the bus, however long the server takes to be there. Logs once why it waits."""
        delay, said = _FIRST_RETRY_S, ""
        while reason := await _why_not(transport, self._settings):
            transport.wait(reason)
            if reason != said:
                log.warning("waiting for the bus: %s", reason)
                said = reason
            self._systemd.send(f"EXTEND_TIMEOUT_USEC={_EXTENDED_US}\nSTATUS=waiting for the bus: {reason}")
            await asyncio.sleep(delay)
            delay = min(delay * 1.5, _LAST_RETRY_S)

    def _ready(self, stack: contextlib.AsyncExitStack, context: ServiceContext, metrics_url: str) -> None:
        stack.callback(self._systemd.send, "STOPPING=1")
        if (interval := self._systemd.ping_interval_s) is not None:
            context.tasks.eternal("watchdog", self._ping_watchdog(interval))
        self._systemd.send("READY=1")
        tell_supervisor(self._name, metrics_url, addresses=context.addresses)
        log.info("%s is ready; metrics at %s", self._name, metrics_url)

    async def _ping_watchdog(self, interval_s: float) -> None:
        while True:
            self._systemd.send("WATCHDOG=1")
            await asyncio.sleep(interval_s)

    def _signalled(self, number: signal.Signals) -> None:
        if self._stopping:
            log.warning("%s again: ending at once", number.name)
            os._exit(128 + number)
        log.info("%s: stopping", number.name)
        self._stop()

    def _task_failed(self, error: BaseException) -> None:
        if not self._stopping:
            log.critical("%s stops, to be started anew: %s", self._name, error)
            self._failed = True
            self._stop()

    def _stop(self) -> None:
        self._stopping = True
        if self._main is not None:
            self._main.cancel()


def credentials_of(settings: ServiceSettings) -> Credentials:
    """The login that the settings name. Raises OSError for files that can't be read, BadKey for what is no nkey."""
    seed = settings.nats_nkey()
    if seed:
        node_keys.public_key(seed)
    return Credentials(settings.nats_user, settings.nats_password(), settings.nats_ca, seed)


async def _why_not(transport: NatsTransport, settings: ServiceSettings) -> str:
    """Why the bus can't be connected now; empty once it is connected."""
    try:
        await _probe(settings.nats)
        async with asyncio.timeout(_CONNECT_S):
            await transport.join(credentials_of(settings))
    except TimeoutError:
        return "the server does not let us in; check user and password, or the nkey"
    except (TransportError, OSError, BadKey) as error:
        return str(error) or type(error).__name__
    return ""


async def _probe(url: str) -> None:
    """Raise ConnectionError while none of the servers at `url` listens.

    nats-py retries a first connection by itself, slowly and with a log line each time; so it is asked
    only when a connection can succeed.
    """
    reason = ""
    for host, port in nats_endpoints(url):
        try:
            async with asyncio.timeout(_PROBE_S):
                _, writer = await asyncio.open_connection(host, port)
        except OSError as error:
            why = os.strerror(error.errno) if error.errno else "no answer in time"
            reason = f"no NATS server answers at {host}:{port} ({why})"
            continue
        writer.close()
        return
    raise ConnectionError(reason)
