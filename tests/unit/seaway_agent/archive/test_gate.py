import asyncio

import pytest

from seaway_agent.archive.gate import RootfsGate


async def entered(context: object, told: list[str], word: str, leave: asyncio.Event) -> None:
    async with context:  # type: ignore[attr-defined]
        told.append(word)
        await leave.wait()


async def test_several_beside_each_other_and_one_alone() -> None:
    gate, told, leave = RootfsGate(), [], asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(entered(gate.beside(), told, "b1", leave))
        group.create_task(entered(gate.beside(), told, "b2", leave))
        await asyncio.sleep(0)
        group.create_task(entered(gate.alone(), told, "alone", leave))
        for _ in range(5):
            await asyncio.sleep(0)
        assert told == ["b1", "b2"]
        leave.set()
    assert told == ["b1", "b2", "alone"]


async def test_nobody_beside_one_alone() -> None:
    gate, told, leave, other = RootfsGate(), [], asyncio.Event(), asyncio.Event()
    other.set()
    async with asyncio.TaskGroup() as group:
        group.create_task(entered(gate.alone(), told, "alone", leave))
        await asyncio.sleep(0)
        group.create_task(entered(gate.beside(), told, "beside", other))
        for _ in range(5):
            await asyncio.sleep(0)
        assert told == ["alone"]
        leave.set()
    assert told == ["alone", "beside"]


async def test_one_that_gives_up_waiting_holds_nobody_up() -> None:
    gate = RootfsGate()
    async with gate.beside():
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.001), gate.alone():
                pass
    async with gate.alone():
        pass
