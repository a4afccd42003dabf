"""Services as processes of their own, forked from one that has imported them: so `seaway up` starts its services too.

A fresh interpreter needs a second of a core to import a service, which hundreds of tests would pay again and again.
"""

import atexit
import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Final

_FORKS: Final = multiprocessing.get_context("forkserver")
# The test runner's own modules, as multiprocessing imports its caller's main module in every child.
_FORKS.set_forkserver_preload(["pytest", "seaway_agent.main", "seaway_cli.up", "seaway_metadata.main"])


@atexit.register
def _end_all() -> None:
    """What a failed test has left, before Python would wait for it without end."""
    for process in multiprocessing.active_children():
        process.kill()


class Forked:
    """`python -m MODULE ARGV…` by its effect; what it prints is appended to `log`, its errors to `errors` if given."""

    def __init__(
        self,
        module: str,
        argv: Sequence[str],
        log: Path,
        env: Mapping[str, str] | None = None,
        errors: Path | None = None,
    ) -> None:
        given = (module, tuple(argv), (str(log), str(errors or log)), dict(os.environ if env is None else env))
        self._process = _FORKS.Process(target=_run, args=given)
        self._process.start()
        assert self._process.pid is not None
        self.pid: Final = self._process.pid
        self._code: int | None = None

    def poll(self) -> int | None:
        """The exit code of one that has ended."""
        if self._code is None and (code := self._process.exitcode) is not None:
            self._code = code
            self._process.close()
        return self._code

    def wait(self, timeout: float | None = None) -> int:
        """The exit code, minus the signal's number where one has killed it; raises TimeoutExpired."""
        if self._code is None:
            self._process.join(timeout)
        if (code := self.poll()) is None:
            raise subprocess.TimeoutExpired(self._process.name, timeout or 0.0)
        return code

    def send_signal(self, number: signal.Signals) -> None:
        """Send it a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """End it at once."""
        self.send_signal(signal.SIGKILL)


def _run(module: str, argv: tuple[str, ...], outputs: tuple[str, str], env: dict[str, str]) -> None:
    for number, path in enumerate(outputs, 1):
        with open(path, "ab") as out:
            os.dup2(out.fileno(), number)
    os.environ.clear()
    os.environ.update(env)
    sys.exit(import_module(module).main(argv))
