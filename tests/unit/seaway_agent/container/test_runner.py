"""A runner on the runtime's twin: what it asks for, in which order, and who is answered what."""

import asyncio
import logging
import socket
from pathlib import Path
from typing import Any

import pytest
from tests.unit.seaway_agent.runner_bench import ABSENT, Bench, asking, remove, start, stop, until_idle

from seaway_agent.core.phases import Phase
from seaway_agent.runtime.fake import Script
from seaway_agent.streams.stdio import any_unaccepted
from seaway_bus.bus import Command
from seaway_bus.streams import ByteStream, new_stream_id
from seaway_contracts.containers import Command as Process
from seaway_contracts.containers import LogConfig, State
from seaway_contracts.errors import Code, SeawayError, internal
from seaway_docker.stdcopy import frame
from seaway_testing.waiting import until

STEPS = ["create", "start", "watch"]


# --- launches


async def test_a_start_creates_starts_and_watches_in_this_order(bench: Bench) -> None:
    runner = await bench.make()
    status = await start(runner)
    assert bench.runtime.calls == STEPS
    assert bench.runtime.warmed == 1
    assert (status.state, status.endpoints[0].network) == (State.RUNNING, "bridge")
    assert bench.runtime.run is not None
    assert status.pid == bench.runtime.run.pid
    assert bench.journal.actions == ["create", "start"]


async def test_an_end_is_cleaned_up_and_told(bench: Bench) -> None:
    runner = await bench.running()
    bench.runtime.end(7)
    await until_idle(runner)
    assert (runner.status.state, runner.status.exit_code, runner.status.pid) == (State.EXITED, 7, 0)
    assert bench.runtime.calls == [*STEPS, "clean_up"]
    assert bench.journal.actions == ["create", "start", "die"]


async def test_an_end_before_start_returns_comes_after_the_start(bench: Bench) -> None:
    runner = await bench.make(Script(exits=3, oom=True))
    status = await start(runner)
    assert status.state is State.RUNNING
    await until_idle(runner)
    assert bench.journal.actions == ["create", "start", "oom", "die"]
    assert runner.status.finished_ns >= runner.status.started_ns > 0


@pytest.mark.parametrize("driver", ["json-file", "none"])
async def test_output_of_a_program_that_ends_before_conmon_has_accepted_the_client(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, driver: str
) -> None:
    """It is read in the log; where there is none, the start waits for conmon."""
    runner = await bench.make(log=LogConfig(driver=driver))
    name = new_stream_id()
    client = await ByteStream(bench.bus.transport, name, "opening", bench.tasks).open()
    serving = await ByteStream(bench.bus.transport, name, "serving", bench.tasks).open()
    runner.console.attach(serving, stdin=False, stdout=True, stderr=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as conmon:
        conmon.bind(str(tmp_path / "attach"))
        conmon.listen()
        monkeypatch.setattr(bench.runtime, "connect_console", lambda console: console.connect(tmp_path))
        starting = start(runner)
        if driver == "none":
            await until(lambda: any_unaccepted(Path("/proc/net/unix").read_bytes()))
            assert "start" not in bench.runtime.calls
            peer = conmon.accept()[0]
            peer.send(b"\x02quick\n")
            peer.close()
        await starting
        if driver == "json-file":
            bench.layout.log(runner.spec.id).write_bytes(b"2026-01-01T00:00:00.000000001+00:00 stdout F quick\n")
        bench.runtime.end(0)
        assert await client.read() == frame(1, b"quick\n")
        assert await client.read() == b""
    await until_idle(runner)
    await client.close()


async def test_a_killed_shim_leaves_an_unknown_code(bench: Bench) -> None:
    runner = await bench.running()
    bench.runtime.kill_shim()
    runner.exit_seen()
    assert runner.status.state is State.RUNNING
    bench.runtime.end(5)
    await until_idle(runner)
    assert runner.status.exit_code == -1


@pytest.mark.parametrize(
    ("error", "code", "part"),
    [
        (ABSENT, 127, "executable file not found"),
        (FileNotFoundError(2, "No such file or directory"), 127, "No such file or directory"),
        (PermissionError(13, "Permission denied"), 126, "Permission denied"),
        (internal("permission denied, says who?"), 128, "says who"),
        (OSError(28, "No space left on device"), 128, "No space left on device"),
        (ValueError("unknown user nobody"), 128, "unknown user nobody"),
        (RuntimeError("what nobody foresaw"), 128, "what nobody foresaw"),
    ],
)
async def test_a_failed_create_is_answered_and_leaves_nothing(
    bench: Bench, error: Exception, code: int, part: str
) -> None:
    runner = await bench.make(Script(fails={"create": error}), Script())
    with pytest.raises(SeawayError, match=part):
        await start(runner)
    assert (runner.status.state, runner.status.exit_code) == (State.CREATED, code)
    assert part in runner.status.error
    assert bench.runtime.calls == ["create"]
    status = await start(runner)
    assert (status.state, status.error, status.exit_code) == (State.RUNNING, "", 0)


@pytest.mark.parametrize("step", ["start", "connect_console"])
async def test_what_was_created_and_cant_be_started_is_cleaned_up(bench: Bench, step: Any) -> None:
    process = Process(cmd=("cat",), open_stdin=True)
    runner = await bench.make(Script(fails={step: OSError("broken pipe")}), command=process)
    with pytest.raises(SeawayError, match="broken pipe"):
        await start(runner)
    assert bench.runtime.calls[-2:] == [step, "clean_up"]
    assert bench.runtime.run is None
    assert runner.machine.phase is Phase.IDLE


async def test_everybody_who_waits_gets_the_failure(bench: Bench) -> None:
    held = asyncio.Event()
    runner = await bench.make(Script(waits={"create": held}, fails={"create": ABSENT}))
    starts = [start(runner), start(runner)]
    await until(lambda: bench.runtime.calls == ["create"])
    held.set()
    answers = await asyncio.gather(*starts, return_exceptions=True)
    assert answers == [ABSENT, ABSENT]


async def test_a_failed_clean_up_after_a_failed_start_is_logged(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    fails = {"start": OSError("no start"), "clean_up": SeawayError(Code.INTERNAL, "its cgroup is busy")}
    runner = await bench.make(Script(fails=fails))  # type: ignore[arg-type]
    with caplog.at_level(logging.ERROR), pytest.raises(SeawayError, match="no start"):
        await start(runner)
    assert "its cgroup is busy" in caplog.text


# --- commands


async def test_a_command_twice_does_its_work_once(bench: Bench) -> None:
    runner, command = await bench.make(), Command.new()
    first, second = await asyncio.gather(start(runner, command), start(runner, command))
    assert first == second
    assert bench.runtime.calls == STEPS
    assert bench.journal.actions == ["create", "start"]


async def test_a_caller_that_gives_up_does_not_stop_the_work(bench: Bench) -> None:
    held = asyncio.Event()
    runner, command = await bench.make(Script(waits={"create": held})), Command.new()
    first = start(runner, command)
    await until(lambda: bench.runtime.calls)
    first.cancel()
    repeated = start(runner, command)
    held.set()
    assert (await repeated).state is State.RUNNING
    assert bench.runtime.calls.count("create") == 1


async def test_stop_signals_and_kills_when_the_time_is_up(bench: Bench) -> None:
    runner = await bench.running(Script(ignores=frozenset({15})))
    stopping = stop(runner, 10)
    await until(lambda: bench.timers.running == {"stop"})
    assert bench.timers.set == [(10.0, "stop")]
    bench.timers.run_out("stop")
    assert (await stopping).exit_code == 137
    await until_idle(runner)
    assert bench.runtime.calls[len(STEPS) :] == ["signal 15", "signal 9", "clean_up"]
    assert bench.timers.running == set()


async def test_a_real_time_signal_goes_through(bench: Bench) -> None:
    runner = await bench.running()
    await asking(runner, lambda waiter: runner.machine.kill(waiter, 36, 5))
    assert "signal 36" in bench.runtime.calls


async def test_stop_while_launching_stops_what_comes_of_it(bench: Bench) -> None:
    held = asyncio.Event()
    runner = await bench.make(Script(waits={"start": held}))
    starting = start(runner)
    await until(lambda: bench.runtime.calls[-1:] == ["start"])
    stopping = stop(runner)
    await asyncio.sleep(0)
    held.set()
    assert (await starting).state is State.RUNNING
    assert (await stopping).exit_code == 143


@pytest.mark.parametrize("step", ["create", "start"])
async def test_remove_while_launching(bench: Bench, step: Any) -> None:
    held = asyncio.Event()
    runner = await bench.make(Script(waits={step: held}))
    starting = start(runner)
    await until(lambda: bench.runtime.calls[-1:] == [step])
    removing = remove(runner, force=True)
    await asyncio.sleep(0)
    held.set()
    await asyncio.gather(starting, removing)
    assert bench.gone == [runner]
    assert bench.runtime.run is None
    assert bench.journal.actions == ["create", "start", "kill", "die", "destroy"]
    assert not bench.uppers.locate(runner.spec.id).path.exists()


async def test_remove_while_a_launch_fails(bench: Bench) -> None:
    held = asyncio.Event()
    runner = await bench.make(Script(waits={"create": held}, fails={"create": ABSENT}))
    starting = start(runner)
    await until(lambda: bench.runtime.calls)
    removing = remove(runner, force=True)
    await asyncio.sleep(0)
    held.set()
    with pytest.raises(SeawayError, match="executable file"):
        await starting
    await removing
    assert bench.gone == [runner]


async def test_pause_and_unpause(bench: Bench) -> None:
    runner = await bench.running()
    assert (await runner.pause(Command.new())).state is State.PAUSED
    assert bench.runtime.frozen
    await asking(runner, lambda waiter: runner.machine.unpause(waiter, 5))
    assert not bench.runtime.frozen
    assert runner.status.state is State.RUNNING


async def test_a_paused_one_is_stopped(bench: Bench) -> None:
    runner = await bench.running()
    await runner.pause(Command.new())
    assert (await stop(runner)).exit_code == 143
    assert not bench.runtime.frozen


async def test_what_cant_be_frozen_goes_on(bench: Bench) -> None:
    runner = await bench.running(Script(fails={"freeze": TimeoutError("a process hangs")}))
    with pytest.raises(SeawayError, match="can't be paused: a process hangs"):
        await runner.pause(Command.new())
    assert runner.status.state is State.RUNNING


async def test_an_end_while_it_is_being_frozen(bench: Bench) -> None:
    held = asyncio.Event()
    runner = await bench.running(Script(waits={"freeze": held}))
    pausing = asyncio.ensure_future(runner.pause(Command.new()))
    await until(lambda: bench.runtime.calls[-1:] == ["freeze"])
    bench.runtime.end(0)
    held.set()
    with pytest.raises(SeawayError) as refusal:
        await pausing
    assert "can't be paused" in refusal.value.message or "not running" in refusal.value.message
    await until_idle(runner)


async def test_the_terminal_is_sized_while_it_runs(bench: Bench) -> None:
    runner = await bench.make()
    with pytest.raises(OSError):
        runner.resize(Command.new(), 24, 80)
    await start(runner)
    runner.resize(Command.new(), 24, 80)
    assert bench.runtime.size == (24, 80)
    assert bench.journal.actions == ["create", "start", "resize"]
