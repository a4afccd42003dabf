"""The port between a container's runner and its runtime: conmon with an OCI runtime, or the in-memory `fake.py`.

The order of calls for each run:

    create ──► (connect_console) ──► start ──► watch ──► exit reported ──► clean_up
    adopt ───► (connect_console) ─────────────► watch ──► exit reported ──► clean_up

`clean_up` may come at any point, and kills what still runs. Everything happens in the event loop's thread.
"""

from collections.abc import Callable
from typing import Protocol

from seaway_agent.core.instructions import Exit
from seaway_agent.runtime.run import ContainerRun, RunPlan
from seaway_agent.streams.console import Console
from seaway_contracts.containers import Resources


class Runtime(Protocol):
    """Runs one container, repeatedly; at most one run at a time."""

    @property
    def run(self) -> ContainerRun | None:
        """The current run: from a successful `create` or `adopt` to `clean_up` or `close`."""

    def warm(self) -> None:
        """Say that a run will be created in a moment: what takes time by itself can begin. Returns at once."""

    async def create(self, plan: RunPlan) -> ContainerRun:
        """Make bundle, cgroups and shim, up to the program's first instruction, which waits for `start`.

        The plan has what the hooks prepared (rootfs, network, mounts …). Raises SeawayError (with Docker's text if the
        runtime refused), OSError, ValueError; then nothing that this call made is left.
        """

    async def start(self) -> None:
        """Let the program run. It may have ended when this returns; `watch` reports that as well.

        Raises SeawayError, OSError; the run is still current then, and `clean_up` removes it.
        """

    def adopt(self, run: ContainerRun) -> None:
        """Take over a run that an earlier agent started."""

    def watch(self, ended: Callable[[Exit], None]) -> None:
        """Call `ended` once when this run ends; from inside this call if it has ended already.

        The exit comes from the shim's file, or from the kernel if the shim was killed; code -1: unknown.
        """

    def check(self) -> None:
        """Check now whether the run has ended, after a hint that it may have. Harmless at any time."""

    def signal(self, number: int) -> None:
        """Send a signal to the first process. Harmless if it is gone."""

    async def freeze(self) -> None:
        """Freeze all processes of the run. Raises OSError, with all of them running."""

    async def limit(self, changes: Resources) -> None:
        """Change the run's limits; fields at their default stay. Raises OSError, with the old limits in force."""

    def thaw(self) -> None:
        """Resume frozen processes. Harmless if nothing is frozen or running."""

    def connect_console(self, console: Console) -> None:
        """Connect the console to the run's streams, once per run. Raises OSError if the shim is gone."""

    def resize(self, height: int, width: int) -> None:
        """Resize the terminal, in characters. Raises OSError if nothing runs."""

    async def clean_up(self) -> None:
        """Remove all that `create` made, and kill a run whose exit wasn't reported; then another run may be created.

        Safe without a run, and twice. Continues past errors, and raises SeawayError that names what is left. The hooks
        undo their own part after this, when no process is left that could use it.
        """

    def close(self) -> None:
        """Close descriptors only: the run continues, for the next agent to adopt."""
