"""A suite whose processes can be killed: at once, or when they come by a failpoint."""

import contextlib
import os
import select
import signal
import sqlite3
import time
from pathlib import Path

from e2e_rig import images
from e2e_rig.seaway import Finished, Seaway, seaway
from e2e_rig.waits import eventually

from chaos_rig.client import Client
from seaway_cli.backoff import HEALTHY_S
from seaway_kit.failpoints import VARIABLE, Failpoint
from seaway_testing.ports import free_port

_EXITING = 0x4  # the kernel's PF_EXITING
_SERVICES = 5
_OUTBOXES = ("agent/*/agent.db", "image/events.db", "metadata/outbox.db")
_DEATH_S = 10.0


def struck(pid: int) -> bool:
    """Kill a process; whether it was there, and has died of it."""
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return False
    try:
        if select.select([pidfd], [], [], 0)[0]:
            return False  # dead already, and not yet waited for
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        assert select.select([pidfd], [], [], _DEATH_S)[0], f"{pid} has outlived SIGKILL"
    except ProcessLookupError:
        return False
    finally:
        os.close(pidfd)
    return True


class ChaosSuite(Seaway):
    """`seaway up` with a directory for failpoints; on the NATS servers at `nats`, if they are given.

    `passwords`: the services' there; the tests log in as `login`. Its own registry is at `registry`. `more`: further
    options of `seaway up`.
    """

    def __init__(
        self,
        directory: Path,
        *,
        nats: str = "",
        passwords: Path | None = None,
        login: tuple[str, str] = ("", ""),
        more: tuple[str, ...] = (),
    ) -> None:
        self.registry = f"127.0.0.1:{free_port()}"
        options = ["--registry-port", self.registry.rpartition(":")[2]]
        options += ["--nats", nats] if nats else []
        if passwords is not None:
            options += ["--nats-passwords", str(passwords)]
        super().__init__(directory, up=(*options, *more))
        self._nats, self._login = nats, login
        self.has_met_others = False
        """Whether it knows nodes that are gone for good; it may place containers there when it has lost its memory."""
        self._points = directory / "failpoints"
        self._points.mkdir()

    def start(self) -> None:
        os.environ[VARIABLE] = str(self._points)
        try:
            super().start()
        finally:
            del os.environ[VARIABLE]

    def warm(self) -> None:
        """Load the image busybox, and do what is done once only."""
        headers = {"Content-Type": "application/x-tar"}
        reply = self.api.request("POST", "/images/load", images.busybox_archive(), headers)
        assert reply.status == 200, reply
        client = Client(self.api)
        for network in ("none", "bridge"):
            container = client.create(f"warm-{network}", "true", NetworkMode=network)
            client.start(container)
            client.wait(container)
            client.remove(container)

    def arm(self, point: Failpoint) -> None:
        """The next process that passes there dies."""
        (self._points / point).touch()

    def seaway(self, *words: str) -> Finished:
        """Run `seaway …` to its end, as on another machine; it dies at a failpoint that it passes."""
        return seaway(*words, environment=os.environ | {VARIABLE: str(self._points)})

    def is_armed(self, point: Failpoint) -> bool:
        """Whether nobody has passed there since."""
        return (self._points / point).exists()

    def disarm(self) -> None:
        """Nobody is to die any more."""
        for path in self._points.iterdir():
            path.unlink()

    @property
    def login(self) -> tuple[str, str]:
        """A user of the bus that may read everything, and the password."""
        return self._login if self._nats else ("cli", self.secret("cli"))

    @property
    def nats_url(self) -> str:
        return self._nats or super().nats_url

    def kill(self, service: str) -> int:
        """Kill a service that is there; the pid that it had."""
        pid = self.strike(service)
        assert pid, f"{service} isn't there"
        return pid

    def strike(self, service: str) -> int:
        """Kill a service, if it is there just now: its pid once it is dead, else 0."""
        pid = next((int(row["pid"]) for row in self.rows() if row["service"] == service), 0)
        return pid if pid and struck(pid) else 0

    def passed(self, point: Failpoint, within_s: float) -> bool:
        """Arm a failpoint; whether a process has died there in time. It isn't armed any more."""
        path = self._points / point
        path.touch()
        limit = time.monotonic() + within_s
        while path.exists():
            if time.monotonic() > limit:
                with contextlib.suppress(FileNotFoundError):
                    path.unlink()
                    return False
            time.sleep(0.005)
        return True

    def whole(self, timeout: float = 40) -> None:
        """Wait until every service is ready and the API answers."""

        services = _SERVICES if self._nats else _SERVICES + 1

        def ready() -> bool:
            rows = self.rows()
            # A supervisor that has not noticed a death yet still says "ready".
            up = [row for row in rows if row["state"] == "ready" and _lives(int(row["pid"]))]
            return len(up) == len(rows) == services and self.serves()

        eventually(ready, "a whole suite", timeout)

    def settled(self) -> None:
        """Wait until each service has lived so long that the next one is started at once when it is killed.

        By then each has told what happened before, too.
        """

        def old_enough() -> bool:
            return all(_age_s(int(row["pid"])) > HEALTHY_S + 0.1 for row in self.rows())

        eventually(old_enough, "services that have lived for a while", 20)
        eventually(lambda: not self._untold(), "events of before in the stream", 20)

    def _untold(self) -> int:
        """How many events wait in outboxes."""
        return sum(_waiting(database) for place in _OUTBOXES for database in self.root.glob(place))

    def start_again(self) -> None:
        """After the supervisor itself was killed."""
        assert self._supervisor is not None
        self._supervisor.process.wait()
        self._supervisor = None
        self.start()


class Suites:
    """One suite after another, each in a directory of its own below `place`."""

    def __init__(self, place: Path) -> None:
        self._place, self._count = place, 0
        self._current: ChaosSuite | None = None

    def current(self) -> ChaosSuite:
        """The one that is there, or a new one."""
        if self._current is None:
            self._count += 1
            self._current = suite = ChaosSuite(self._place / f"s{self._count}")
            suite.start()
            suite.warm()
        return self._current

    def discard(self) -> None:
        """Purge the one that is there."""
        suite, self._current = self._current, None
        if suite is not None:
            suite.purge()


def _stat(pid: int) -> list[str]:
    """The fields of a process behind its name (proc(5), stat); none for one that is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def _lives(pid: int) -> bool:
    """Not if it is about to end: its sockets are closed before it is a zombie."""
    fields = _stat(pid)
    return bool(fields) and not int(fields[6]) & _EXITING


def _age_s(pid: int) -> float:
    """How long a process has lived; 0 for one that is gone."""
    fields = _stat(pid)
    if not fields:
        return 0.0
    return time.clock_gettime(time.CLOCK_BOOTTIME) - int(fields[19]) / os.sysconf("SC_CLK_TCK")


def _waiting(database: Path) -> int:
    with contextlib.closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as db:
        return int(db.execute("SELECT count(*) FROM outbox").fetchone()[0])
