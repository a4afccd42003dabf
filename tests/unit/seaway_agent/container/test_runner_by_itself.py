"""A runner on the runtime's twin: what it does by itself, its clients, and the agents before and after."""

import asyncio
import logging
from unittest.mock import Mock

import pytest
from tests.unit.seaway_agent.runner_bench import ABSENT, Bench, remove, start, stop, until_idle

from seaway_agent.container.runner import ContainerRunner
from seaway_agent.core.machine import Machine
from seaway_agent.core.phases import Phase
from seaway_agent.core.restart import FIRST_NS, LONGEST_NS
from seaway_agent.runtime.fake import FakeRuntime, Script
from seaway_bus.bus import Command
from seaway_bus.streams import ByteStream, new_stream_id
from seaway_contracts.containers import Command as Process
from seaway_contracts.containers import Mount, RestartPolicy, State
from seaway_contracts.errors import Code, SeawayError
from seaway_testing.waiting import GUARD_S, until

STEPS = ["create", "start", "watch"]


# --- by itself


async def test_a_restart_policy_waits_longer_each_time(bench: Bench) -> None:
    policy = RestartPolicy(name="on-failure", max_retries=2)
    runner = await bench.running(Script(exits=1), restart=policy)
    for count in (1, 2):
        await until_idle(runner, Phase.BACKING_OFF)
        assert bench.timers.set[-1] == (FIRST_NS / 1e9 * count, "restart")
        bench.timers.run_out("restart")
    await until_idle(runner)
    assert (runner.status.restart_count, runner.status.state, runner.status.exit_code) == (2, State.EXITED, 1)
    assert bench.journal.actions == ["create", *["start", "die"] * 3]
    assert bench.runtime.calls.count("clean_up") == 3


async def test_restarts_are_slow_while_the_outbox_is_full(bench: Bench) -> None:
    """What happens to a container is always written down, so it is to happen seldom."""
    runner = await bench.make(Script(exits=1), restart=RestartPolicy(name="always"))
    bench.journal._outbox.bound = 0
    await start(runner)
    await until_idle(runner, Phase.BACKING_OFF)
    assert bench.timers.set[-1] == (LONGEST_NS / 1e9, "restart")
    bench.journal._outbox.bound = 1 << 30
    bench.timers.run_out("restart")
    await until_idle(runner, Phase.BACKING_OFF)
    assert bench.timers.set[-1][0] < 1


async def test_a_restart_that_fails_is_the_end(bench: Bench) -> None:
    scripts = (Script(exits=1), Script(fails={"create": ABSENT}))
    runner = await bench.running(*scripts, restart=RestartPolicy(name="always"))
    await until_idle(runner, Phase.BACKING_OFF)
    bench.timers.run_out("restart")
    await until_idle(runner)
    assert (runner.status.state, runner.status.exit_code) == (State.EXITED, 127)


async def test_stop_while_it_backs_off_takes_the_timer_away(bench: Bench) -> None:
    runner = await bench.running(Script(exits=1), restart=RestartPolicy(name="always"))
    await until_idle(runner, Phase.BACKING_OFF)
    assert (await stop(runner)).state is State.EXITED
    assert bench.timers.running == set()


async def test_auto_remove_after_the_end(bench: Bench) -> None:
    runner = await bench.running(Script(exits=0), auto_remove=True)
    await until(lambda: bench.gone)
    assert bench.gone == [runner]
    assert bench.journal.actions == ["create", "start", "die", "destroy"]


async def test_auto_remove_after_a_failed_launch(bench: Bench) -> None:
    runner = await bench.make(Script(fails={"create": ABSENT}), auto_remove=True)
    with pytest.raises(SeawayError):
        await start(runner)
    await until(lambda: bench.gone)
    assert bench.journal.actions[-1] == "destroy"


@pytest.mark.parametrize("error", [SeawayError(Code.INTERNAL, "its cgroup is busy"), KeyError("its cgroup is busy")])
async def test_a_failed_clean_up_is_logged_and_the_container_goes_on(
    bench: Bench, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    runner = await bench.running(Script(fails={"clean_up": error}))
    with caplog.at_level(logging.ERROR):
        bench.runtime.end(0)
        await until_idle(runner)
    assert "its cgroup is busy" in caplog.text
    assert (await start(runner)).state is State.RUNNING


async def test_a_start_during_the_clean_up_waits_for_it(bench: Bench) -> None:
    held = asyncio.Event()
    runner = await bench.running(Script(waits={"clean_up": held}), Script())
    bench.runtime.end(0)
    await until(lambda: bench.runtime.calls[-1:] == ["clean_up"])
    again = start(runner)
    await asyncio.sleep(0)
    assert bench.runtime.calls.count("create") == 1
    held.set()
    assert (await again).run == 2


async def test_what_cant_be_deleted_is_dead_and_can_be_tried_again(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def busy(*_: object, **__: object) -> None:
        raise OSError("device is busy")

    anonymous = Mount(type="volume", target="/data", source="v1", anonymous=True)
    runner = await bench.make(mounts=(anonymous,))
    monkeypatch.setattr(bench.volumes, "release", busy)
    with pytest.raises(SeawayError, match="can't be removed: device is busy"):
        await remove(runner)
    assert runner.status.state is State.DEAD
    monkeypatch.undo()
    await remove(runner)
    assert bench.gone == [runner]


# --- clients and agents


async def client_of(bench: Bench, runner: ContainerRunner) -> ByteStream:
    name = new_stream_id()
    client = await ByteStream(bench.bus.transport, name, "opening", bench.tasks).open()
    served = await ByteStream(bench.bus.transport, name, "serving", bench.tasks).open()
    runner.console.attach(served, stdin=True, stdout=True, stderr=True)
    return client


async def test_attached_clients_are_let_go_when_the_launch_fails(bench: Bench) -> None:
    runner = await bench.make(Script(fails={"create": ABSENT}))
    client = await client_of(bench, runner)
    with pytest.raises(SeawayError):
        await start(runner)
    assert await asyncio.wait_for(client.read(), GUARD_S) == b""
    await client.close()


async def test_attached_clients_are_let_go_at_the_end(bench: Bench) -> None:
    runner = await bench.make()
    client = await client_of(bench, runner)
    await start(runner)
    assert bench.runtime.calls == ["create", "connect_console", "start", "watch"]
    bench.runtime.end(0)
    assert await asyncio.wait_for(client.read(), GUARD_S) == b""
    await client.close()


async def test_who_has_read_to_the_end_may_remove_it_and_kills_nothing(bench: Bench) -> None:
    runner = await bench.make()
    client = await client_of(bench, runner)
    await start(runner)
    bench.runtime.end(0)
    assert await asyncio.wait_for(client.read(), GUARD_S) == b""
    await remove(runner)
    assert bench.journal.actions == ["create", "start", "die", "destroy"]
    await client.close()


async def test_a_console_is_joined_only_where_somebody_needs_it(bench: Bench) -> None:
    once = Process(cmd=("cat",), open_stdin=True, stdin_once=True)
    await bench.running(command=once)
    assert "connect_console" not in bench.runtime.calls
    await bench.running(command=Process(cmd=("cat",), open_stdin=True))
    assert bench.runtime.calls[:2] == ["create", "connect_console"]


async def test_a_run_of_an_earlier_agent_is_adopted(bench: Bench) -> None:
    old = await bench.running()
    run = bench.runtime.run
    assert run is not None
    twin = FakeRuntime()
    runner = bench.runner(Machine(old.spec, old.status, Phase.RUNNING), twin)
    old.close()
    assert bench.runtime.run is None
    runner.adopt(run)
    assert runner.machine.may_write
    twin.end(9)
    await until_idle(runner)
    assert runner.status.exit_code == 9


async def test_close_takes_the_timers_away(bench: Bench) -> None:
    runner = await bench.running(Script(ignores=frozenset({15})))
    stopping = stop(runner)
    await until(lambda: bench.timers.running)
    runner.close()
    assert bench.timers.running == set()
    stopping.cancel()


async def test_joining_the_console_is_told(bench: Bench) -> None:
    runner = await bench.make()
    await client_of(bench, runner)
    runner.attached(Command.new(), follows=True)
    await start(runner)
    assert bench.journal.actions == ["create", "attach", "start"]


async def test_what_cant_be_written_down_ends_the_agent(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    ended: list[BaseException] = []
    monkeypatch.setattr(bench.tasks, "_on_failure", ended.append)
    runner = await bench.running()
    full = SeawayError(Code.NO_SPACE, "no space")
    monkeypatch.setattr(bench.journal, "write", Mock(side_effect=full))
    with pytest.raises(SeawayError, match="no space"):
        await stop(runner)
    assert ended == [full]


async def test_a_container_that_cant_be_written_down_is_only_refused(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended: list[BaseException] = []
    monkeypatch.setattr(bench.tasks, "_on_failure", ended.append)
    monkeypatch.setattr(bench.journal, "write", Mock(side_effect=SeawayError(Code.NO_SPACE, "no space")))
    with pytest.raises(SeawayError, match="no space"):
        await bench.make()
    assert ended == []
