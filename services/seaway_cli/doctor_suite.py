"""`seaway doctor`: the suite of this machine, its services, its NATS server, the stream, the nodes."""

import os
import socket
from collections.abc import Iterator, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

from seaway_bus.ask_once import run_once
from seaway_bus.bus import Bus
from seaway_bus.transport import StreamSize
from seaway_cli import commands, doctor_builder, nats_server, suite
from seaway_cli.doctor_finding import Finding, fail, note, ok
from seaway_cli.doctor_node import unreachable
from seaway_cli.errors import CliError
from seaway_cli.layout import Layout
from seaway_cli.node_settings import login_of
from seaway_cli.permissions import CLI
from seaway_contracts.base import Empty
from seaway_contracts.catalogue import EVENT_STREAM, LIST_NODES
from seaway_contracts.errors import SeawayError
from seaway_contracts.nodes import NodeRecord
from seaway_contracts.version import VERSION
from seaway_kit.metrics_ports import METRICS_PORT, fixed_ports
from seaway_kit.tasks import Tasks

_ANSWER_S: Final = 3.0
_FAR_NS: Final = 2_000_000_000
_FULL: Final = 0.9


def examine(layout: Layout) -> Iterator[Finding]:
    """All checks of the suite. They end where it doesn't run, or NATS lets nobody in."""
    try:
        status = commands.status(layout.run)
    except CliError as error:
        yield from _not_running(layout, error.message)
        return
    yield from services(status, layout)
    for host in status["hosts"]:
        yield endpoint(host)
    yield from [found for host in status["hosts"] if (found := doctor_builder.builder(host))][:1]
    login = login_of(layout, CLI)
    if trouble := login.trouble():
        yield fail("nats", trouble, "seaway logs nats; the passwords are in the suite's secrets")
        return
    yield ok("nats", f"{login.url} lets the command line in")

    async def look(bus: Bus, _: Tasks) -> tuple[StreamSize, Sequence[NodeRecord]]:
        size = await bus.transport.stream_size(EVENT_STREAM.name)
        return size, (await bus.call(LIST_NODES, Empty())).nodes

    try:
        size, records = run_once(look, url=login.url, user=login.user, password=login.password, ca=login.ca)
    except SeawayError as error:
        yield fail("metadata", f"the events stream or the metadata service: {error.message}", "seaway logs metadata")
        return
    yield stream(size)
    yield from nodes(records)


def _not_running(layout: Layout, message: str) -> Iterator[Finding]:
    """No suite runs: why it may not start, if that can be seen."""
    start = f"seaway up --root {layout.root} --run {layout.run}, or start its unit"
    yield fail("suite", message.partition(":")[0], start)
    known = suite.load(layout.marker)
    if known is not None and known.nats_port and not nats_server.is_free(known.nats_port):
        text = f"another program listens on port {known.nats_port}, which is NATS's in this suite"
        yield fail("port", text, f"ss -ltnp 'sport = :{known.nats_port}' names it: stop it")
    yield metrics_ports()


def metrics_ports(base: int | None = None) -> Finding:
    """Whether a suite that is started finds the ports of its metrics free; `base` as of `--metrics-port`."""
    if base is None:
        given = os.environ.get("SEAWAY_METRICS_PORT", "")
        base = int(given) if given.isdigit() else METRICS_PORT
    ports = fixed_ports(base)
    if not ports:
        return ok("metrics", "any free ports")
    taken = [f"{port} ({service})" for service, port in ports.items() if not nats_server.is_free(port)]
    if taken:
        todo = "start with --metrics-port PORT, the first of others, or with 0 for any free ones"
        return fail("metrics", f"ports of metrics are taken: {', '.join(taken)}", todo)
    return ok("metrics", f"the ports {min(ports.values())} to {max(ports.values())} are free")


def services(status: dict[str, Any], layout: Layout) -> Iterator[Finding]:
    """Those that are not ready, or were restarted; and the suite's version."""
    place = "" if str(layout.run) == "/run/seaway" else f" --run {layout.run}"
    for row in status["services"]:
        look = f"seaway logs {row['service']}{place}"
        if row["state"] != "ready":
            yield fail(row["service"], f"is {row['state']} (restarts: {row['restarts']})", look)
        elif row["restarts"]:
            yield note(row["service"], f"was restarted {row['restarts']} times", look)
        else:
            yield ok(row["service"], f"ready, pid {row['pid']}")
    if status["version"] != VERSION:
        text = f"the suite runs Seaway {status['version']}, and {VERSION} is installed"
        yield note("version", text, "restart it: containers go on")


def endpoint(host: str) -> Finding:
    """Whether the API can be reached at `unix://PATH` or `tcp://HOST:PORT`."""
    parts = urlsplit(host)
    trouble = _silent(parts.path) if parts.scheme == "unix" else unreachable(parts.hostname or "", parts.port or 0)
    if trouble:
        return fail("endpoint", f"{host} does not answer ({trouble})", "seaway logs api")
    return ok("endpoint", f"{host} answers")


def _silent(path: str) -> str:
    """Why the API does not answer a ping on that socket; empty if it does."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(_ANSWER_S)
            connection.connect(path)
            connection.sendall(b"GET /_ping HTTP/1.1\r\nHost: doctor\r\nConnection: close\r\n\r\n")
            said = connection.recv(64)
    except OSError as error:
        return error.strerror or str(error) or type(error).__name__
    line = said.splitlines()[0].decode(errors="replace") if said else "nothing"
    return "" if " 200 " in line else f"it says {line!r}"


def stream(size: StreamSize) -> Finding:
    """Whether the events stream is nearly full: then the oldest events go before their time."""
    held = f"{size.last - size.first + 1 if size.last else 0} events in {size.size >> 20} MiB"
    if size.most and size.size > _FULL * size.most:
        text = f"the stream of events is nearly full: {held} of {size.most >> 20} MiB; the oldest ones are dropped"
        return note("stream", text, "find out what floods it: seaway events --since 1m")
    return ok("stream", held)


def nodes(records: Sequence[NodeRecord]) -> Iterator[Finding]:
    """Those that are down, run out of something, differ in clock or version, or warn of something."""
    if not records:
        yield fail("nodes", "no node has joined", "seaway logs agent")
    for record in records:
        what, beat = f"node {record.node}", record.beat
        troubles = [*_troubles(what, record)]
        yield from troubles
        for text in beat.facts.warnings:
            troubles.append(fail(what, text.removeprefix(f"{what}: "), "do as it says"))
            yield troubles[-1]
        if not troubles:
            yield ok(what, f"up, {beat.running} of {beat.containers} containers run")


def _troubles(what: str, record: NodeRecord) -> Iterator[Finding]:
    beat = record.beat
    if record.state == "down":
        leave = f"start its agent, or seaway node rm {record.node} if it doesn't come back"
        yield fail(what, "is down", f"seaway doctor there says more; {leave}")
        return
    off_ns = beat.time_ns - record.last_beat_ns
    if abs(off_ns) > _FAR_NS:
        fast = "ahead of" if off_ns > 0 else "behind"
        yield fail(what, f"its clock is {abs(off_ns) / 1e9:.0f} s {fast} the suite's", "install chrony there")
    for resource in beat.pressure:
        room = "docker system prune" if resource == "disk" else "stop containers there, or add memory"
        yield fail(what, f"runs out of {resource}", room)
    if beat.facts.version not in ("", VERSION):
        yield note(what, f"its agent is Seaway {beat.facts.version}, and not {VERSION}", "install the same everywhere")
