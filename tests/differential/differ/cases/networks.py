"""Networks of users: create, list, inspect, remove, prune."""

import json
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

from differ.steps import Case, Step, case, delete, get, network, post

_BRIDGE: Final = "com.docker.network.bridge."


def _made(name: str, *given: Mapping[str, Any]) -> tuple[Case, ...]:
    """One scenario per create body, with the inspection of what it has made."""
    return tuple(
        case(f"{name} {number}", post("/networks/create", {"Name": "net1"} | dict(body), keep={"n": "Id"}), _shown())
        for number, body in enumerate(given, 1)
    )


def _shown(name: str = "n") -> Step:
    return get(f"/networks/{{{name}}}")


def _pools(*pools: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    return {"IPAM": {"Driver": "default", "Config": list(pools)}, **more}


def _pool(**more: Any) -> dict[str, Any]:
    return {"Subnet": "10.203.0.0/24", "Gateway": "10.203.0.1"} | more


def _six(**more: Any) -> dict[str, Any]:
    return {"Subnet": "fd00:203::/64", "Gateway": "fd00:203::1"} | more


def _option(name: str, value: str, driver: str = "bridge") -> dict[str, Any]:
    return _pools(_pool(), Options={name: value}, Driver=driver)


def _listed(**terms: Any) -> Step:
    return get(f"/networks?filters={quote(json.dumps(terms))}", as_="unordered")


def _prune(**terms: Any) -> Step:
    return post(f"/networks/prune?filters={quote(json.dumps(terms))}")


_TWO: Final = (
    network("net1", _pools(_pool(), Labels={"k": "v", "own": ""})),
    network("net2", _pools(_pool(Subnet="10.204.0.0/24", Gateway="10.204.0.1"), Labels={"own": ""}), keep="m"),
)

CASES: Final[tuple[Case, ...]] = (
    *_made(
        "create",
        _pools(_pool()),
        _pools(_pool(), Internal=True, Attachable=True, Labels={"a": "b", "": "c"}),
        _pools(_pool(IPRange="10.203.0.128/25", AuxiliaryAddresses={"router": "10.203.0.254"})),
        _pools(_pool(), _six(), EnableIPv6=True),
        _pools(_pool(), _six()),
        _pools(_pool(), CheckDuplicate=True, Scope="local"),
        _pools(_pool(), Name="a b"),
        _pools(_pool(), Name="a/b"),
        _pools(_pool(), Name="-x"),
        {"IPAM": {"Config": [_pool()], "Options": {"o": "p"}}},
        _pools({"Subnet": "10.203.0.0/24"}),
    ),
    *_made(
        "name",
        {"Name": ""},
        {"Name": " "},
        {"Name": "bridge"},
        {"Name": "host"},
        {"Name": "none"},
        {"Name": "default"},
    ),
    *_made(
        "driver",
        {"Driver": "nope"},
        {"Driver": "host"},
        {"Driver": "null"},
        {"Driver": "overlay"},
        {"Scope": "swarm"},
        {"Scope": "global"},
        {"Ingress": True},
        {"IPAM": {"Driver": "nope"}},
        {"IPAM": {"Driver": "null"}},
        {"IPAM": {"Driver": "null", "Config": [_pool()]}},
    ),
    *_made(
        "subnet",
        _pools({}),
        _pools({"Subnet": "nonsense"}),
        _pools({"Subnet": "10.203.0.0"}),
        _pools({"Subnet": "10.203.0.0/33"}),
        _pools({"Subnet": "10.203.0.5/24"}),
        _pools({"Subnet": "fd00:203::5/64"}, EnableIPv6=True),
        _pools({"Subnet": "10.203.0.0/16"}, {"Subnet": "10.203.4.0/24"}),
        _pools({"Subnet": "10.203.0.0/24"}, {"Subnet": "10.204.0.0/24"}),
        _pools(_pool(IPRange="nonsense")),
        _pools(_pool(IPRange="10.203.0.0/16")),
        _pools(_pool(IPRange="10.203.0.7/25")),
        _pools(_pool(IPRange="10.204.0.0/25")),
        _pools(_pool(IPRange="fd00::/64")),
        _pools(_pool(Gateway="nonsense")),
        _pools(_pool(Gateway="10.204.0.1")),
        _pools(_pool(Gateway="fd00::1")),
        _pools(_pool(Gateway="10.203.0.0")),
        _pools(_pool(Gateway="10.203.0.255")),
        _pools(_pool(AuxiliaryAddresses={"a": "nonsense"})),
        _pools(_pool(AuxiliaryAddresses={"a": "10.204.0.1"})),
        _pools(_pool(AuxiliaryAddresses={"a": "10.203.0.1"})),
        _pools({"Subnet": "10.203.0.0/31"}),
        _pools({"Subnet": "10.203.0.0/32"}),
        _pools({"Subnet": "0.0.0.0/0"}),
        _pools(_pool(Gateway="x"), {"Subnet": "y"}),
    ),
    *_made(
        "option",
        _option(_BRIDGE + "enable_icc", "maybe"),
        _option(_BRIDGE + "enable_icc", ""),
        _option(_BRIDGE + "enable_icc", "false"),
        _option(_BRIDGE + "enable_ip_masquerade", "no"),
        _option(_BRIDGE + "host_binding_ipv4", "x"),
        _option(_BRIDGE + "host_binding_ipv4", "127.0.0.1"),
        _option("com.docker.network.driver.mtu", "x"),
        _option("com.docker.network.driver.mtu", "-1"),
        _option("com.docker.network.driver.mtu", "1400"),
        _option("nonsense", "x"),
    ),
    *_made(
        "configuration",
        _pools(_pool(), ConfigOnly=True),
        {"ConfigOnly": True},
        {"ConfigOnly": True, "Driver": "nope", "Options": {"o": "p"}, "Labels": {"a": "b"}},
        {"ConfigOnly": True, "Internal": True},
        {"ConfigOnly": True, "Scope": "local"},
        {"ConfigOnly": True, "ConfigFrom": {"Network": "x"}},
        {"ConfigFrom": {"Network": "nope"}},
        {"ConfigFrom": {"Network": "bridge"}},
        {"ConfigFrom": {"Network": "nope"}, "EnableIPv6": True},
        {"ConfigFrom": {"Network": "nope"}, "Labels": {"a": "b"}},
        {"ConfigFrom": {"Network": "nope"}, "Options": {"a": "b"}},
    ),
    case(
        "of a configuration network",
        network("cfg", _pools(_pool(), ConfigOnly=True, Labels={"a": "b"}, Options={"o": "p"}), keep="m"),
        network("net1", {"ConfigFrom": {"Network": "cfg"}, "Internal": True}),
        _shown(),
        delete("/networks/cfg"),
        delete("/networks/net1"),
        delete("/networks/cfg"),
    ),
    case("create without a body", post("/networks/create")),
    case("create with broken JSON", post("/networks/create", b"{", headers={"Content-Type": "application/json"})),
    case("create with a wrong type", post("/networks/create", {"Name": 1})),
    case("the same name twice", network("net1", _pools(_pool())), post("/networks/create", {"Name": "net1"})),
    case(
        "the same subnet twice",
        network("net1", _pools(_pool())),
        post("/networks/create", {"Name": "net2"} | _pools({"Subnet": "10.203.0.0/25"})),
    ),
    case("by name, id and prefix", *_TWO, get("/networks/net1"), get("/networks/{n}"), get("/networks/{m}")),
    case("an inspection's scope", *_TWO, get("/networks/net1?scope=local"), get("/networks/net1?scope=swarm")),
    case("a verbose inspection", *_TWO, get("/networks/net1?verbose=1"), get("/networks/net1?verbose=x")),
    case(
        "filters",
        *_TWO,
        _listed(name=["net"]),
        _listed(name=["^et"]),
        _listed(name=["net1", "net2"]),
        _listed(label=["k"]),
        _listed(label=["k=v", "own"]),
        _listed(label=["k=w"]),
        _listed(driver=["bridge"], type=["custom"]),
        _listed(driver=["macvlan"]),
        _listed(scope=["swarm"]),
        _listed(type=["custom"]),
        _listed(dangling=["true"]),
        _listed(dangling=["1"], label=["k"]),
        _listed(id=["{n}"]),
    ),
    case("a bad type", _listed(type=["x"])),
    case("a bad dangling", _listed(dangling=["x"])),
    case("two danglings", _listed(dangling=["0", "1"])),
    case("an unknown filter", _listed(until=["1h"])),
    case("remove", *_TWO, delete("/networks/{n}"), delete("/networks/net2"), delete("/networks/net2")),
    case("remove a predefined one", delete("/networks/bridge"), delete("/networks/host"), delete("/networks/none")),
    case("prune", *_TWO, _prune(label=["k"]), _prune(label=["own"]), _prune(label=["own"])),
    case("prune by label", *_TWO, _prune(label=["k"]), _prune(**{"label": ["own"], "label!": ["own"]})),
    case("prune of what is young", *_TWO, _prune(label=["own"], until=["1h"])),
    case(
        "prune leaves configurations",
        network("cfg", _pools(_pool(), ConfigOnly=True, Labels={"own": ""})),
        _prune(label=["own"]),
        get("/networks/cfg"),
    ),
)
