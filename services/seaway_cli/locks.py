"""Locks that say "a suite lives here". Shared with the services, so that they outlive a killed supervisor."""

import fcntl
import os
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Final

from seaway_cli.errors import CliError

_POLL_S: Final = 0.05


class Lock:
    """An exclusive lock on a file, as long as this process or a child with the descriptor holds it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def take(self) -> bool:
        """Take it; False if somebody else has it."""
        try:
            fcntl.flock(self.fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def close(self) -> None:
        """Let go of our descriptor."""
        os.close(self.fd)

    def __enter__(self) -> "Lock":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def take_or_wait(path: Path, check: Callable[[], None], wait_s: float = 15.0) -> Lock:
    """The lock at `path`, held. Services of a killed supervisor are given time to end.

    `check` is called meanwhile: it raises CliError if a suite runs there. Raises CliError if the remains don't end.
    """
    lock = Lock(path)
    deadline = time.monotonic() + wait_s
    try:
        while not lock.take():
            check()
            if time.monotonic() > deadline:
                raise CliError(f"processes of an earlier suite still hold {path} (see /proc/locks): end them first")
            time.sleep(_POLL_S)
    except BaseException:
        lock.close()
        raise
    return lock
