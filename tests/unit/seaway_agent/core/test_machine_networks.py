"""Connecting and disconnecting, as conversations with the machine."""

from collections.abc import Callable
from typing import Any

import pytest
from tests.unit.seaway_agent.core.conftest import Box, words_of

from seaway_agent.core.instructions import Answer, Record, Waiter
from seaway_contracts.containers import Endpoint, EndpointSpec
from seaway_contracts.networks import NetworkRecord, network_id
from seaway_testing import builders

MakeBox = Callable[..., Box]
BACK = NetworkRecord(id="b" * 64, name="back", created_ns=1)
ASKED = EndpointSpec(network="back", network_id=BACK.id)
MADE = Endpoint(network="back", network_id=BACK.id, address="10.1.0.9")
SHARED = "container sharing network namespace with another container or host cannot be connected to any other network"
PRIVATE = "container cannot be connected to multiple networks with one of the networks in private (none) mode"


def connect(box: Box, made: Endpoint | None = None) -> list[Any]:
    return box.machine.connect(Waiter("n"), ASKED, BACK, made, (), box.now_ns)


def disconnect(box: Box, identifier: str = BACK.id, name: str = "back") -> list[Any]:
    return box.machine.disconnect(Waiter("n"), identifier, name, (), box.now_ns)


def words(done: list[Any]) -> list[str]:
    return [words_of(one) for one in done]


def refusal(done: list[Any]) -> tuple[int, str]:
    (answer,) = done
    assert isinstance(answer, Answer) and answer.error is not None
    return answer.error.status, answer.error.message


def names(box: Box) -> list[str]:
    return [end.network for end in box.machine.spec.network.endpoints]


def test_a_stopped_container_gets_an_endpoint_for_its_next_start(box: Box) -> None:
    done = connect(box)
    assert words(done) == ["record created: status by n", "answer n"]
    record = done[0]
    assert isinstance(record, Record) and record.networks == (BACK,)
    assert [event.changes_spec for event in record.events] == [True]
    assert (names(box), box.machine.status.endpoints) == (["bridge", "back"], ())
    assert words(connect(box)) == ["answer n"], "as in Docker, which says nothing of a second time"


def test_a_running_one_has_it_at_once(make_box: MakeBox) -> None:
    box = make_box().running()
    assert words(connect(box, MADE)) == ["record running: network connect, status by n", "write files", "answer n"]
    assert [end.network for end in box.machine.status.endpoints] == ["bridge", "back"]
    assert refusal(connect(box, MADE)) == (403, "endpoint with name box1 already exists in network back")


def test_an_endpoint_of_a_run_that_has_ended_meanwhile_is_for_the_next_one(make_box: MakeBox) -> None:
    box = make_box().ended()
    assert words(connect(box, MADE)) == ["record exited: status by n", "answer n"]
    assert (names(box), box.machine.status.endpoints) == (["bridge", "back"], ())


def test_a_disconnect_of_a_running_one(make_box: MakeBox) -> None:
    box = make_box().running()
    connect(box, MADE)
    done = disconnect(box)
    assert words(done) == ["write files, without back", "record running: network disconnect, status by n", "answer n"]
    assert done[1].ends_disconnect
    assert ([end.network for end in box.machine.status.endpoints], names(box)) == (["bridge"], ["bridge"])
    container = builders.container_id(1)
    assert refusal(disconnect(box)) == (500, f"container {container} is not connected to network back")


def test_a_disconnect_of_a_stopped_one_is_told_too(box: Box) -> None:
    connect(box)
    done = disconnect(box, name=BACK.id)
    assert words(done) == ["record created: network disconnect, status by n", "answer n"]
    assert [one.network.network for one in done[0].events if one.network] == ["back"], "though nobody knows its id"
    container = builders.container_id(1)
    assert refusal(disconnect(box)) == (500, f"container {container} is not connected to the network back")


@pytest.mark.parametrize("mode", ["host", f"container:{builders.container_id(7)}"])
def test_a_shared_sandbox_has_no_endpoints(make_box: MakeBox, mode: str) -> None:
    box = make_box(network=builders.networking(mode))
    assert refusal(connect(box)) == (400, SHARED)
    assert refusal(disconnect(box))[0] == 500


def test_nothing_is_disconnected_from_the_host(make_box: MakeBox) -> None:
    box = make_box(network=builders.networking("host"))
    message = "container cannot be disconnected from host network or connected to host network"
    assert refusal(disconnect(box, network_id("host"), "host")) == (400, message)


def test_a_private_sandbox_is_connected_once_it_has_left_that_mode(make_box: MakeBox) -> None:
    box = make_box(network=builders.networking("none"))
    assert refusal(connect(box)) == (400, PRIVATE)
    assert words(disconnect(box, network_id("none"), "none"))[-1] == "answer n"
    assert box.machine.spec.network.networks == ()
    assert words(connect(box))[-1] == "answer n"


def test_one_without_its_last_endpoint_can_be_connected_again(make_box: MakeBox) -> None:
    endpoint = EndpointSpec(network="bridge", network_id=network_id("bridge"))
    box = make_box(network=builders.networking(endpoints=(endpoint,)))
    disconnect(box, network_id("bridge"), "bridge")
    assert box.machine.spec.network.networks == ()
    connect(box)
    assert box.machine.spec.network.networks == ("back",)
    assert not box.machine.spec.network.disconnected


def test_the_default_network_is_nobodys_to_store(make_box: MakeBox) -> None:
    box = make_box(network=builders.networking(endpoints=(ASKED,)))
    bridge = NetworkRecord(id=network_id("bridge"), name="bridge", created_ns=1)
    asked = EndpointSpec(network="bridge", network_id=bridge.id)
    done = box.machine.connect(Waiter("n"), asked, bridge, None, (), box.now_ns)
    assert done[0].networks == ()  # type: ignore[union-attr]


def test_what_is_being_removed_stays_as_it_is(make_box: MakeBox) -> None:
    box = make_box().removing()
    container = builders.container_id(1)
    text = f"Container {container} is marked for removal and cannot be connected or disconnected to the network"
    assert refusal(connect(box)) == refusal(disconnect(box)) == (409, text)


def test_addresses_that_are_claimed_before_a_launch_are_stored(make_box: MakeBox) -> None:
    asked = ASKED.model_copy(update={"ipv4_address": "10.1.0.9"})
    other = EndpointSpec(network="front", network_id="f" * 64, claimed_ipv4="10.2.0.2")
    box = make_box(network=builders.networking(endpoints=(other, asked)))
    box.machine.start(Waiter("s"))
    has = asked.model_copy(update={"claimed_ipv4": "10.1.0.9"})
    done = box.machine.claimed((has,), box.now_ns)
    assert words(done) == ["record created: status"]
    assert isinstance(done[0], Record) and [event.changes_spec for event in done[0].events] == [True]
    assert box.machine.spec.network.endpoints == (other, has)
