"""A suite whose processes can be killed: at once, or when they come by a failpoint."""

import contextlib
import os
import signal
from pathlib import Path

from e2e_rig.seaway import Seaway
from e2e_rig.waits import eventually

from seaway_kit.failpoints import VARIABLE, Failpoint

_ROWS = 6


class ChaosSuite(Seaway):
    """`seaway up` with a directory for failpoints."""

    def __init__(self, directory: Path, node: str = "n1", up: tuple[str, ...] = (), *, services: int = _ROWS) -> None:
        super().__init__(directory, node, up)
        self._services = services
        self._points = directory / "failpoints"
        self._points.mkdir()

    def start(self) -> None:
        os.environ[VARIABLE] = str(self._points)
        try:
            super().start()
        finally:
            del os.environ[VARIABLE]

    def arm(self, point: Failpoint) -> None:
        """The next process that passes there dies."""
        (self._points / point).touch()

    def is_armed(self, point: Failpoint) -> bool:
        """Whether nobody has passed there since."""
        return (self._points / point).exists()

    def disarm(self) -> None:
        """Nobody is to die any more."""
        for path in self._points.iterdir():
            path.unlink()

    def kill(self, service: str, number: int = signal.SIGKILL) -> int:
        """Kill a service; the pid that it had."""
        pid = int(self.row(service)["pid"])
        os.kill(pid, number)
        return pid

    def kill_quietly(self, service: str) -> None:
        """Kill a service, if it is there just now."""
        row = next((row for row in self.rows() if row["service"] == service), None)
        if row is not None and row["pid"]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(row["pid"]), signal.SIGKILL)

    def whole(self, timeout: float = 40) -> None:
        """Wait until every service is ready and the API answers."""

        def ready() -> bool:
            rows = self.rows()
            return len(rows) == self._services and all(row["state"] == "ready" for row in rows) and self.serves()

        eventually(ready, "a whole suite", timeout)

    def start_again(self) -> None:
        """After the supervisor itself was killed."""
        assert self._supervisor is not None
        self._supervisor.process.wait()
        self._supervisor = None
        self.start()
