"""Tasks with an owner."""

import asyncio

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
