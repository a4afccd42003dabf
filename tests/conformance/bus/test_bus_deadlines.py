"""Calls that are answered too late, and commands that come too late."""

import asyncio
import time
from typing import Any

import pytest

from seaway_bus import bus as bus_module
from seaway_bus import deadlines
from seaway_bus.bus import Bus, Command
from seaway_contracts.base import Empty
from seaway_contracts.catalogue import LIST_NODES, START
from seaway_contracts.commands import ContainerId, StatusReply
from seaway_contracts.errors import Code, SeawayError
from seaway_contracts.nodes import NodeList
from seaway_testing.builders import status
from seaway_testing.waiting import until


async def test_no_answer_in_time(client: Bus, server: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bus_module, "_GRACE_S", 0.05)

    async def sleep(request: Empty, command: Command) -> NodeList:
        await asyncio.Event().wait()
        raise AssertionError

    await server.serve(LIST_NODES, sleep)
    await server.transport.flush()
    with pytest.raises(SeawayError) as caught:
        await client.call(LIST_NODES, Empty(), timeout_s=0.1)
    assert caught.value.code == Code.TIMEOUT and "node.list" in caught.value.message
    await server.close()


async def test_a_command_after_its_dead_line_is_not_carried_out(client: Bus, server: Bus) -> None:
    done: list[str] = []

    async def start(request: ContainerId, command: Command) -> StatusReply:
        done.append(request.id)
        return StatusReply(status=status())

    await server.serve(START, start, node="n1")
    await server.transport.flush()
    with pytest.raises(SeawayError) as caught:
        await client.call(START, ContainerId(id="x"), node="n1", command=Command("c", "", time.time_ns() - 1))
    assert caught.value.code == Code.STALE and done == []


async def test_one_that_was_long_on_its_way_is_no_conflict_but_a_time_out(
    client: Bus, server: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The refusal comes just before the caller gives up."""
    answered = server._answer

    async def late(*request: Any) -> None:
        await until(lambda: deadlines.passed(request[-1].headers, 0))
        await answered(*request)

    monkeypatch.setattr(server, "_answer", late)

    async def nodes(request: Empty, command: Command) -> NodeList:
        return NodeList()

    await server.serve(LIST_NODES, nodes)
    await server.transport.flush()
    with pytest.raises(SeawayError) as caught:
        await client.call(LIST_NODES, Empty(), timeout_s=0.1)
    assert caught.value.code == Code.TIMEOUT and "node.list" in caught.value.message
