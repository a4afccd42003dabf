"""Whose namespaces a container joins, and who refuses."""

import socket
from typing import Any

import pytest
from tests.unit.seaway_agent.container.hooks.peers import JOINED, NOTHING, PEER, peers, request

from seaway_agent.container.hooks.shared_namespaces import SharedNamespacesHook, hostname, named, needed
from seaway_contracts.containers import ContainerNetworking, EndpointSpec, Link, Namespaces
from seaway_contracts.errors import Code, SeawayError
from seaway_testing import builders

LINK = Link(container=PEER, name="database", alias="db")


def test_namespaces_by_the_others_process() -> None:
    asked = request(network=builders.networking(JOINED), namespaces=Namespaces(pid=JOINED, ipc=JOINED))
    parts = SharedNamespacesHook(peers()).prepare(asked, NOTHING)
    assert parts.namespaces == {"network": "/proc/77/ns/net", "pid": "/proc/77/ns/pid", "ipc": "/proc/77/ns/ipc"}
    assert [one.name for one in parts.attachments] == ["shm"]


def test_who_joins_nobody() -> None:
    asked = request(network=builders.networking("host"), namespaces=Namespaces(pid="host", ipc="private"))
    assert SharedNamespacesHook(peers()).prepare(asked, NOTHING) == NOTHING


@pytest.mark.parametrize(
    ("spec", "code", "text"),
    [
        (
            {"network": builders.networking(JOINED)},
            Code.CONFLICT,
            f"cannot join network of a non running container: {PEER}",
        ),
        (
            {"namespaces": Namespaces(pid=JOINED)},
            Code.INTERNAL,
            f"failed to join PID namespace: container {PEER} is not running",
        ),
        (
            {"namespaces": Namespaces(ipc=JOINED)},
            Code.CONFLICT,
            f"failed to join IPC namespace: container {PEER} is not running",
        ),
    ],
)
def test_one_that_does_not_run_can_not_be_joined(spec: dict[str, Any], code: Code, text: str) -> None:
    with pytest.raises(SeawayError) as refused:
        SharedNamespacesHook(peers(pid=0)).prepare(request(**spec), NOTHING)
    assert (refused.value.code, refused.value.message) == (code, text)


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        ({"network": builders.networking(JOINED)}, f"No such container: {PEER}"),
        ({"namespaces": Namespaces(pid=JOINED)}, f"failed to join PID namespace: No such container: {PEER}"),
        ({"namespaces": Namespaces(ipc=JOINED)}, f"failed to join IPC namespace: No such container: {PEER}"),
    ],
)
def test_one_that_was_removed_can_not_be_joined(spec: dict[str, Any], text: str) -> None:
    with pytest.raises(SeawayError) as refused:
        SharedNamespacesHook(lambda container: None).prepare(request(**spec), NOTHING)
    assert (refused.value.code, refused.value.message) == (Code.NOT_FOUND, text)


@pytest.mark.parametrize("ipc", ["", "private", "host", "none"])
def test_shared_memory_must_be_offered(ipc: str) -> None:
    with pytest.raises(SeawayError, match=r"non-shareable IPC \(hint: use IpcMode:shareable for the donor container\)"):
        SharedNamespacesHook(peers(ipc=ipc)).prepare(request(namespaces=Namespaces(ipc=JOINED)), NOTHING)


def test_names_go_with_the_network() -> None:
    there = peers(network=builders.networking(hostname="theirs", domainname="dom"))
    found = named(there, builders.spec(network=builders.networking(JOINED)))
    assert (found.sandbox, found.hostname, found.domainname) == (JOINED, "theirs", "dom")
    assert named(there, builders.spec(network=builders.networking("host"))).hostname == socket.gethostname()
    own = builders.networking("host", hostname="own", domainname="d")
    assert named(there, builders.spec(network=own)) == own


@pytest.mark.parametrize(
    ("network", "name"),
    [
        ({"hostname": "mine"}, "mine"),
        ({"hostname": "mine", "mode": "host"}, "mine"),
        ({"mode": "host"}, socket.gethostname()),
        ({}, builders.container_id(1)[:12]),
    ],
)
def test_hostname(network: dict[str, Any], name: str) -> None:
    assert hostname(builders.spec(1, network=builders.networking(**network))) == name


def test_who_has_to_run_first() -> None:
    other, third = builders.container_id(8), builders.container_id(9)
    linked = ContainerNetworking(endpoints=(EndpointSpec(network="bridge", links=(LINK,)),))
    spaces = Namespaces(pid=f"container:{other}", ipc=f"container:{third}")
    assert needed(builders.spec(network=linked, namespaces=spaces)) == {PEER, other, third}
    assert needed(builders.spec(network=builders.networking(JOINED))) == {PEER}
