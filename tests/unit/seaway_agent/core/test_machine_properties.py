"""What must hold for a machine whatever is asked of it and however the world around it behaves.

The model is the world: it does what the machine says, in its own time, and checks that what it is told makes sense.
"""

import signal as signals
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from seaway_agent.core.instructions import (
    Answer,
    Delete,
    Emit,
    Exit,
    Instruction,
    Launch,
    Launched,
    LogError,
    Record,
    RunProbe,
    SendSignal,
    SetTimer,
    StopProbe,
    TearDown,
    Thaw,
    Waiter,
)
from seaway_agent.core.machine import Machine
from seaway_agent.core.phases import Phase
from seaway_contracts.containers import (
    ContainerStatus,
    Endpoint,
    EndpointSpec,
    Probe,
    Resources,
    RestartPolicy,
    State,
)
from seaway_contracts.errors import internal
from seaway_contracts.images import Healthcheck
from seaway_contracts.networks import NetworkRecord
from seaway_testing import builders

BACK = NetworkRecord(id="b" * 64, name="back", created_ns=1)
IN_BACK = EndpointSpec(network=BACK.name, network_id=BACK.id)
ENDPOINT = Endpoint(network="bridge", network_id="n" * 64)
DEADLY = (signals.SIGKILL, signals.SIGTERM)
POLICIES = st.builds(
    RestartPolicy,
    name=st.sampled_from(["no", "always", "unless-stopped", "on-failure"]),
    max_retries=st.integers(0, 2),
)
TIMEOUTS = st.sampled_from([None, 0, 1, -1])
BEGINNINGS = st.sampled_from(["created", "running", "paused", "ended", "torn down"])
"""How far its life has gone when anything may happen: by chance alone few get so far."""


class World(RuleBasedStateMachine):
    """Runs one container as the shell does, and asks it for anything at any time."""

    def __init__(self) -> None:
        super().__init__()
        self.now_ns = 1_000_000_000
        self.launching = self.alive = self.frozen = self.sandbox = self.deleting = False
        self.tearing_down = False
        self.pending: list[int] = []
        self.timers: dict[str, int] = {}
        self.asked = 0
        self.answers: dict[str, int] = {}
        self.events: list[str] = []
        self.seq = 0
        self.starts = self.deaths = 0
        self.probe = 0

    @initialize(policy=POLICIES, auto_remove=st.booleans(), checked=st.booleans(), beginning=BEGINNINGS)
    def create(self, policy: RestartPolicy, auto_remove: bool, checked: bool, beginning: str) -> None:
        auto_remove = auto_remove and policy.name == "no"
        check = Healthcheck(test=("CMD", "ok?"), retries=2, start_period_ns=9) if checked else None
        spec = builders.spec(1, restart=policy, auto_remove=auto_remove, healthcheck=check)
        self.machine = Machine(spec, ContainerStatus())
        self.carry_out(self.machine.create(self.ask(), self.now_ns))
        self.live_until(beginning)

    def live_until(self, beginning: str) -> None:
        if beginning == "created":
            return
        self.start()
        self.launch_ends(True)
        if beginning == "paused":
            self.pause()
        if beginning in ("ended", "torn down"):
            self.process_ends(1, False)
        if beginning == "torn down":
            self.torn_down()

    # --- the shell

    def ask(self) -> Waiter:
        self.asked += 1
        self.answers[f"c{self.asked}"] = 0
        return Waiter(f"c{self.asked}")

    def carry_out(self, instructions: list[Instruction]) -> None:
        self.now_ns += 1_000_000
        for do in instructions:
            self.carry_out_one(do)

    def carry_out_one(self, do: Instruction) -> None:
        match do:
            case Launch():
                assert not self.launching, "two launches at once"
                assert not self.sandbox, "a launch over a run that was not torn down"
                self.launching = True
            case SendSignal():
                assert self.alive, "a signal to nobody"
                self.pending.append(do.signal)
            case Thaw():
                self.frozen = False
            case SetTimer():
                self.timers.pop(do.name, None)
                if do.after_ns is not None:
                    assert do.after_ns > 0
                    self.timers[do.name] = do.after_ns
            case RunProbe():
                assert self.alive and not self.frozen and not self.probe, "a probe that can't be run"
                self.probe = do.number
            case StopProbe():
                self.probe = 0
            case TearDown():
                assert self.sandbox and not self.alive and not self.tearing_down
                self.tearing_down = True
            case Delete():
                assert not self.sandbox and not self.launching and not self.deleting
                self.deleting = True
            case Answer():
                self.answers[do.waiter.command] += 1
            case Record():
                self.note(do)
            case LogError():
                raise AssertionError(do.text)

    def note(self, record: Record) -> None:
        for event in record.events:
            if event.noun == "container":
                self.seq += 1
                self.check_order(event)
                self.events.append(event.action)
        assert record.status.seq == self.seq, "seq grows by one with each container event"

    def check_order(self, event: Emit) -> None:
        """The order that `seaway_contracts.lifecycle` promises, `stop` standing before its `die` as Docker has it."""
        runs = self.starts > self.deaths
        assert "destroy" not in self.events, "nothing comes after destroy"
        assert (event.action == "create") == (not self.events), "create comes first"
        match event.action:
            case "start":
                assert not runs, "start of what runs"
                self.starts += 1
            case "die":
                assert runs, "die without start"
                self.deaths += 1
            case "kill" | "oom" | "pause" | "unpause" | "health_status":
                assert runs, f"{event.action} of what doesn't run"
            case "restart":
                assert self.events[-1] == "start"
            case "destroy":
                assert not runs, "destroy of what runs"

    # --- what users ask

    @rule()
    def start(self) -> None:
        self.carry_out(self.machine.start(self.ask()))

    @rule(timeout_s=TIMEOUTS)
    def stop(self, timeout_s: int | None) -> None:
        self.carry_out(self.machine.stop(self.ask(), timeout_s, None, self.now_ns))

    @rule(timeout_s=TIMEOUTS)
    def restart(self, timeout_s: int | None) -> None:
        self.carry_out(self.machine.restart(self.ask(), timeout_s, None, self.now_ns))

    @rule(signal=st.sampled_from([9, 15, 10]))
    def kill(self, signal: int) -> None:
        self.carry_out(self.machine.kill(self.ask(), signal, self.now_ns))

    @rule()
    def pause(self) -> None:
        """The shell freezes first and asks then; the answer may be to thaw again."""
        if self.alive:
            self.frozen = True
        self.carry_out(self.machine.pause(self.ask(), self.now_ns))

    @rule()
    def unpause(self) -> None:
        self.carry_out(self.machine.unpause(self.ask(), self.now_ns))

    @rule(force=st.booleans(), volumes=st.booleans())
    def remove(self, force: bool, volumes: bool) -> None:
        self.carry_out(self.machine.remove(self.ask(), force, volumes, self.now_ns))

    @rule(name=st.sampled_from(["one", "other"]))
    def rename(self, name: str) -> None:
        self.carry_out(self.machine.rename(self.ask(), name, self.now_ns))

    @rule(policy=st.sampled_from([None, RestartPolicy()]))
    def update(self, policy: RestartPolicy | None) -> None:
        self.carry_out(self.machine.update(self.ask(), Resources(cpu_shares=7), policy, self.now_ns))

    @rule(leaves=st.booleans())
    def change_networks(self, leaves: bool) -> None:
        """The shell plugs or unplugs it first, where it runs."""
        if leaves:
            self.carry_out(self.machine.disconnect(self.ask(), BACK.id, BACK.name, (), self.now_ns))
        else:
            made = Endpoint(network=BACK.name, network_id=BACK.id) if self.machine.live else None
            self.carry_out(self.machine.connect(self.ask(), IN_BACK, BACK, made, (), self.now_ns))

    # --- what the world does

    @precondition(lambda self: self.probe)
    @rule(code=st.sampled_from([0, 1]))
    def probe_ends(self, code: int) -> None:
        number, self.probe = self.probe, 0
        self.carry_out(self.machine.probed(number, Probe(started_ns=self.now_ns, ended_ns=self.now_ns, exit_code=code)))

    @rule(number=st.integers(0, 3))
    def an_old_probe_ends_late(self, number: int) -> None:
        if number < self.probe:
            before = self.machine.status
            assert self.machine.probed(number, Probe(exit_code=0)) == []
            assert self.machine.status == before

    @precondition(lambda self: self.launching)
    @rule(works=st.booleans())
    def launch_ends(self, works: bool) -> None:
        self.launching = False
        if works:
            self.alive = self.sandbox = True
            self.carry_out(self.machine.launched(Launched(7, self.now_ns, (ENDPOINT,))))
        else:
            self.carry_out(self.machine.launch_failed(internal("no"), 127, self.now_ns))

    @precondition(lambda self: self.alive)
    @rule(code=st.sampled_from([0, 1, 137]), oom=st.booleans())
    def process_ends(self, code: int, oom: bool) -> None:
        self.alive = self.frozen = False
        self.pending.clear()
        self.carry_out(self.machine.exited(Exit(code, self.now_ns, oom)))

    @precondition(lambda self: self.tearing_down)
    @rule()
    def torn_down(self) -> None:
        self.tearing_down = self.sandbox = False
        self.carry_out(self.machine.torn_down(self.now_ns))

    @precondition(lambda self: self.timers)
    @rule(data=st.data())
    def timer_fires(self, data: Any) -> None:
        name = data.draw(st.sampled_from(sorted(self.timers)))
        del self.timers[name]
        self.carry_out(self.machine.timer(name, self.now_ns))

    @precondition(lambda self: self.deleting)
    @rule(works=st.booleans())
    def delete_ends(self, works: bool) -> None:
        self.deleting = False
        if works:
            self.carry_out(self.machine.deleted(self.now_ns))
        else:
            self.carry_out(self.machine.delete_failed(internal("busy"), self.now_ns))

    # --- what must hold

    @invariant()
    def status_says_what_is(self) -> None:
        if not hasattr(self, "machine"):
            return
        status, phase = self.machine.status, self.machine.phase
        assert (status.state in (State.RUNNING, State.PAUSED)) == self.alive
        assert (status.state is State.PAUSED) == (phase is Phase.PAUSED) == self.frozen
        assert bool(status.pid) == self.alive
        assert bool(status.endpoints) == self.alive
        asked = [endpoint.network_id for endpoint in self.machine.spec.network.endpoints]
        assert len(set(asked)) == len(asked), "one endpoint in each network"
        assert (phase is Phase.LAUNCHING) == self.launching
        assert (phase is Phase.TEARING_DOWN) == self.tearing_down
        assert ("restart" in self.timers) == (phase is Phase.BACKING_OFF)

    @invariant()
    def health_is_looked_after_while_it_runs(self) -> None:
        if not hasattr(self, "machine"):
            return
        health, runs = self.machine.status.health, self.machine.phase is Phase.RUNNING
        assert not (self.probe and "health" in self.timers), "one probe at a time"
        assert runs or not (self.probe or "health" in self.timers)
        assert health is None or len(health.log) <= 5
        assert health is None or self.alive or health.status == "unhealthy"

    @invariant()
    def nobody_is_answered_twice(self) -> None:
        assert all(count <= 1 for count in self.answers.values())

    def teardown(self) -> None:
        """Let the world catch up: then everybody has an answer and each run its end."""
        if not hasattr(self, "machine"):
            return
        for _ in range(100):
            if all(self.answers.values()):
                break
            self.catch_up()
        unanswered = [command for command, count in self.answers.items() if count != 1]
        assert not unanswered, f"nobody answered {unanswered}; {self.machine.phase}: {self.machine.history}"
        assert self.starts - self.deaths == int(self.alive), "die comes exactly once per start"

    def catch_up(self) -> None:
        if self.launching:
            self.launch_ends(True)
        elif self.alive and not self.frozen and any(signal in DEADLY for signal in self.pending):
            self.process_ends(137, False)
        elif self.alive and self.frozen and self.pending:
            self.unpause()
        elif self.tearing_down:
            self.torn_down()
        elif self.deleting:
            self.delete_ends(True)
        elif self.timers.keys() - {"health"}:
            name = min(self.timers.keys() - {"health"})
            del self.timers[name]
            self.carry_out(self.machine.timer(name, self.now_ns))


World.TestCase.settings = settings(max_examples=150, stateful_step_count=30)
test_any_world = World.TestCase
