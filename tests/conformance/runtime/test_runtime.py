"""What every runtime must do, whatever it is made of."""

import asyncio
import signal
from dataclasses import replace
from pathlib import Path

import pytest
from tests.conformance.runtime.worlds import SLEEPS, SLEEPS_AS_ANY, Program, World, exits

from seaway_agent.runtime.failures import runtime_failure
from seaway_agent.runtime.fake import Script
from seaway_agent.streams.console import Console
from seaway_agent.streams.spill import SpillStore
from seaway_contracts.errors import SeawayError, internal
from seaway_kit.tasks import Tasks

ABSENT = Program(
    ("no-such-program",),
    Script(fails={"create": runtime_failure('exec: "no-such-program": executable file not found in $PATH')}),
)


@pytest.mark.parametrize("code", [0, 7, 255])
async def test_the_exit_code_is_told(world: World, code: int) -> None:
    box = await world.make(exits(code))
    how = await box.ran()
    assert (how.code, how.oom) == (code, False)


@pytest.mark.parametrize(
    ("program", "number", "code"),
    [(SLEEPS, signal.SIGKILL, 137), (SLEEPS_AS_ANY, signal.SIGTERM, 143), (SLEEPS_AS_ANY, signal.SIGKILL, 137)],
)
async def test_an_end_by_signal_is_told_as_128_and_its_number(
    world: World, program: Program, number: int, code: int
) -> None:
    box = await world.make(program)
    await box.started()
    box.runtime.signal(number)
    assert (await box.end()).code == code
    await box.clean_up()


async def test_signals_that_are_ignored_change_nothing(world: World) -> None:
    box = await world.make(SLEEPS)
    await box.started()
    for number in (signal.SIGHUP, signal.SIGTERM, 35, 36, 64):
        box.runtime.signal(number)
    box.runtime.check()
    assert box.ends == []
    box.runtime.signal(signal.SIGKILL)
    assert (await box.end()).code == 137
    await box.clean_up()


async def test_an_end_is_told_once(world: World) -> None:
    box = await world.make(exits(3))
    await box.started()
    await box.end()
    for _ in range(3):
        box.runtime.check()
        await asyncio.sleep(0)
    assert len(box.ends) == 1
    await box.clean_up()
    box.runtime.check()
    assert len(box.ends) == 1


async def test_an_end_before_anybody_watches_is_told_by_watch(world: World) -> None:
    box = await world.make(exits(5))
    await box.create()
    await box.runtime.start()
    await world.over(box)
    box.runtime.check()
    assert box.ends == []
    box.watch()
    assert [how.code for how in box.ends] == [5]
    await box.clean_up()


async def test_nothing_runs_before_the_start(world: World) -> None:
    box = await world.make(exits(0))
    run = await box.create()
    box.watch()
    box.runtime.check()
    assert run.pid > 0
    assert box.ends == []
    await box.runtime.start()
    await box.end()
    await box.clean_up()


async def test_a_refused_create_leaves_nothing_and_the_next_one_works(world: World) -> None:
    box = await world.make(ABSENT, exits(6))
    with pytest.raises(SeawayError, match=r'exec: "no-such-program": executable file not found in \$PATH: unknown$'):
        await box.started()
    await box.clean_up()
    assert box.runtime.run is None
    assert world.left() == []
    assert (await box.ran()).code == 6


async def test_a_container_killed_before_its_start_does_not_start(world: World) -> None:
    fails = Script(fails={"start": internal("the container's init ended before its program could be started")})
    box = await world.make(replace(SLEEPS, script=fails))
    await box.create()
    await world.kill_before_start(box)
    with pytest.raises(SeawayError):
        await box.runtime.start()
    assert box.runtime.run is not None
    await box.clean_up()
    assert box.runtime.run is None
    assert box.ends == []


async def test_a_signal_to_one_that_has_ended_or_never_was_does_nothing(world: World) -> None:
    box = await world.make(exits(0))
    box.runtime.signal(signal.SIGKILL)
    await box.started()
    await box.end()
    box.runtime.signal(signal.SIGKILL)
    await box.clean_up()
    box.runtime.signal(signal.SIGKILL)
    assert [how.code for how in box.ends] == [0]


async def test_clean_up_without_a_run_and_twice(world: World) -> None:
    box = await world.make(exits(0))
    await box.clean_up()
    await box.ran()
    await box.clean_up()
    assert world.left() == []


async def test_runs_after_one_another(world: World) -> None:
    box = await world.make(exits(1), exits(2), exits(3))
    codes = [(await box.ran()).code for _ in range(3)]
    assert codes == [1, 2, 3]
    assert len(box.ends) == 3


async def test_two_at_once(world: World) -> None:
    one, two = await asyncio.gather(world.make(exits(1)), world.make(SLEEPS))
    await asyncio.gather(one.started(), two.started())
    assert (await one.end()).code == 1
    await one.clean_up()
    assert two.ends == []
    two.runtime.signal(signal.SIGKILL)
    assert (await two.end()).code == 137
    await two.clean_up()


@pytest.mark.parametrize("step", ["created", "started", "watched", "frozen"])
async def test_clean_up_ends_what_still_runs(world: World, step: str) -> None:
    box = await world.make(SLEEPS)
    await box.create()
    if step != "created":
        await box.runtime.start()
    if step in ("watched", "frozen"):
        box.watch()
    if step == "frozen":
        await box.runtime.freeze()
    await box.clean_up()
    assert box.runtime.run is None
    assert world.left() == []


async def test_a_frozen_one_goes_on_when_it_is_thawed(world: World) -> None:
    box = await world.make(SLEEPS)
    await box.started()
    await box.runtime.freeze()
    box.runtime.check()
    assert box.ends == []
    box.runtime.signal(signal.SIGKILL)
    box.runtime.thaw()
    assert (await box.end()).code == 137
    await box.clean_up()


async def test_freeze_and_thaw_without_a_run(world: World) -> None:
    box = await world.make(SLEEPS)
    with pytest.raises(OSError):
        await box.runtime.freeze()
    box.runtime.thaw()


async def test_console_and_terminal_without_a_run(world: World, tmp_path: Path, tasks: Tasks) -> None:
    box = await world.make(SLEEPS)
    console = Console(box.id, tty=False, stdin=False, stdin_once=False, spill=SpillStore(tmp_path), tasks=tasks)
    with pytest.raises(OSError):
        box.runtime.connect_console(console)
    with pytest.raises(OSError):
        box.runtime.resize(24, 80)


async def test_a_killed_shim_loses_at_most_the_code(world: World) -> None:
    box = await world.make(SLEEPS)
    await box.started()
    await world.kill_shim(box)
    box.runtime.check()
    assert box.ends == []
    world.kill(box)
    how = await box.end()
    assert how.code in (137, -1)
    assert len(box.ends) == 1
    await box.clean_up()
