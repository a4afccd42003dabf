"""Commands that wait for their outcome."""

import asyncio

import pytest

from seaway_agent.container.answers import Answers
from seaway_agent.core.instructions import Answer, Waiter
from seaway_bus.bus import Command
from seaway_contracts.containers import ContainerStatus
from seaway_contracts.errors import SeawayError, conflict

DONE = ContainerStatus(pid=7)


async def test_a_repeat_waits_for_the_same_outcome() -> None:
    begun: list[Waiter] = []
    answers, command = Answers(lambda: None), Command.new()
    first, second = (asyncio.ensure_future(answers.of(command, begun.append)) for _ in range(2))
    await asyncio.sleep(0)
    assert begun == [Waiter(command.id, command.actor)]
    answers.give(Answer(begun[0], DONE))
    assert await first == await second == DONE


async def test_what_cannot_begin_is_raised_and_can_be_tried_again() -> None:
    def refuse(_: Waiter) -> None:
        raise conflict("not now")

    answers, command = Answers(lambda: None), Command.new()
    with pytest.raises(SeawayError, match="not now"):
        await answers.of(command, refuse)
    assert await answers.of(command, lambda waiter: answers.give(Answer(waiter, DONE))) == DONE


async def test_an_error_is_raised() -> None:
    answers = Answers(lambda: None)
    with pytest.raises(SeawayError, match="it broke"):
        await answers.of(Command.new(), lambda waiter: answers.give(Answer(waiter, DONE, conflict("it broke"))))


async def test_an_answer_comes_behind_the_events_of_its_outcome() -> None:
    sent: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    answers = Answers(lambda: sent)
    waiting = asyncio.ensure_future(answers.of(Command.new(), lambda waiter: answers.give(Answer(waiter, DONE))))
    for _ in range(3):
        await asyncio.sleep(0)
    assert not waiting.done()
    sent.set_result(None)
    assert await waiting == DONE


async def test_who_waits_no_longer_takes_the_outcome_from_nobody() -> None:
    begun: list[Waiter] = []
    answers, command = Answers(lambda: None), Command.new()
    first, second = (asyncio.ensure_future(answers.of(command, begun.append)) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.sleep(0)
    answers.give(Answer(begun[0], DONE))
    assert await second == DONE
