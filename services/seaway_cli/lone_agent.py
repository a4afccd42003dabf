"""Agents that no suite started: their directories bear no mark but the agents' databases."""

import contextlib
import os
import select
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from seaway_cli.errors import CliError
from seaway_cli.layout import Layout

_STOP_S: Final = 40.0


def databases(layout: Layout) -> list[Path]:
    """One per node that lives below the root directory."""
    return sorted(layout.root.glob("agent/*/agent.db"))


def stop(layout: Layout) -> list[str]:
    """End the agents that run there, in good order; what was done, in words. Raises CliError if one does not end."""
    done = []
    for pid in _holders(databases(layout)):
        _end(pid)
        done.append(f"stopped the agent (process {pid})")
    return done


def check_stopped(layout: Layout) -> None:
    """Raise CliError if an agent runs there."""
    for pid in _holders(databases(layout)):
        raise CliError(
            f"the agent of {layout.root} was started again (process {pid}): stop what starts it, such as "
            "`systemctl stop seaway-agent`, and purge again"
        )


def _holders(files: list[Path]) -> Iterator[int]:
    """The processes that have one of these files open: there is no other record of who an agent is."""
    wanted = {str(file.resolve()) for file in files}
    for process in Path("/proc").iterdir():
        if process.name.isdigit() and int(process.name) != os.getpid():
            with contextlib.suppress(OSError):
                if any(str(fd.readlink()) in wanted for fd in (process / "fd").iterdir()):
                    yield int(process.name)


def _end(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        pidfd = os.pidfd_open(pid)
        try:
            signal.pidfd_send_signal(pidfd, signal.SIGTERM)
            if not select.select([pidfd], [], [], _STOP_S)[0]:
                raise CliError(f"the agent (process {pid}) has not stopped in {_STOP_S:g} s: end it and purge again")
        finally:
            os.close(pidfd)
