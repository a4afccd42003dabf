"""Containers that run in networks of users; connect and disconnect."""

import json
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

from differ.steps import Case, Step, case, create, delete, get, inspect, network, post, start

_NETS: Final = (
    network(
        "net1", {"IPAM": {"Config": [{"Subnet": "10.203.0.0/24", "Gateway": "10.203.0.1"}]}, "Labels": {"own": ""}}
    ),
    network("net2", {"IPAM": {"Config": [{"Subnet": "10.204.0.0/29", "Gateway": "10.204.0.1"}]}}, keep="m"),
)


def _box(mode: str = "net1", endpoints: Mapping[str, Any] | None = None, **more: Any) -> Step:
    host = {"NetworkMode": mode} | more.pop("host", {})
    return create(host=host, NetworkingConfig={"EndpointsConfig": endpoints or {}}, **more)


def _at(address: str) -> dict[str, Any]:
    return {"IPAMConfig": {"IPv4Address": address}}


def _connect(network: str = "net2", container: str = "{c}", **settings: Any) -> Step:
    body = {"Container": container} | ({"EndpointConfig": settings} if settings else {})
    return post(f"/networks/{network}/connect", body)


def _disconnect(network: str = "net1", container: str = "{c}", **more: Any) -> Step:
    return post(f"/networks/{network}/disconnect", {"Container": container, **more})


def _stop() -> Step:
    return post("/containers/{c}/stop?t=0")


def _removed() -> Step:
    return delete("/networks/net1")


def _in_use(value: str) -> Step:
    return get("/networks?filters=" + quote(json.dumps({"dangling": [value], "type": ["custom"]})), as_="unordered")


_MAC: Final = "02:42:0a:cb:00:09"
_SHOWN: Final = (get("/networks/net1"), get("/networks/net2"))

CASES: Final[tuple[Case, ...]] = (
    case("created in one", *_NETS, _box(), inspect(), get("/networks/net1")),
    case("created in one by id", *_NETS, _box("{n}"), inspect(), start(), inspect()),
    case(
        "created in two",
        *_NETS,
        _box(endpoints={"net1": {"Aliases": ["a"], "DriverOpts": {"o": "p"}}, "net2": {"MacAddress": _MAC}}),
        inspect(),
        get("/containers/json?all=1", as_="unordered"),
    ),
    case("created with an address", *_NETS, _box(endpoints={"net1": _at("10.203.0.9")}), inspect()),
    case("created with an address outside", *_NETS, _box(endpoints={"net1": _at("10.205.0.9")})),
    case("created with an address that is none", *_NETS, _box(endpoints={"net1": _at("nonsense")})),
    case(
        "created with an address where none can be chosen",
        network("net1", {}),
        _box(endpoints={"net1": _at("172.18.0.9")}),
    ),
    case("created with links", *_NETS, _box(host={"Links": ["nothing:x"]}), inspect()),
    case(
        "created with an endpoint's links", *_NETS, _box(endpoints={"net1": {"Links": ["nothing:x", "y"]}}), inspect()
    ),
    case(
        "created by network",
        *_NETS,
        _box(),
        get("/containers/json?all=1&filters=" + quote(json.dumps({"network": ["net1"]}))),
        get("/containers/json?all=1&filters=" + quote(json.dumps({"network": ["net2"]}))),
    ),
    case("remove one with a container that doesn't run", *_NETS, _box(), _removed(), inspect()),
    case("in one", *_NETS, _box(name="web"), start(), inspect(), *_SHOWN, delete("/networks/net1"), _stop(), inspect()),
    case("in two", *_NETS, _box(endpoints={"net1": {}, "net2": {"Aliases": ["a"]}}), start(), inspect(), *_SHOWN),
    case("in none that is there", _box("nothing"), start(), inspect()),
    case(
        "with addresses",
        *_NETS,
        _box(endpoints={"net1": {"IPAMConfig": {"IPv4Address": "10.203.0.77"}, "MacAddress": "02:42:0a:cb:00:4d"}}),
        start(),
        inspect(),
        get("/networks/net1"),
    ),
    case(
        "an address that is taken",
        *_NETS,
        _box(endpoints={"net1": _at("10.203.0.77")}),
        start(),
        create(
            keep="d",
            host={"NetworkMode": "net1"},
            NetworkingConfig={"EndpointsConfig": {"net1": _at("10.203.0.77")}},
        ),
        start("d"),
    ),
    case(
        "the gateway's address",
        *_NETS,
        _box(endpoints={"net1": _at("10.203.0.1")}),
        start(),
    ),
    case(
        "with a published port",
        *_NETS,
        _box(host={"PortBindings": {"80/tcp": [{}]}}, ExposedPorts={"80/tcp": {}}),
        start(),
        inspect(),
    ),
    case("connect", *_NETS, _box(), start(), _connect(), inspect(), *_SHOWN, _stop(), inspect()),
    case("connect with settings", *_NETS, _box(), start(), _connect(Aliases=["x"], Links=["web:w"]), inspect()),
    case(
        "connect with an address",
        *_NETS,
        _box(),
        start(),
        _connect(**_at("10.204.0.5")),
        inspect(),
    ),
    case("connect with an address outside", *_NETS, _box(), start(), _connect(**_at("10.205.0.5"))),
    case("connect with a bad address", *_NETS, _box(), start(), _connect(**_at("nonsense"))),
    case("connect by id", *_NETS, _box(), start(), _connect("{m}"), inspect()),
    case("connect twice", *_NETS, _box(name="web"), start(), _connect(), _connect()),
    case("connect to its own", *_NETS, _box(name="web"), start(), _connect("net1")),
    case("connect before the start", *_NETS, _box(), _connect(), inspect(), start(), inspect()),
    case("connect twice before the start", *_NETS, _box(), _connect(), _connect(), inspect()),
    case("connect to the default bridge", *_NETS, _box(), start(), _connect("bridge"), inspect()),
    case("connect to the host's network", *_NETS, _box(), start(), _connect("host")),
    case("connect to none", *_NETS, _box(), start(), _connect("none")),
    case("connect to nothing", *_NETS, _box(), start(), _connect("nothing")),
    case("connect nothing", *_NETS, _connect("net1", "nothing")),
    case("connect without a container", *_NETS, post("/networks/net1/connect", {})),
    case("connect one of the host's network", *_NETS, _box("host"), start(), _connect()),
    case("connect one without network", *_NETS, _box("none"), start(), _connect()),
    case("disconnect", *_NETS, _box(), start(), _disconnect(), inspect(), get("/networks/net1")),
    case("disconnect by id", *_NETS, _box(), start(), _disconnect("{n}"), inspect()),
    case("disconnect and connect", *_NETS, _box(), start(), _disconnect(), _connect(), inspect(), *_SHOWN),
    case("disconnect before the start", *_NETS, _box(), _connect(), _disconnect(), inspect(), start(), inspect()),
    case("disconnect twice", *_NETS, _box(), start(), _disconnect(), _disconnect()),
    case("disconnect from another", *_NETS, _box(), start(), _disconnect("net2")),
    case("disconnect from nothing", *_NETS, _box(), start(), _disconnect("nothing")),
    case("disconnect nothing", *_NETS, _disconnect("net1", "nothing")),
    case("disconnect nothing by force", *_NETS, _disconnect("net1", "nothing", Force=True)),
    case("disconnect by force", *_NETS, _box(), start(), _disconnect(Force=True), inspect()),
    case("disconnect from the host's network", _box("host"), start(), _disconnect("host")),
    case("disconnect from the default bridge", _box("bridge"), start(), _disconnect("bridge"), inspect()),
    case(
        "remove one in use", *_NETS, _box(), start(), delete("/networks/net1"), _disconnect(), delete("/networks/net1")
    ),
    case("remove one before the start", *_NETS, _box(), delete("/networks/net1"), start()),
    case("prune leaves one in use", *_NETS, _box(), start(), post("/networks/prune"), _in_use("true")),
    case(
        "by network",
        *_NETS,
        _box(),
        start(),
        get("/containers/json?filters=" + quote(json.dumps({"network": ["net1"]}))),
        get("/containers/json?filters=" + quote(json.dumps({"network": ["net2"]}))),
    ),
)
