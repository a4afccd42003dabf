"""Networks: create, list, inspect, remove, prune, connect and disconnect."""

import json
from typing import Any
from urllib.parse import quote

import orjson
import pytest

from seaway_contracts.catalogue import NETWORK_CREATE, NETWORK_DESTROY
from seaway_contracts.containers import ContainerRecord, ContainerStatus, Endpoint, EndpointSpec, State
from seaway_contracts.errors import Code, SeawayError
from seaway_contracts.lifecycle import Envelope
from seaway_contracts.networks import NetworkEvent, NetworkRecord, Pool, network_id
from seaway_contracts.nodes import BridgeFacts, NodeFacts, NodeList, NodeRecord
from seaway_contracts.records import GONE
from seaway_testing import builders

FRONT, BACK = "f" * 64, "b" * 64
BOX = builders.container_id(1)


def filtered(**terms: Any) -> str:
    return "filters=" + quote(json.dumps(terms))


def network(identifier: str = BACK, name: str = "back", **changes: Any) -> NetworkRecord:
    pools = (Pool(subnet="10.1.0.0/24", gateway="10.1.0.1"),)
    return NetworkRecord(**{"id": identifier, "name": name, "created_ns": builders.START_NS, "pools": pools} | changes)


def box(seed: int, *networks: NetworkRecord | str) -> ContainerRecord:
    """A running container in these networks."""
    names = [(one, network_id(one)) if isinstance(one, str) else (one.name, one.id) for one in networks]
    spec = builders.spec(
        seed,
        network=builders.networking(
            endpoints=tuple(EndpointSpec(network=name, network_id=identifier) for name, identifier in names)
        ),
    )
    ends = tuple(
        Endpoint(
            network=name,
            network_id=identifier,
            endpoint_id=f"{seed}{place}" * 32,
            address=f"10.{place}.0.{seed + 1}",
            prefix_len=24,
            mac_address="02:42:0a:01:00:02",
        )
        for place, (name, identifier) in enumerate(names, 1)
    )
    status = ContainerStatus(state=State.RUNNING, seq=3, run=1, pid=7, endpoints=ends)
    return ContainerRecord(spec=spec, node=f"n{seed}", status=status)


# --- create


async def test_create(rig: Any) -> None:
    body = {
        "Name": "back",
        "Internal": True,
        "EnableIPv6": True,
        "IPAM": {"Driver": "default", "Config": [{"Subnet": "10.1.0.0/24", "Gateway": "10.1.0.9"}], "Options": {}},
        "Options": {"com.docker.network.driver.mtu": "1400"},
        "Labels": {"a": "b"},
    }
    answer = await rig.call("POST", "/networks/create", body)
    assert (answer.status, answer.json["Warning"]) == (201, "")
    (asked,) = rig.suite.named("network.create")
    made = asked.network
    assert made.id == answer.json["Id"] and len(made.id) == 64
    assert (made.name, made.driver, made.internal, made.ipv6, made.labels) == ("back", "bridge", True, True, {"a": "b"})
    assert made.pools == (Pool(subnet="10.1.0.0/24", gateway="10.1.0.9"),)
    assert made.options == {"com.docker.network.driver.mtu": "1400"}
    shown = (await rig.call("GET", f"/v1.45/networks/{made.id[:12]}")).json
    assert shown == {
        "Name": "back",
        "Id": made.id,
        "Created": shown["Created"],
        "Scope": "local",
        "Driver": "bridge",
        "EnableIPv6": True,
        "IPAM": {"Driver": "default", "Options": {}, "Config": [{"Subnet": "10.1.0.0/24", "Gateway": "10.1.0.9"}]},
        "Internal": True,
        "Attachable": False,
        "Ingress": False,
        "ConfigFrom": {"Network": ""},
        "ConfigOnly": False,
        "Containers": {},
        "Options": {"com.docker.network.driver.mtu": "1400"},
        "Labels": {"a": "b"},
    }


async def test_a_name_is_taken_once(rig: Any) -> None:
    assert (await rig.call("POST", "/networks/create", {"Name": "back"})).status == 201
    answer = await rig.call("POST", "/networks/create", {"Name": "back", "CheckDuplicate": False})
    assert (answer.status, answer.json["message"]) == (409, "network with name back already exists")


@pytest.mark.parametrize("body", [None, {}, {"Name": " "}])
async def test_a_network_needs_a_name(rig: Any, body: Any) -> None:
    answer = await rig.call("POST", "/networks/create", body)
    assert (answer.status, answer.json["message"].strip()) == (400, "invalid name:")
    assert not rig.suite.named("network.create")


async def test_what_metadata_refuses_passes_through(rig: Any) -> None:
    text = "Pool overlaps with other one on this address space"
    rig.suite.fail["network.create"] = SeawayError(Code.FORBIDDEN, text)
    answer = await rig.call("POST", "/networks/create", {"Name": "back"})
    assert (answer.status, answer.json["message"]) == (403, text)
    assert rig.api.hub.networks.basis() == {}


# --- list and inspect


async def test_networks_of_users_are_listed_behind_the_predefined_ones(rig: Any) -> None:
    rig.suite.networks.add(network(FRONT, "front"))
    rig.suite.networks.add(network())
    rig.suite.networks.add(network("c" * 64, "third"))
    shown = (await rig.call("GET", "/networks")).json
    assert [one["Name"] for one in shown] == ["bridge", "host", "none", "front", "back", "third"]
    assert all(one["Containers"] == {} for one in shown)


@pytest.mark.parametrize(
    ("terms", "names"),
    [
        ({"driver": ["bridge"]}, ["bridge", "front", "back"]),
        ({"driver": ["macvlan"]}, ["vlan"]),
        ({"driver": ["null"]}, ["none", "config"]),
        ({"id": [BACK[:5]]}, ["back"]),
        ({"name": ["ck"]}, ["back"]),
        ({"name": ["^b"]}, ["bridge", "back"]),
        ({"label": ["a"]}, ["back"]),
        ({"label": ["a=b", "c"]}, ["back"]),
        ({"label": ["a=c"]}, []),
        ({"scope": ["local"]}, ["bridge", "host", "none", "front", "back", "vlan", "config"]),
        ({"scope": ["swarm"]}, []),
        ({"type": ["builtin"]}, ["bridge", "host", "none"]),
        ({"type": ["custom"]}, ["front", "back", "vlan", "config"]),
        ({"dangling": ["true"]}, ["front", "vlan", "config"]),
        ({"dangling": ["0"]}, ["bridge", "host", "none", "back"]),
        ({"type": ["custom"], "driver": ["bridge"], "dangling": ["1"]}, ["front"]),
    ],
)
async def test_filters(rig: Any, terms: Any, names: list[str]) -> None:
    back = network(labels={"a": "b", "c": ""})
    for one in (network(FRONT, "front"), back, network("c" * 64, "vlan", driver="macvlan")):
        rig.suite.networks.add(one)
    rig.suite.networks.add(network("d" * 64, "config", config_only=True))
    rig.suite.add(box(1, back))
    assert [one["Name"] for one in (await rig.call("GET", f"/networks?{filtered(**terms)}")).json] == names


@pytest.mark.parametrize("terms", [{"until": ["1h"]}, {"nonsense": ["x"]}, {"type": ["odd"]}, {"dangling": ["x"]}])
async def test_filters_that_networks_do_not_have(rig: Any, terms: Any) -> None:
    assert (await rig.call("GET", f"/networks?{filtered(**terms)}")).status == 400


async def test_a_network_shows_the_containers_of_all_nodes(rig: Any) -> None:
    back = rig.suite.networks.add(network())
    rig.suite.add(box(1, "bridge", back))
    rig.suite.add(box(2, back))
    rig.suite.add(box(3, "bridge"))
    shown = (await rig.call("GET", "/networks/back")).json["Containers"]
    assert shown.keys() == {builders.container_id(1), builders.container_id(2)}
    assert shown[BOX] == {
        "Name": "box1",
        "EndpointID": "12" * 32,
        "MacAddress": "02:42:0a:01:00:02",
        "IPv4Address": "10.2.0.2/24",
        "IPv6Address": "",
    }
    bridge = (await rig.call("GET", "/networks/bridge")).json["Containers"]
    assert bridge.keys() == {builders.container_id(1), builders.container_id(3)}
    listed = {one["Name"]: one for one in (await rig.call("GET", "/v1.27/networks")).json}
    assert listed["back"]["Containers"] == shown and listed["bridge"]["Containers"] == bridge


async def test_a_network_by_name_id_and_prefix(rig: Any) -> None:
    rig.suite.networks.add(network(FRONT, "front"))
    rig.suite.networks.add(network(BACK, FRONT[:3]))
    for ref, name in (("front", "front"), (FRONT, "front"), (FRONT[:20], "front"), (network_id("none")[:20], "none")):
        assert (await rig.call("GET", f"/networks/{ref}")).json["Name"] == name
    assert (await rig.call("GET", "/networks/nothing")).json == {"message": "network nothing not found"}


async def test_a_prefix_of_several_ids(rig: Any) -> None:
    prefix = network_id("bridge")[:4]
    rig.suite.networks.add(network(prefix + "0" * 60, "front"))
    for method in ("GET", "DELETE"):
        answer = await rig.call(method, f"/networks/{prefix}")
        text = f"network {prefix} is ambiguous (2 matches found based on ID prefix)"
        assert (answer.status, answer.json["message"]) == (400, text)


async def test_scope_and_verbose_of_an_inspection(rig: Any) -> None:
    rig.suite.networks.add(network())
    assert (await rig.call("GET", "/networks/back?scope=local&verbose=true")).status == 200
    assert (await rig.call("GET", "/networks/back?scope=swarm")).status == 404
    answer = await rig.call("GET", "/networks/back?verbose=maybe")
    text = 'invalid value for verbose: maybe: strconv.ParseBool: parsing "maybe": invalid syntax'
    assert (answer.status, answer.json["message"]) == (400, text)


@pytest.mark.parametrize(("version", "expected"), [("1.45", None), ("1.47", None), ("1.48", True)])
async def test_whether_a_network_has_ipv4_is_shown_since_1_48(rig: Any, version: str, expected: bool | None) -> None:
    rig.suite.networks.add(network())
    assert (await rig.call("GET", f"/v{version}/networks/back")).json.get("EnableIPv4") is expected
    listed = (await rig.call("GET", f"/v{version}/networks")).json
    assert [one.get("EnableIPv4") for one in listed] == [expected] * 4
    refused = await rig.call("POST", f"/v{version}/networks/create", {"Name": "new", "EnableIPv4": False})
    assert refused.status == (400 if expected else 201)


async def test_the_bridge_tells_its_nodes_subnets(rig: Any) -> None:
    def node(name: str, number: int) -> NodeRecord:
        subnet = {"subnet": f"172.{number}.0.0/16", "gateway": f"172.{number}.0.1"}
        return builders.node_record(name, facts=NodeFacts(bridge=BridgeFacts(name=f"{name}-br", mtu=1500, **subnet)))

    rig.suite.nodes = NodeList(nodes=(node("a1", 18), node("n1", 17)))
    shown = (await rig.call("GET", "/networks/bridge")).json
    assert shown["IPAM"]["Config"] == [
        {"Subnet": "172.17.0.0/16", "Gateway": "172.17.0.1"},
        {"Subnet": "172.18.0.0/16", "Gateway": "172.18.0.1"},
    ]
    assert shown["Options"]["com.docker.network.bridge.name"] == "n1-br"
    assert shown["Options"]["com.docker.network.driver.mtu"] == "1500"
    listed = {one["Name"]: one for one in (await rig.call("GET", "/networks")).json}
    assert listed["bridge"]["IPAM"] == shown["IPAM"] and listed["none"]["Options"] == {}


async def test_networks_are_listed_while_nobody_knows_the_nodes(rig: Any, failure: Any) -> None:
    rig.suite.fail["nodes"] = failure(Code.UNAVAILABLE, "gone")
    shown = (await rig.call("GET", "/networks")).json
    assert [one["Name"] for one in shown] == ["bridge", "host", "none"] and shown[0]["IPAM"]["Config"] == []


async def test_networks_that_are_always_there(rig: Any) -> None:
    shown = (await rig.call("GET", "/networks")).json
    assert [(one["Name"], one["Driver"]) for one in shown] == [("bridge", "bridge"), ("host", "host"), ("none", "null")]
    by_id = (await rig.call("GET", f"/networks/{shown[0]['Id'][:12]}")).json
    assert by_id["Name"] == "bridge"
    assert (await rig.call("DELETE", "/networks/bridge")).status == 403
    assert (await rig.call("DELETE", "/networks/nope")).status == 404
    assert [one["Name"] for one in (await rig.call("GET", "/networks?" + filtered(name=["none"]))).json] == ["none"]


# --- remove and prune


async def test_remove(rig: Any) -> None:
    rig.suite.networks.add(network())
    answer = await rig.call("DELETE", f"/networks/{BACK[:12]}")
    assert (answer.status, answer.body) == (204, b"")
    assert [asked.ref for asked in rig.suite.named("network.remove")] == [BACK]
    assert (await rig.call("DELETE", "/networks/back")).status == 404
    rig.suite.networks.add(network(FRONT, "front"))
    rig.suite.fail["network.remove"] = SeawayError(Code.FORBIDDEN, "network front has active endpoints")
    answer = await rig.call("DELETE", "/networks/front")
    assert (answer.status, answer.json["message"]) == (403, "network front has active endpoints")


async def test_a_predefined_network_is_not_removed(rig: Any) -> None:
    for ref in ("bridge", network_id("bridge"), network_id("bridge")[:12]):
        answer = await rig.call("DELETE", f"/networks/{ref}")
        assert (answer.status, answer.json["message"]) == (403, "bridge is a pre-defined network and cannot be removed")
    assert not rig.suite.named("network.remove")


@pytest.mark.parametrize(
    ("terms", "removed"),
    [
        ({}, ["front", "old"]),
        ({"label": ["a"]}, ["front"]),
        ({"label!": ["a"]}, ["old"]),
        ({"until": ["1h"]}, ["old"]),
        ({"label": ["nothing"]}, None),
    ],
)
async def test_prune(rig: Any, terms: Any, removed: list[str] | None) -> None:
    now = rig.api.now_ns()
    back = rig.suite.networks.add(network(created_ns=1))
    rig.suite.networks.add(network(FRONT, "front", labels={"a": ""}, created_ns=now))
    rig.suite.networks.add(network("c" * 64, "old", created_ns=1))
    rig.suite.networks.add(network("d" * 64, "config", config_only=True, created_ns=1))
    rig.suite.add(box(1, back))
    answer = await rig.call("POST", f"/networks/prune?{filtered(**terms)}")
    assert answer.json == {"NetworksDeleted": removed}
    assert [asked.kind for asked in rig.suite.named("pruned")] == ["network"]


async def test_what_can_not_be_pruned_is_left(rig: Any) -> None:
    rig.suite.networks.add(network())
    rig.suite.fail["network.remove"] = SeawayError(Code.FORBIDDEN, "a container has just started")
    assert (await rig.call("POST", "/networks/prune")).json == {"NetworksDeleted": None}
    assert "back" in {one.name for one in rig.suite.networks.networks.values()}


# --- connect and disconnect


SETTINGS = {
    "IPAMConfig": {"IPv4Address": "10.1.0.9", "IPv6Address": "fd00::9"},
    "Aliases": ["db"],
    "Links": ["other:o"],
    "MacAddress": "02:42:0a:01:00:09",
    "DriverOpts": {"a": "b"},
    "GwPriority": 7,
}


async def test_connect(rig: Any) -> None:
    rig.suite.networks.add(network())
    rig.suite.add(box(1, "bridge"))
    answer = await rig.call("POST", "/networks/back/connect", {"Container": "box1", "EndpointConfig": SETTINGS})
    assert (answer.status, answer.body) == (200, b"")
    (asked,) = rig.suite.named("network.connect")
    endpoint = asked.endpoint
    assert (asked.id, endpoint.network, endpoint.aliases, endpoint.gateway_priority) == (BOX, "back", ("db",), 7)
    assert (endpoint.ipv4_address, endpoint.ipv6_address) == ("10.1.0.9", "fd00::9")
    assert (endpoint.mac_address, endpoint.driver_options) == ("02:42:0a:01:00:09", {"a": "b"})
    assert [(link.name, link.alias) for link in endpoint.links] == [("other", "o")]
    assert rig.api.hub.answers.basis(BOX) == {BOX: 4}


async def test_the_priority_is_ignored_before_1_48(rig: Any) -> None:
    rig.suite.add(box(1, "bridge"))
    await rig.call("POST", "/v1.47/networks/back/connect", {"Container": "box1", "EndpointConfig": {"GwPriority": 7}})
    assert [asked.endpoint.gateway_priority for asked in rig.suite.named("network.connect")] == [0]


@pytest.mark.parametrize(
    ("ref", "body", "status", "message"),
    [
        ("back", None, 400, 'invalid name or ID supplied: ""'),
        ("back", {"Container": "nothing"}, 404, "No such container: nothing"),
        ("host", {"Container": "box1"}, 400, "container cannot be disconnected from host network or connected to host"),
        ("none", {"Container": "box1"}, 400, "container cannot be connected to multiple networks with one of the"),
        ("bridge", {"Container": "box1", "EndpointConfig": {"Aliases": ["x"]}}, 400, "invalid endpoint settings:"),
        ("back", {"Container": "box1", "EndpointConfig": {"MacAddress": "zz"}}, 400, "invalid MAC address zz"),
        (
            "back",
            {"Container": "box1", "EndpointConfig": {"IPAMConfig": {"IPv4Address": "1.2"}}},
            400,
            "invalid endpoint settings:\ninvalid IPv4 address: 1.2",
        ),
        (
            "back",
            {"Container": "box1", "EndpointConfig": {"DriverOpts": {"com.docker.network.endpoint.sysctls": "a=b"}}},
            400,
            "the driver option com.docker.network.endpoint.sysctls is not supported",
        ),
    ],
)  # fmt: skip
async def test_connect_is_refused(rig: Any, ref: str, body: Any, status: int, message: str) -> None:
    rig.suite.add(box(1))
    answer = await rig.call("POST", f"/networks/{ref}/connect", body)
    assert (answer.status, answer.json["message"][: len(message)]) == (status, message)
    assert not rig.suite.named("network.connect")


async def test_what_metadata_or_the_agent_refuse(rig: Any) -> None:
    """An earlier try may have been carried out, and its answer lost: reads show what the node has."""
    rig.suite.add(box(1))
    rig.suite.held[BOX] = ContainerStatus(seq=6)
    for action in ("connect", "disconnect"):
        rig.suite.fail[f"network.{action}"] = SeawayError(Code.FORBIDDEN, "endpoint with name box1 already exists")
        answer = await rig.call("POST", f"/networks/back/{action}", {"Container": "box1"})
        assert (answer.status, answer.json["message"]) == (403, "endpoint with name box1 already exists")
    assert rig.api.hub.answers.basis(BOX) == {BOX: 6}


async def test_disconnect(rig: Any) -> None:
    rig.suite.add(box(1, "bridge"))
    answer = await rig.call("POST", "/networks/bridge/disconnect", {"Container": "/box1", "Force": True})
    assert (answer.status, answer.body) == (200, b"")
    assert [(asked.id, asked.network, asked.force) for asked in rig.suite.named("network.disconnect")] == [
        (BOX, "bridge", True)
    ]
    assert rig.api.hub.answers.basis(BOX) == {BOX: 4}


@pytest.mark.parametrize(
    ("force", "message"), [(False, "No such container: nothing"), (True, "endpoint nothing not found")]
)
async def test_disconnect_of_nothing(rig: Any, force: bool, message: str) -> None:
    answer = await rig.call("POST", "/networks/back/disconnect", {"Container": "nothing", "Force": force})
    assert (answer.status, answer.json["message"]) == (404, message)


# --- events and freshness


async def emit(rig: Any, channel: Any, identifier: str, **attributes: str) -> None:
    """Publish an event of metadata."""
    subject = f"{channel.action}-{identifier}"
    time_ns = builders.START_NS
    envelope = Envelope(subject, "cluster", "network", channel.action, identifier, time_ns)
    body = channel.encode(NetworkEvent(network_id=identifier, attributes=attributes))
    await rig.suite.bus.transport.store(channel.subject("cluster", identifier), body, envelope.headers())


async def test_events_of_networks(rig: Any) -> None:
    wire = await rig.wire()
    wire.send(f"GET /v1.45/events?{filtered(network=['back'])} HTTP/1.1\r\nHost: d\r\n\r\n".encode())
    assert (await wire.head())[0] == 200
    await emit(rig, NETWORK_CREATE, FRONT, name="front", type="bridge")
    await emit(rig, NETWORK_CREATE, BACK, name="back", type="bridge")
    assert orjson.loads(await wire.chunk()) == {
        "Type": "network",
        "Action": "create",
        "Actor": {"ID": BACK, "Attributes": {"name": "back", "type": "bridge"}},
        "scope": "local",
        "time": builders.START_NS // 10**9,
        "timeNano": builders.START_NS,
    }


async def test_reads_are_not_older_than_what_was_answered_or_heard(rig: Any) -> None:
    made = (await rig.call("POST", "/networks/create", {"Name": "back"})).json["Id"]
    await rig.call("GET", "/networks")
    await emit(rig, NETWORK_CREATE, FRONT, name="front", type="bridge")
    await emit(rig, NETWORK_DESTROY, BACK, name="old", type="bridge")
    await rig.quiet()
    await rig.call("GET", "/networks/back")
    await rig.call("DELETE", "/networks/back")
    await emit(rig, NETWORK_CREATE, made, name="back", type="bridge")
    await rig.quiet()
    await rig.call("GET", "/networks/back")
    known = [asked.basis for asked in (*rig.suite.named("network.list"), *rig.suite.named("network.get"))]
    heard = {FRONT: 1, BACK: GONE}
    assert known[:2] == [{made: 1}, {made: 1} | heard]
    assert known[-1] == {made: GONE} | heard
