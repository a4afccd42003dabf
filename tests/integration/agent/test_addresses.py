"""Addresses of containers on a network that is full."""

import signal
from ipaddress import IPv4Network
from typing import Final

import pytest
from tests.integration.agent.rig import AgentRig

from seaway_agent.node.purge import purge
from seaway_agent.settings import AgentSettings
from seaway_contracts.errors import SeawayError

pytestmark = pytest.mark.root
SMALL: Final = IPv4Network("10.213.77.0/29")
ROOM: Final = 5
"""Its addresses without those of the network, of the bridge, and for broadcasts."""


@pytest.fixture
async def small(rig: AgentRig) -> AgentRig:
    """The agent, on a network that has room for five."""
    rig.end(signal.SIGTERM)
    purge(AgentSettings(root=rig.root, run=rig.base / "run", node=rig.node, suite=rig.suite))
    rig.env["SEAWAY_SUBNET"] = str(SMALL)
    await rig.start()
    return rig


async def on_the_network(rig: AgentRig) -> str:
    return await rig.create(rig.spec("sleep", "600", net="bridge"))


async def address_once_started(rig: AgentRig, container: str) -> str:
    (endpoint,) = (await rig.start_container(container)).status.endpoints
    return endpoint.address


async def test_addresses_are_given_back(small: AgentRig) -> None:
    all_at_once = [await on_the_network(small) for _ in range(ROOM)]
    held = {container: await address_once_started(small, container) for container in all_at_once}
    assert set(held.values()) == {str(address) for address in SMALL.hosts()} - {str(SMALL[1])}
    further = await on_the_network(small)
    with pytest.raises(SeawayError, match="no available IPv4 addresses"):
        await small.start_container(further)
    await small.remove(all_at_once[2], force=True)
    assert await address_once_started(small, further) == held[all_at_once[2]]
