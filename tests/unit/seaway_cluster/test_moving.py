"""What keeps a container on its node."""

from typing import Any

import pytest

from seaway_cluster.moving import ties
from seaway_contracts.containers import (
    ContainerSpec,
    Device,
    DeviceRequest,
    EndpointSpec,
    Link,
    Mount,
    Namespaces,
    Resources,
    RestartPolicy,
)
from seaway_contracts.networks import network_id
from seaway_testing import builders


def movable(**changes: Any) -> ContainerSpec:
    return builders.spec(**({"restart": RestartPolicy(name="always")} | changes))


@pytest.mark.parametrize("policy", ["always", "unless-stopped", "on-failure"])
def test_a_container_with_a_restart_policy_and_nothing_of_its_host_would_move(policy: Any) -> None:
    assert ties(movable(restart=RestartPolicy(name=policy))) == ()
    assert ties(movable(network=builders.networking("none"), mounts=(Mount(type="tmpfs", target="/t"),))) == ()
    assert ties(movable(resources=Resources(device_requests=(DeviceRequest(count=1),)))) == ()


LINK = Link(container="b" * 64, name="/db", alias="d")
BRIDGE = EndpointSpec(network="bridge", network_id=network_id("bridge"), links=(LINK,))
WEB = EndpointSpec(network="web", network_id="a" * 64)


@pytest.mark.parametrize(
    ("changes", "clause"),
    [
        ({"restart": RestartPolicy()}, "it has no restart policy"),
        ({"mounts": (Mount(type="bind", target="/a", source="/srv"),)}, "it mounts /srv of the host"),
        ({"mounts": (Mount(type="volume", target="/a", source="data"),)}, "volume data is on this node"),
        (
            {"mounts": (Mount(type="volume", target="/a", source="f" * 64, anonymous=True),)},
            "its volume at /a is on this node",
        ),
        ({"network": builders.networking("host")}, "it uses the network of the host"),
        (
            {"network": builders.networking(f"container:{'c' * 64}")},
            "it shares the network of container cccccccccccc",
        ),
        ({"network": builders.networking(endpoints=(WEB,))}, "network web is on this node"),
        ({"network": builders.networking(endpoints=(BRIDGE,))}, "it is linked to container db"),
        (
            {"resources": Resources(devices=(Device(host_path="/dev/kvm", container_path="/dev/kvm"),))},
            "it uses /dev/kvm of the host",
        ),
        (
            {"resources": Resources(device_requests=(DeviceRequest(ids=("0",)),))},
            "it uses devices of the host",
        ),
        ({"namespaces": Namespaces(pid="host")}, "it shares the pid namespace of the host"),
        ({"namespaces": Namespaces(ipc="container:db")}, "it shares the ipc namespace of another container"),
    ],
)
def test_what_ties_it(changes: dict[str, Any], clause: str) -> None:
    assert ties(movable(**changes)) == (clause,)


def test_all_ties_are_named_once() -> None:
    twice = tuple(Mount(type="volume", target=target, source="data") for target in ("/a", "/b"))
    assert ties(builders.spec(mounts=twice)) == ("it has no restart policy", "volume data is on this node")
