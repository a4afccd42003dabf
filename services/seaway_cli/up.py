"""`seaway up`: check everything, then become the parent of the suite's processes."""

import contextlib
import gc
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from seaway_cli import control, nats_server, process, suite
from seaway_cli.errors import CliError, describe, usage
from seaway_cli.hosts import LOOPBACK, Listen, Tls, check_hosts, check_listen, check_tls
from seaway_cli.layout import Layout
from seaway_cli.locks import Lock, take_or_wait
from seaway_cli.outcome import failure, ready_document, summary
from seaway_cli.suite import Suite
from seaway_cli.supervisor import ServiceSpec, Supervisor
from seaway_contracts.ids import check_node
from seaway_contracts.version import VERSION
from seaway_kit import logs
from seaway_kit.listeners import Listener, listen_on
from seaway_kit.metrics_ports import fixed_ports
from seaway_kit.notify import Systemd
from seaway_kit.settings import default_node, read_token

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class UpOptions:
    """The command line of `seaway up`. `nats` is the URL of an outside server; empty: start one."""

    root: Path
    run: Path
    hosts: tuple[str, ...] = ()
    nats: str = ""
    nats_port: int | None = None
    nats_passwords: Path | None = None
    node: str | None = None
    registry_mirrors: tuple[str, ...] = ()
    insecure_registries: tuple[str, ...] = ()
    registry_port: int = 0
    default_address_pools: tuple[str, ...] = ()
    buildkit: str = ""
    buildkit_image: str = ""
    tls: Tls = field(default_factory=Tls)
    listen: str = LOOPBACK
    metrics_port: int = 0
    metrics_token_file: Path | None = None
    log_level: str = "info"
    otlp_endpoint: str = ""
    as_json: bool = False

    @property
    def layout(self) -> Layout:
        """Where the suite keeps its files."""
        return Layout(self.root, self.run)

    @property
    def node_name(self) -> str:
        """This machine's node."""
        return self.node or default_node()

    @property
    def bus(self) -> Listen:
        """Where the embedded NATS server and the image service listen."""
        return Listen(self.listen, self.tls)

    @property
    def passwords(self) -> Path | None:
        """The directory with the passwords at the NATS server; None: a server without users."""
        return self.nats_passwords if self.nats else self.layout.secrets

    @property
    def listens(self) -> tuple[str, ...]:
        """Where the API listens."""
        return self.hosts or (self.layout.default_host,)


@dataclass(frozen=True)
class Prepared:
    """A suite that is about to start: its identity, the locks it holds, its NATS server (None: an outside one)."""

    options: UpOptions
    suite: Suite
    locks: tuple[Lock, ...]
    nats: ServiceSpec | None
    nats_url: str

    @property
    def lock_fds(self) -> tuple[int, ...]:
        """The locks' descriptors, which the services hold too."""
        return tuple(lock.fd for lock in self.locks)


Load = Callable[[Prepared, tuple[Listener, ...]], Iterable[ServiceSpec]]
Report = Callable[[str, bool], None]


def seaway_services(prepared: Prepared, listeners: tuple[Listener, ...]) -> Iterator[ServiceSpec]:
    """Seaway's own services, imported here and now."""
    from seaway_cli.services import SuiteOptions, specs

    options = prepared.options
    yield from specs(
        SuiteOptions(
            layout=options.layout,
            token=prepared.suite.token,
            nats=prepared.nats_url,
            hosts=options.listens,
            node=options.node_name,
            passwords=options.passwords,
            registry_mirrors=options.registry_mirrors,
            insecure_registries=options.insecure_registries,
            registry_port=options.registry_port,
            default_address_pools=options.default_address_pools,
            buildkit=options.buildkit,
            buildkit_image=options.buildkit_image,
            tls=options.tls,
            listen=options.bus,
            lent=listeners,
            metrics_port=options.metrics_port,
            metrics_token_file=options.metrics_token_file,
            log_level=options.log_level,
            otlp_endpoint=options.otlp_endpoint,
            own_nats=prepared.nats is not None,
        )
    )


def check(options: UpOptions) -> None:
    """Raise CliError for what can be known to be wrong before anything is made."""
    check_tls(options.tls)
    check_hosts(options.listens, options.tls)
    check_listen(options.bus)
    nats_server.check_own(options.listen)
    _check_token(options.metrics_token_file)
    layout = options.layout
    if layout.too_long:
        raise usage(f"--run {layout.run} is too long: a socket's path may have 107 bytes")
    try:
        check_node(options.node or "node")
    except ValueError as error:
        raise usage(f"--node: {error}") from None
    if os.geteuid() != 0:
        raise CliError("seaway up must be run as root: it makes namespaces, mounts and networks")
    inside = layout.run if layout.run.is_relative_to(layout.root) else None
    suite.check_directory(layout.root, "--root", layout.marker, inside)
    suite.check_directory(layout.run, "--run", layout.run_marker)
    _check_not_running(layout)


@contextlib.contextmanager
def prepared(options: UpOptions) -> Iterator[Prepared]:
    """Everything that a start needs, held until the end. Raises CliError, and then leaves nothing behind."""
    process.fill_standard_streams()
    check(options)
    program = "" if options.nats else nats_server.find_program()
    if options.nats:
        nats_server.check_outside(options.nats)
    layout = options.layout
    with contextlib.ExitStack() as stack:
        with suite.prepared(layout):
            check_again = partial(_check_not_running, layout)
            locks = tuple(stack.enter_context(take_or_wait(path, check_again)) for path in layout.locks)
            _check_endpoints(options.listens)
            _check_metrics_ports(options.metrics_port)
            _check_registry_port(options.listen, options.registry_port)
            identity = (suite.identify(layout) or suite.new()).at(layout)
            identity = identity if options.nats else nats_server.with_port(identity, options.nats_port, options.listen)
            for marker in (layout.marker, layout.run_marker):
                identity.save(marker)
        nats = None
        if not options.nats:
            nats_server.prepare(layout, identity, options.node_name, options.bus)
            fds = [lock.fd for lock in locks]
            nats = nats_server.spec(program, layout, options.listen, identity.nats_port, fds)
        url = options.nats or options.bus.nats_url(identity.nats_port)
        yield Prepared(options, identity, locks, nats, url)


def _check_token(file: Path | None) -> None:
    try:
        if file is not None:
            read_token(file)
    except OSError as error:
        raise CliError(f"--metrics-token-file {file}: {error.strerror}") from None


def _check_endpoints(hosts: Iterable[str]) -> None:
    """Raise CliError if one can't be had. They are taken for good once the directories are there to stay."""
    with contextlib.ExitStack() as stack:
        for host in hosts:
            _listen(host, stack)


def _check_metrics_ports(base: int) -> None:
    """Raise CliError if a service would find its port taken."""
    for service, port in fixed_ports(base).items():
        try:
            socket.create_server(("127.0.0.1", port)).close()
        except OSError as error:
            raise CliError(
                f"port {port} of 127.0.0.1, for the metrics of {service}, can't be had "
                f"({os.strerror(error.errno or 0)}): give another first port by --metrics-port, or 0 for any free ones"
            ) from None


def _check_registry_port(address: str, port: int) -> None:
    """Raise CliError if the image service would find its port taken. 0 is any free one."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        if port:
            socket.create_server((address, port), family=family).close()
    except OSError as error:
        why = os.strerror(error.errno or 0)
        raise CliError(
            f"port {port} of {address}, for the registry, can't be had ({why}): give another --registry-port, or 0"
        ) from None


def _check_not_running(layout: Layout) -> None:
    """Raise CliError if this suite runs, here or (the same root) with another run directory."""
    known = suite.identify(layout)
    if _supervisor_answers(layout.control):
        raise CliError(f"a suite already runs in {layout.run}: stop it with `seaway down`, or give another")
    other = Path(known.run) if known is not None and known.run else layout.run
    if other != layout.run and _supervisor_answers(Layout(layout.root, other).control):
        raise CliError(
            f"the suite of --root {layout.root} already runs, with --run {other}: "
            f"stop it with `seaway down --run {other}`, or give another --root"
        )


def _supervisor_answers(socket: Path) -> bool:
    try:
        control.ask(socket, "status")
    except control.NotRunning:
        return False
    return True


def foreground(options: UpOptions, load: Load = seaway_services) -> int:
    """Run a suite until it is stopped; prints a summary when it is ready. Raises CliError."""
    started = time.monotonic()

    def report(text: str, ready: bool) -> None:
        print(text, file=sys.stdout if ready else sys.stderr, flush=True)

    with prepared(options) as ready:
        return supervise(ready, load, report, started)


def detached(options: UpOptions, load: Load = seaway_services) -> int:
    """Start a suite in the background; returns when it is ready (0) or has failed (1). Raises CliError."""
    started = time.monotonic()
    with prepared(options) as ready:
        ours, theirs = os.pipe2(os.O_CLOEXEC)
        if os.fork() == 0:
            os.close(ours)
            os._exit(_background(ready, load, theirs, started))
        os.close(theirs)
        with os.fdopen(ours) as outcome:
            word, _, text = outcome.read().partition("\n")
    if word == "ready":
        print(text)
        return 0
    print(text or f"seaway up ended without a word: see {options.layout.log('supervisor')}", file=sys.stderr)
    return 1


def _background(ready: Prepared, load: Load, outcome: int, started: float) -> int:
    """The detached supervisor's life, away from the terminal."""
    os.setsid()
    null = os.open(os.devnull, os.O_RDONLY)
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    out = os.open(ready.options.layout.log("supervisor"), flags, 0o640)
    for target, source in ((0, null), (1, out), (2, out)):
        os.dup2(source, target)
    os.close(null)
    os.close(out)

    def report(text: str, good: bool) -> None:
        with os.fdopen(outcome, "w") as pipe:
            pipe.write(f"{'ready' if good else 'failed'}\n{text}")

    try:
        return supervise(ready, load, report, started)
    except CliError as error:
        report(error.message, False)
        return error.exit_code
    except OSError as error:
        report(describe(error), False)
        return 1
    except BaseException:
        log.critical("the supervisor failed", exc_info=True)
        return 1


def supervise(ready: Prepared, load: Load, report: Report, started: float) -> int:
    """Start NATS and the services, and watch them to the end; `report` is called once, with the outcome of the start.

    The endpoints are there from now on, and clients wait for the API behind them, also while it is started again.
    Raises CliError if the services' settings are wrong or an endpoint can't be had; nothing runs then.
    """
    logs.configure("seaway")
    layout = ready.options.layout
    systemd = Systemd()

    def all_ready() -> None:
        systemd.send("READY=1")
        rows = {row["service"]: row for row in supervisor.rows()}
        metrics, registry = rows.get("api", {}).get("metrics", ""), rows.get("image", {}).get("registry", "")
        say = ready_document if ready.options.as_json else summary
        report(say(layout, hosts, time.monotonic() - started, metrics, registry), True)

    with contextlib.ExitStack() as stack:
        endpoints = stack.enter_context(contextlib.ExitStack())
        listeners = tuple(_listen(host, endpoints) for host in ready.options.listens)
        hosts = tuple(listener.host for listener in listeners)
        supervisor = Supervisor(layout.logs, share=ready.lock_fds, on_ready=all_ready, on_stop=endpoints.close)
        stack.callback(supervisor.close)
        server = control.ControlServer(layout.control, supervisor.reactor, partial(_answer, ready, hosts, supervisor))
        stack.callback(server.close)
        _start(ready, supervisor, partial(load, ready, listeners))
        code = supervisor.run()
        if supervisor.failure is not None:
            report(failure(layout, supervisor.failure.services, supervisor.failure.reason), False)
        return code


def _listen(host: str, stack: contextlib.ExitStack) -> Listener:
    try:
        made = listen_on(host)
    except OSError as error:
        raise CliError(str(error)) from None
    stack.callback(made.close)
    return made


def _start(ready: Prepared, supervisor: Supervisor, load: Callable[[], Iterable[ServiceSpec]]) -> None:
    """NATS first: it starts while the services' modules are imported. Then one fork per service."""
    if ready.nats is not None:
        supervisor.add(ready.nats)
    gc.disable()
    specs = list(load())
    gc.collect()
    gc.freeze()  # so that the collector doesn't touch, and thereby copy, the pages that the forks share
    for spec in specs:
        supervisor.add(spec)
    gc.enable()


def _answer(ready: Prepared, hosts: tuple[str, ...], supervisor: Supervisor, command: str) -> dict[str, Any]:
    if command == "stop":
        supervisor.stop()
        return {"stopping": True}
    if command == "reload":
        return _reload(ready, supervisor)
    if command != "status":
        raise ValueError(command)
    return {
        "pid": os.getpid(),
        "root": str(ready.options.root),
        "hosts": list(hosts),
        "tls": ready.options.tls.given,
        "nats": ready.nats_url,
        "nats_ca": ready.options.bus.ca,
        "own_nats": ready.nats is not None,
        "passwords": str(ready.options.passwords or ""),
        "node": ready.options.node_name,
        "token": ready.suite.token,
        "version": VERSION,
        "services": supervisor.rows(),
    }


def _reload(ready: Prepared, supervisor: Supervisor) -> dict[str, Any]:
    """Have the embedded NATS server take up the users that the secrets' directory says now."""
    options = ready.options
    if ready.nats is None:
        return {"error": "the suite's NATS server is an outside one"}
    try:
        nats_server.prepare(options.layout, ready.suite, options.node_name, options.bus)
    except OSError as error:
        return {"error": describe(error)}
    supervisor.signal(ready.nats.name, signal.SIGHUP)
    return {"reloaded": True}
