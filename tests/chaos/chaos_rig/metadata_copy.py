"""One more copy of metadata beside the suite's own."""

import os
from pathlib import Path

from e2e_rig.engine import Daemon
from e2e_rig.seaway import COMMANDS
from e2e_rig.waits import eventually

from chaos_rig.suite import struck


class MetadataCopy:
    """A process with directories of its own. `options` say where the bus is."""

    def __init__(self, place: Path, *options: str) -> None:
        self._log = place / "metadata.log"
        directories = ("--root", f"{place}/root", "--run", f"{place}/run")
        self._words = [str(COMMANDS / "seaway-metadata"), *directories, *options]
        for name in ("root", "run"):
            (place / name).mkdir(parents=True)
        self._daemon: Daemon | None = None

    def start(self) -> None:
        """Start it, and again where it can't run yet, as whoever supervises it would; returns when it is ready."""
        before = self._readiness()

        def ready() -> bool:
            if self._daemon is None or self._daemon.process.poll() is not None:
                self._daemon = Daemon(self._words, self._log, dict(os.environ))
            return self._readiness() > before

        try:
            eventually(ready, "a copy of metadata", 60)
        except TimeoutError:
            raise AssertionError(self._log.read_text()[-3000:]) from None

    def _readiness(self) -> int:
        return self._log.read_text().count("is ready") if self._log.exists() else 0

    @property
    def pid(self) -> int:
        """Its process."""
        assert self._daemon is not None
        return self._daemon.pid

    def log(self) -> str:
        """The end of what it has said."""
        return f"--- {self._log}\n{self._log.read_text()[-6000:]}"

    def kill(self) -> None:
        """kill -9."""
        assert self._daemon is not None and struck(self.pid)
        self._daemon.process.wait()
        self._daemon = None

    def close(self) -> None:
        """Stop it."""
        if self._daemon is not None:
            self._daemon.stop()
