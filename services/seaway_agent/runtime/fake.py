"""The in-memory runtime for tests: keeps the port's contract and follows a script. Needs no root and no kernel."""

import asyncio
import itertools
import signal as signals
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from seaway_agent.core.instructions import Exit
from seaway_agent.runtime.run import ContainerRun, RunPlan
from seaway_agent.streams.console import Console
from seaway_contracts.containers import Resources

Step = Literal["create", "connect_console", "start", "freeze", "limit", "clean_up"]
UNKNOWN_CODE: Final = -1
_HARMLESS: Final = frozenset({signals.SIGCHLD, signals.SIGCONT, signals.SIGURG, signals.SIGWINCH})
_pids = itertools.count(1_000_000)


@dataclass(frozen=True)
class Script:
    """What one run does.

    `exits`: the program ends with this code as soon as it is started (None: it runs until a signal).
    `fails`: the step raises this. `waits`: the step continues when the event is set. `ignores`: signals without effect.
    """

    exits: int | None = None
    oom: bool = False
    fails: Mapping[Step, Exception] = field(default_factory=dict)
    waits: Mapping[Step, asyncio.Event] = field(default_factory=dict)
    ignores: frozenset[int] = frozenset()


class FakeRuntime:
    """Each run takes the next script, the last one repeatedly. `calls` records the calls."""

    def __init__(self, *scripts: Script, clock: Callable[[], int] = lambda: 0) -> None:
        self.run: ContainerRun | None = None
        self.calls: list[str] = []
        self.warmed = 0
        self.size: tuple[int, int] | None = None
        self.limits: list[Resources] = []
        self.frozen = False
        self._scripts = list(scripts) or [Script()]
        self._script = self._scripts[0]
        self._clock = clock
        self._running = False
        self._shim = False
        self._held_back: list[int] = []
        self._over: Exit | None = None
        self._ended: Callable[[Exit], None] | None = None

    # --- the port

    def warm(self) -> None:
        """See the port. Nothing takes time here."""
        self.warmed += 1

    async def create(self, plan: RunPlan) -> ContainerRun:
        """See the port."""
        assert self.run is None, "a run is held: clean up first"
        self._script = self._scripts.pop(0) if len(self._scripts) > 1 else self._scripts[0]
        await self._step("create")
        self.adopt(ContainerRun(next(_pids), -1, -1, child=False))
        self._running = False
        assert self.run is not None
        return self.run

    async def start(self) -> None:
        """See the port."""
        await self._step("start")
        self._running = True
        if self._script.exits is not None:
            self.end(self._script.exits, oom=self._script.oom)

    def adopt(self, run: ContainerRun) -> None:
        """See the port."""
        self.run, self._running, self._shim = run, True, True
        self._over = self._ended = None

    def watch(self, ended: Callable[[Exit], None]) -> None:
        """See the port."""
        self.calls.append("watch")
        self._ended = ended
        self.check()

    def check(self) -> None:
        """See the port."""
        ended = self._ended
        if ended is not None and self._over is not None:
            self._ended = None
            ended(self._over)

    def signal(self, number: int) -> None:
        """See the port. A frozen process handles signals when it is thawed."""
        self.calls.append(f"signal {int(number)}")
        if self.frozen:
            self._held_back.append(number)
        elif self._running and number not in _HARMLESS and number not in self._script.ignores:
            self.end(128 + number)

    async def freeze(self) -> None:
        """See the port."""
        await self._step("freeze")
        if not self._running:
            raise OSError("nothing runs here")
        self.frozen = True

    async def limit(self, changes: Resources) -> None:
        """See the port."""
        await self._step("limit")
        self.limits.append(changes)

    def thaw(self) -> None:
        """See the port."""
        self.calls.append("thaw")
        held_back, self._held_back, self.frozen = self._held_back, [], False
        for number in held_back:
            self.signal(number)

    def connect_console(self, console: Console) -> None:
        """See the port. There are no streams."""
        self.calls.append("connect_console")
        self._raise("connect_console")
        if not self._shim:
            raise ConnectionRefusedError("the shim is gone")

    def resize(self, height: int, width: int) -> None:
        """See the port."""
        if self.run is None or not self._shim:
            raise FileNotFoundError("no terminal here")
        self.size = (height, width)

    async def clean_up(self) -> None:
        """See the port."""
        self.run, self._ended, self._over = None, None, None
        self._running = self._shim = self.frozen = False
        self._held_back = []
        await self._step("clean_up")

    def close(self) -> None:
        """See the port."""
        self.calls.append("close")
        self.run, self._ended = None, None

    # --- what the test makes happen

    def end(self, code: int, *, oom: bool = False) -> None:
        """End the program; the code is lost if the shim was killed."""
        assert self._running, "nothing runs that could end"
        self._running = self.frozen = False
        known = Exit(code, self._clock(), oom)
        self._over = known if self._shim else Exit(UNKNOWN_CODE, self._clock())
        self.check()

    def kill_shim(self) -> None:
        """Kill the shim; the program keeps running."""
        self._shim = False

    async def _step(self, step: Step) -> None:
        self.calls.append(step)
        if step in self._script.waits:
            await self._script.waits[step].wait()
        self._raise(step)

    def _raise(self, step: Step) -> None:
        if step in self._script.fails:
            raise self._script.fails[step]
