"""The port between a container's runner and what runs it: conmon with an OCI runtime, or a twin in memory (`fake.py`).

The order of calls, each run anew:

    create ──► (connect_console) ──► start ──► watch ──► the end is told ──► clean_up
    adopt ───► (connect_console) ─────────────► watch ──► the end is told ──► clean_up

`clean_up` may come at any point, and ends what still runs. Everything happens in the event loop's thread.
"""

from collections.abc import Callable
from typing import Protocol

from seaway_agent.core.instructions import Exit
from seaway_agent.runtime.run import ContainerRun, RunPlan
from seaway_agent.streams.console import Console
from seaway_contracts.containers import Resources


class Runtime(Protocol):
    """Runs one container, as often as it is asked to; at most one run at a time."""

    @property
    def run(self) -> ContainerRun | None:
        """The run that is held: from a `create` or `adopt` that succeeded to `clean_up` or `close`."""

    async def create(self, plan: RunPlan) -> ContainerRun:
        """Make bundle, cgroups and shim, up to the program's first instruction, which waits for `start`.

        What the run needs besides (rootfs, network, mounts …) the plan has, made by its hooks. Raises SeawayError (in
        Docker's words where the runtime refused), OSError, ValueError; nothing that this call made is left then.
        """

    async def start(self) -> None:
        """Let the program run. It may have ended by the time this returns; `watch` tells of that as well.

        Raises SeawayError, OSError; the run is still held then, and `clean_up` gives it back.
        """

    def adopt(self, run: ContainerRun) -> None:
        """Hold a run that an earlier agent has started."""

    def watch(self, ended: Callable[[Exit], None]) -> None:
        """Call `ended` once for this run, at its end; from inside this call where it is over already.

        What the shim wrote down is told; where it was killed, the kernel's word; the code is -1 where nobody knows.
        """

    def check(self) -> None:
        """Something has been heard of an end: look at once whether the run is over. Harmless at any time."""

    def signal(self, number: int) -> None:
        """Send a signal to the first process. Harmless where there is none any more."""

    async def freeze(self) -> None:
        """Stop all processes of the run. Raises OSError, with all of them running, where that can't be done."""

    async def limit(self, changes: Resources) -> None:
        """Change the run's limits; one at its default stays. Raises OSError, with the old ones in force."""

    def thaw(self) -> None:
        """Let frozen processes go on. Harmless where nothing is frozen, or nothing runs."""

    def connect_console(self, console: Console) -> None:
        """Join the console to the run's streams; once is enough. Raises OSError where its shim is gone."""

    def resize(self, height: int, width: int) -> None:
        """Size the terminal, in characters. Raises OSError where nothing runs."""

    async def clean_up(self) -> None:
        """Give back all that `create` made, and kill what runs where its end wasn't told; then another may be created.

        Safe without a run, and twice. Goes on past errors, and raises SeawayError that names what is left. What the
        hooks made is theirs to undo, after this: no process is left that could use it.
        """

    def close(self) -> None:
        """Let go without a trace: the run goes on, for the next agent to adopt."""
