"""Calls to nodes that are down."""

import asyncio

import pytest

from seaway_bus.down_nodes import DownNodes
from seaway_contracts.errors import Code, SeawayError


async def test_a_call_to_a_node_that_is_up_has_all_its_time() -> None:
    down_nodes = DownNodes(0.01)
    down_nodes.gone("n2", "no beat")
    async with down_nodes.call("n1"):
        await asyncio.sleep(0.03)


async def test_a_node_that_is_down_is_waited_for_a_moment_only() -> None:
    down_nodes = DownNodes(0.01)
    down_nodes.gone("n2", "no beat for six seconds")
    with pytest.raises(SeawayError, match="node n2 is down: no beat for six") as caught:
        async with down_nodes.call("n2"):
            await asyncio.sleep(5)
    assert caught.value.code is Code.TIMEOUT


async def test_a_call_in_flight_is_bounded_when_its_node_goes() -> None:
    down_nodes = DownNodes(0.01)
    with pytest.raises(SeawayError, match="n2 is down"):
        async with down_nodes.call("n2"):
            down_nodes.gone("n2", "no beat")
            await asyncio.sleep(5)


async def test_a_node_that_comes_back_in_time_answers() -> None:
    down_nodes = DownNodes(0.05)
    down_nodes.gone("n2", "no beat")
    async with down_nodes.call("n2"):
        down_nodes.back("n2")
        await asyncio.sleep(0.1)


async def test_the_callers_own_time_out_stays_his() -> None:
    down_nodes = DownNodes()
    with pytest.raises(TimeoutError):
        async with down_nodes.call("n2"):
            async with asyncio.timeout(0):
                await asyncio.sleep(5)
