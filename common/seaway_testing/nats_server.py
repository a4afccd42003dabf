"""A real nats-server for tests: loopback, a port and a directory of its own, JetStream."""

import contextlib
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

from seaway_testing.ports import free_port

_CONFIG: Final = """
listen: "127.0.0.1:{port}"
jetstream {{ store_dir: "{store}", sync_interval: {sync}, max_file_store: {room}, max_memory_store: 1GB }}
{extra}
"""
_START_LIMIT_S: Final = 15.0


def available() -> bool:
    """Whether nats-server is installed."""
    return shutil.which("nats-server") is not None


def for_clusters() -> str:
    """The program that several servers together need (docs/adr/0029): it comes with the tests' other tools.

    The installed one where these tools have none for this kind of machine.
    """
    ours = Path(sys.prefix) / "bin" / "nats-server"
    return str(ours) if ours.exists() else shutil.which("nats-server") or ""


class NatsServer:
    """One nats-server process. `start`, `stop` or `kill`, and `start` again with the same port and data."""

    def __init__(self, directory: Path, *, room: str = "64GB", sync: str = "always", extra: str = "") -> None:
        """`sync`: how often it writes to disk; `extra`: further lines of its configuration."""
        self._directory = directory
        self._fields = {"room": room, "sync": sync, "extra": extra}
        self._process: subprocess.Popen[bytes] | None = None
        self.port = free_port()

    @property
    def url(self) -> str:
        """Where clients connect."""
        return f"nats://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """Its process; raises RuntimeError while it doesn't run."""
        if self._process is None:
            raise RuntimeError("the server doesn't run")
        return self._process.pid

    def start(self) -> "NatsServer":
        """Start and wait until it takes connections; raises RuntimeError with its log if it doesn't."""
        self._directory.mkdir(parents=True, exist_ok=True)
        config = self._configure()
        with (self._directory / "nats.log").open("ab") as out:
            self._process = subprocess.Popen(["nats-server", "-c", str(config)], stdout=out, stderr=out)
        limit = time.monotonic() + _START_LIMIT_S
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > limit:
                self.kill()
                raise RuntimeError(f"nats-server did not start: {(self._directory / 'nats.log').read_text()[-2000:]}")
            time.sleep(0.005)
        return self

    def _configure(self) -> Path:
        config = self._directory / "nats.conf"
        config.write_text(_CONFIG.format(port=self.port, store=self._directory / "store", **self._fields))
        return config

    def reconfigure(self, extra: str) -> None:
        """Have the running server read its configuration again, with other lines of its own."""
        self._fields["extra"] = extra
        self._configure()
        if self._process is not None:
            self._process.send_signal(signal.SIGHUP)

    def wipe(self) -> None:
        """Lose everything that was stored; the server must be down."""
        shutil.rmtree(self._directory / "store")

    def stop(self) -> None:
        """Stop in good order; what is stored stays."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """Kill at once, as a crash would."""
        self._end(signal.SIGKILL)

    def _end(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait()
            self._process = None

    def _answers(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
            return connection.recv(4) == b"INFO"
        return False
