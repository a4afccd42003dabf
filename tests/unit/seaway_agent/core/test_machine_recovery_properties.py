"""The world of `test_machine_properties`, in which the agent may be killed, and commands come twice and late.

What survives a kill is what was written down: the status, and with it the outcomes and who waits for an end. The next
agent finds what is there of a run, as `recovery/recovery.py` does. Whatever happens, a command has one outcome.
"""

from collections.abc import Iterable
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule
from tests.unit.seaway_agent.core.test_machine_properties import ENDPOINT, TIMEOUTS, World

from seaway_agent.core.instructions import (
    Answer,
    Emit,
    Exit,
    Instruction,
    Launch,
    Launched,
    PendingStop,
    Record,
    Waiter,
    answers_of_records,
)
from seaway_agent.core.machine import Machine
from seaway_agent.core.phases import Phase
from seaway_contracts.containers import ContainerSpec, ContainerStatus, State

_PHASES = {
    State.RUNNING: Phase.RUNNING,
    State.PAUSED: Phase.PAUSED,
    State.REMOVING: Phase.REMOVING,
    State.RESTARTING: Phase.TEARING_DOWN,
}
_AGAIN = ("start", "stop", "restart", "remove", "unpause", "kill")


class Mortal(World):
    """The agent dies between any two inputs; commands are repeated with their ids, to whichever agent is there."""

    def __init__(self) -> None:
        super().__init__()
        self.durable = ContainerStatus()
        self.pending_stop: PendingStop | None = None
        self.begun: set[tuple[str, str]] = set()
        self.deaf: set[str] = set()
        self.outcomes: dict[str, ContainerStatus] = {}
        self.first: dict[str, ContainerStatus] = {}
        self.sent: list[tuple[str, tuple[Any, ...], Waiter]] = []
        self.gone = False
        self.order = Launch(0)
        self.restarts = 0

    # --- writing down: as `ContainerRunner.do` has it, answers stand in the transaction of the record that they follow

    def carry_out(self, instructions: list[Instruction]) -> None:
        records = [do for do in instructions if isinstance(do, Record)]
        if records:
            self.durable, self.pending_stop = records[-1].status, records[-1].pending_stop
            self.gone = any(event.action == "destroy" for event in records[-1].events)
            for answers in answers_of_records(instructions):
                self.outcomes |= {do.waiter.command: do.status for do in answers}
        super().carry_out(instructions)

    def carry_out_one(self, do: Instruction) -> None:
        if isinstance(do, Launch):
            self.order, self.restarts = do, self.machine.status.restart_count
        if isinstance(do, Answer) and do.error is None:
            known = self.first.setdefault(do.waiter.command, do.status)
            if do.waiter.command in self.outcomes:
                assert self.outcomes[do.waiter.command] == known, "a command has one outcome"
        if isinstance(do, Answer) and do.error is not None and self.was_said(do.waiter, "stop", "kill"):
            assert not any(command == do.waiter.command for command, _ in self.begun), "what was begun is no refusal"
        if isinstance(do, Record) and do.waiter is not None:
            self.begin(do.waiter.command, do.events)
        if not isinstance(do, Answer) or do.waiter.command not in self.deaf:
            super().carry_out_one(do)

    def was_said(self, waiter: Waiter, *words: str) -> bool:
        return any(what in words and said == waiter for what, _, said in self.sent)

    def begin(self, command: str, events: Iterable[Emit]) -> None:
        for event in events:
            if event.action == "kill":
                told = command, event.attributes["signal"]
                assert told not in self.begun, "a signal of a command is told once"
                self.begun.add(told)

    # --- commands again

    @rule(what=st.sampled_from(_AGAIN), timeout_s=TIMEOUTS)
    def ask_and_remember(self, what: str, timeout_s: int | None) -> None:
        patience = (timeout_s, None)
        extra = {"stop": patience, "restart": patience, "remove": (True, False), "kill": (9,)}.get(what, ())
        self.sent.append((what, extra, self.ask()))
        self.say(*self.sent[-1])

    @precondition(lambda self: self.sent)
    @rule(data=st.data())
    def ask_again(self, data: Any) -> None:
        """Any command of before, in any order: an outcome that is known is the answer, one in work is joined."""
        what, extra, waiter = data.draw(st.sampled_from(self.sent))
        before, events = self.machine.status, list(self.events)
        if waiter.command in self.outcomes:
            assert self.first.get(waiter.command, self.outcomes[waiter.command]) == self.outcomes[waiter.command]
        elif self.answers[waiter.command]:
            return  # a refusal isn't remembered: asked anew it is a command like any other
        elif not self.machine.knows(waiter):
            self.say(what, extra, waiter)
            return
        assert (self.machine.status, self.events) == (before, events), "a repeat does nothing"

    def say(self, what: str, extra: tuple[Any, ...], waiter: Waiter) -> None:
        command = getattr(self.machine, what)
        self.carry_out(command(waiter) if what == "start" else command(waiter, *extra, self.now_ns))

    # --- death

    @precondition(lambda self: hasattr(self, "machine") and not self.gone)
    @rule(undone=st.booleans())
    def the_agent_is_killed(self, undone: bool) -> None:
        """What it was about to do is forgotten; what it has begun stands, and is finished or undone."""
        spec: ContainerSpec = self.machine.spec
        status = self.durable
        phase = _PHASES.get(status.state, Phase.IDLE)
        if status.state is State.EXITED and spec.auto_remove:
            phase = Phase.TEARING_DOWN
        self.timers.clear()
        self.probe = 0
        self.pending.clear()
        self.machine = Machine(spec, status, phase)
        if self.pending_stop is not None:
            self.machine.restore_stop(self.pending_stop)
        self.forget_who_waited()
        self._look_at_what_is_there(undone)
        self.ask_all_again()

    def _look_at_what_is_there(self, undone: bool) -> None:
        """As recovery does: a launch that was interrupted is undone, a run that is over is told, another goes on."""
        launching, self.launching = self.launching, False
        self.tearing_down = self.deleting = False
        if launching and not undone and self.machine.phase is not Phase.REMOVING:
            self._finish_the_launch()
            return
        if self.machine.phase in (Phase.RUNNING, Phase.PAUSED):
            assert self.alive
            if undone:
                self.alive = self.frozen = False
                self.carry_out(self.machine.exited(Exit(9, self.now_ns)))
            else:
                self.frozen = self.machine.phase is Phase.PAUSED
                self.carry_out(self.machine.adopted(self.now_ns, 0))
            return
        self.alive = self.frozen = False
        self.sandbox = self.machine.phase is Phase.TEARING_DOWN
        self.carry_out(self.machine.resume())

    def _finish_the_launch(self) -> None:
        """Its program runs, and what was noted of it tells who asked. It counts as it would have without a kill."""
        self.alive = self.sandbox = True
        self.machine.launching(self.order.run, self.order.starters, self.order.restarters)
        assert self.machine.status.restart_count == self.restarts
        self.carry_out(self.machine.launched(Launched(7, self.now_ns, (ENDPOINT,))))
        self.carry_out(self.machine.adopted(self.now_ns, 0))

    def forget_who_waited(self) -> None:
        """Callers hear nothing of an agent that died."""
        for command, count in self.answers.items():
            if not count and not any(waiter.command == command for _, _, waiter in self.sent):
                self.answers[command] = 1
                self.deaf.add(command)

    def ask_all_again(self) -> None:
        """With the same ids."""
        for what, extra, waiter in self.sent:
            if not self.answers[waiter.command]:
                if waiter.command in self.outcomes:
                    self.answers[waiter.command] = 1
                elif not self.machine.knows(waiter):
                    self.say(what, extra, waiter)


Mortal.TestCase.settings = settings(max_examples=150, stateful_step_count=30)
test_any_death = Mortal.TestCase
