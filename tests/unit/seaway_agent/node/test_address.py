"""The address by which other machines reach a node."""

import socket

import pytest

from seaway_agent.node.address import NodeAddress, source_address
from seaway_agent.settings import AgentSettings

LOOPBACK = (socket.AF_INET, ("127.0.0.1", 9))


async def test_a_given_address_is_taken_as_it_is() -> None:
    address = NodeAddress("192.0.2.7", "nats://nowhere.invalid:4222")
    await address.resolve()
    assert address.current() == "192.0.2.7"


def test_loopback_is_no_address_for_others() -> None:
    assert source_address([LOOPBACK]) == ""
    assert source_address([]) == ""


def test_a_target_without_a_route_is_passed_over() -> None:
    nowhere = (socket.AF_INET, ("255.255.255.255", 9))  # a broadcast needs an option of the socket
    assert source_address([nowhere, LOOPBACK]) == ""


async def test_a_name_that_is_unknown_leaves_the_default_route() -> None:
    address = NodeAddress("", "nats://nowhere.invalid:4222")
    await address.resolve()
    assert address.current() == NodeAddress("", "nats://127.0.0.1:4222").current()


async def test_the_last_address_stays_while_there_is_no_route(monkeypatch: pytest.MonkeyPatch) -> None:
    address = NodeAddress("", "nats://127.0.0.1:4222")
    found = iter(["192.0.2.7", ""])
    monkeypatch.setattr("seaway_agent.node.address.source_address", lambda targets: next(found))
    assert [address.current(), address.current()] == ["192.0.2.7", "192.0.2.7"]


def test_a_setting_that_is_no_ip_address_is_refused() -> None:
    assert AgentSettings(address="2001:db8::7").address == "2001:db8::7"
    for text in ("node-1", "192.0.2", "192.0.2.7:80"):
        with pytest.raises(ValueError, match="give an IP address"):
            AgentSettings(address=text)
