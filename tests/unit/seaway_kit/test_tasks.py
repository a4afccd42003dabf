"""Tasks with an owner."""

import asyncio
import sys

import pytest

from seaway_kit.tasks import Tasks
from seaway_testing.waiting import until


async def test_an_eternal_task_that_ends_ends_its_owner() -> None:
    reasons: list[BaseException] = []
    tasks = Tasks("owner", reasons.append)

    async def end() -> None:
        return

    assert not tasks.failed
    tasks.eternal("short", end())
    await until(lambda: reasons)
    assert tasks.failed and "short" in str(reasons[0])


async def test_an_owner_that_can_t_go_on() -> None:
    reasons: list[BaseException] = []
    tasks = Tasks("owner", reasons.append)
    error = OSError("the disk is full")
    tasks.fail(error)
    assert tasks.failed and reasons == [error]


async def test_an_orderly_end_is_no_failure() -> None:
    reasons: list[BaseException] = []
    tasks = Tasks("owner", reasons.append)
    tasks.eternal("long", asyncio.Event().wait())  # type: ignore[arg-type]
    tasks.spawn("failing", asyncio.wait_for(asyncio.Event().wait(), 0))
    await asyncio.sleep(0)
    await tasks.close()
    assert not tasks.failed and reasons == [] and len(tasks) == 0


@pytest.mark.skipif(sys.version_info < (3, 12), reason="Python begins tasks a turn later before 3.12")
async def test_work_that_begins_at_once() -> None:
    tasks = Tasks("owner")
    go_on, steps = asyncio.Event(), []

    async def work() -> int:
        steps.append("begun")
        await go_on.wait()
        steps.append("gone on")
        return 7

    task = tasks.begin("work", work())
    assert steps == ["begun"] and len(tasks) == 1
    go_on.set()
    assert await task == 7
    await until(lambda: len(tasks) == 0)


async def test_work_that_ends_in_its_first_step(caplog: pytest.LogCaptureFixture) -> None:
    tasks = Tasks("owner")

    async def work(result: int) -> int:
        return 10 // result

    assert await tasks.begin("work", work(5)) == 2
    tasks.begin("failing", work(0))
    await until(lambda: "failing failed" in caplog.text)
    await until(lambda: len(tasks) == 0)
