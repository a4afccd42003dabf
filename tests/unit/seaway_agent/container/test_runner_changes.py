"""A runner on the runtime's twin: updates, renames, the probes of its health check, and what does not fit."""

import asyncio
import errno
from collections.abc import Sequence
from typing import Any

import pytest
from tests.unit.seaway_agent.runner_bench import Bench, asking, remove, start, stop, until_idle

from seaway_agent.container import runner as runners
from seaway_agent.core.instructions import Launched
from seaway_agent.core.phases import Phase
from seaway_agent.runtime.fake import Script
from seaway_bus.bus import Command
from seaway_contracts.containers import Probe, Resources, RestartPolicy
from seaway_contracts.errors import SeawayError
from seaway_contracts.images import Healthcheck
from seaway_testing.waiting import until

MIB = 1 << 20
ALWAYS = RestartPolicy(name="always")


async def test_an_update_of_a_running_one_reaches_the_kernel_first(bench: Bench) -> None:
    runner = await bench.running()
    await runner.update(Command.new(), Resources(cpu_shares=7), ALWAYS)
    assert bench.runtime.limits == [Resources(cpu_shares=7)]
    assert (runner.spec.resources.cpu_shares, runner.spec.restart) == (7, ALWAYS)
    assert bench.journal.actions[-1] == "update"


async def test_an_update_of_a_stopped_one_is_for_its_next_run(bench: Bench) -> None:
    runner = await bench.make()
    await runner.update(Command.new(), Resources(cpu_shares=7), None)
    assert bench.runtime.limits == []
    assert runner.spec.resources.cpu_shares == 7


async def test_a_policy_alone_does_not_touch_the_kernel(bench: Bench) -> None:
    runner = await bench.running()
    await runner.update(Command.new(), Resources(), ALWAYS)
    assert bench.runtime.limits == []


async def test_what_the_kernel_refuses_changes_nothing(bench: Bench) -> None:
    busy = OSError(errno.EBUSY, "Device or resource busy", "memory.limit_in_bytes")
    runner = await bench.running(
        Script(fails={"limit": busy}), resources=Resources(memory=9 * MIB, memory_swap=18 * MIB)
    )
    with pytest.raises(SeawayError, match=f"unable to set memory limit to {8 * MIB}") as caught:
        await runner.update(Command.new(), Resources(memory=8 * MIB), ALWAYS)
    assert (caught.value.status, runner.spec.resources.memory, runner.spec.restart.name) == (500, 9 * MIB, "no")
    assert "update" not in bench.journal.actions


async def test_an_update_in_a_launch_waits_for_its_end(bench: Bench) -> None:
    gate = asyncio.Event()
    runner = await bench.make(Script(waits={"create": gate}))
    starting = start(runner)
    await until(lambda: runner.machine.phase is Phase.LAUNCHING)
    updating = asyncio.ensure_future(runner.update(Command.new(), Resources(cpu_shares=7), None))
    await asyncio.sleep(0)
    assert bench.runtime.limits == []
    gate.set()
    await starting
    await updating
    assert bench.runtime.limits == [Resources(cpu_shares=7)]


async def test_a_rename_goes_into_later_events(bench: Bench) -> None:
    runner = await bench.running()
    await runner.rename(Command.new(), "other")
    assert (runner.spec.name, bench.journal.actions[-1]) == ("other", "rename")
    await remove(runner, force=True)
    assert bench.journal.actions[-1] == "destroy"


# --- probes


class Probes:
    """Stands in for execs: what was asked for, and an answer that a test gives."""

    def __init__(self) -> None:
        self.asked: list[tuple[Sequence[str], int]] = []
        self.cancelled = 0
        self._answer: asyncio.Future[Probe] | None = None

    async def run(self, _: Any, argv: Sequence[str], timeout_ns: int) -> Probe:
        self.asked.append((argv, timeout_ns))
        self._answer = asyncio.get_running_loop().create_future()
        try:
            return await self._answer
        except asyncio.CancelledError:
            self.cancelled += 1
            raise

    def answer(self, code: int) -> None:
        assert self._answer is not None
        self._answer.set_result(Probe(started_ns=1, ended_ns=2, exit_code=code))


@pytest.fixture
def probes(monkeypatch: pytest.MonkeyPatch) -> Probes:
    made = Probes()
    monkeypatch.setattr(runners, "probe", made.run)
    return made


async def checked(bench: Bench) -> Any:
    return await bench.running(healthcheck=Healthcheck(test=("CMD", "ok?"), interval_ns=10**9, retries=1))


async def test_a_probe_is_run_when_it_is_due(bench: Bench, probes: Probes) -> None:
    runner = await checked(bench)
    assert "health" in bench.timers.running
    bench.timers.run_out("health")
    await until(lambda: probes.asked)
    assert probes.asked == [(("ok?",), 30 * 10**9)]
    probes.answer(0)
    await until(lambda: "health" in bench.timers.running)
    assert (runner.status.health.status, bench.journal.actions[-1]) == ("healthy", "health_status")


async def test_the_end_of_the_run_ends_its_probe(bench: Bench, probes: Probes) -> None:
    runner = await checked(bench)
    bench.timers.run_out("health")
    await until(lambda: probes.asked)
    bench.runtime.end(0)
    await until_idle(runner)
    await until(lambda: probes.cancelled == 1)
    assert "health" not in bench.timers.running
    assert "health_status" not in bench.journal.actions


async def test_the_end_of_the_agent_ends_its_probe(bench: Bench, probes: Probes) -> None:
    runner = await checked(bench)
    bench.timers.run_out("health")
    await until(lambda: probes.asked)
    runner.close()
    await until(lambda: probes.cancelled == 1)


# --- what does not fit


async def test_a_report_that_does_not_fit_breaks_its_container_alone(
    bench: Bench, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who waits gets the error, the history is logged, and a forced removal kills, tears down and deletes."""
    ended: list[BaseException] = []
    monkeypatch.setattr(bench.tasks, "_on_failure", ended.append)
    runner = await bench.running(Script(ignores=frozenset({15})))
    stopping = stop(runner)
    await until(lambda: "signal 15" in bench.runtime.calls)
    runner.do(runner.machine.launched(Launched(7, 8)))
    with pytest.raises(SeawayError, match="lost track of container"):
        await stopping
    assert "is running at 'launched'; it went: idle → launching, launching → running" in caplog.text
    with pytest.raises(SeawayError, match="remove it by force"):
        await start(runner)
    assert runner.machine.may_write
    renamed = await asking(runner, lambda waiter: runner.machine.rename(waiter, "other", 5))
    assert "lost track of container" in renamed.error
    await remove(runner, force=True)
    assert bench.runtime.calls[-3:] == ["signal 9", "thaw", "clean_up"]
    assert bench.runtime.run is None
    assert bench.journal.actions[-5:] == ["status", "rename", "kill", "die", "destroy"]
    assert (bench.gone, ended) == ([runner], [])


async def test_a_container_that_breaks_during_its_launch_is_torn_down_behind_that(bench: Bench) -> None:
    gate = asyncio.Event()
    runner = await bench.make(Script(waits={"create": gate}))
    starting = start(runner)
    await until(lambda: bench.runtime.calls == ["create"])
    runner.do(runner.machine.torn_down(5))
    with pytest.raises(SeawayError, match="lost track of container"):
        await starting
    removing = remove(runner, force=True)
    await asyncio.sleep(0)
    assert bench.runtime.calls == ["create"]
    gate.set()
    await removing
    assert bench.runtime.calls == ["create", "start", "watch", "clean_up"]
    assert bench.gone == [runner]
