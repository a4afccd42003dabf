"""Versions, headers, unknown routes, what each answer carries."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from prometheus_client import REGISTRY

from seaway_api.http import dispatch
from seaway_api.service import serve
from seaway_api.translate.version import API_VERSION
from seaway_contracts.containers import State
from seaway_contracts.errors import Code
from seaway_contracts.images import Registries
from seaway_contracts.nodes import NodeFacts, NodeList
from seaway_testing import builders
from seaway_testing.waiting import GUARD_S, until


@pytest.mark.parametrize("prefix", ["", "/v1.24", "/v1.45", "/v1.51"])
async def test_ping_in_all_versions(rig: Any, prefix: str) -> None:
    answer = await rig.call("GET", f"{prefix}/_ping")
    assert (answer.status, answer.body) == (200, b"OK")
    assert answer.headers["api-version"] == API_VERSION
    assert answer.headers["docker-experimental"] == "false"
    assert answer.headers["ostype"] == "linux"
    assert answer.headers["server"].startswith("Seaway/")
    assert answer.headers["swarm"] == "inactive"
    assert answer.headers["cache-control"] == "no-cache, no-store, must-revalidate"


async def test_head_ping_has_no_body(rig: Any) -> None:
    wire = await rig.wire()
    wire.send(b"HEAD /_ping HTTP/1.1\r\nHost: d\r\n\r\nGET /_ping HTTP/1.1\r\nHost: d\r\n\r\n")
    assert (await wire.answer("HEAD")).headers["api-version"] == API_VERSION
    assert (await wire.answer()).body == b"OK"


@pytest.mark.parametrize(
    ("version", "wrong"),
    [
        ("1.99", f"new. Maximum supported API version is {API_VERSION}"),
        ("2", f"new. Maximum supported API version is {API_VERSION}"),
        (f"{API_VERSION}.1", f"new. Maximum supported API version is {API_VERSION}"),
        ("1.23", "old. Minimum supported API version is 1.24, please upgrade your client to a newer version"),
        ("1.2.3", "old. Minimum supported API version is 1.24, please upgrade your client to a newer version"),
        ("1", "old. Minimum supported API version is 1.24, please upgrade your client to a newer version"),
    ],
)
async def test_versions_out_of_range(rig: Any, version: str, wrong: str) -> None:
    message = f"client version {version} is too {wrong}"
    answer = await rig.call("GET", f"/v{version}/_ping")
    assert (answer.status, answer.json) == (400, {"message": message})


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/nothing"), ("PUT", "/info"), ("GET", "/v1.45/containers"), ("DELETE", "/_ping"), ("GET", "/v1.x/_ping")],
)
async def test_unknown_routes_and_methods(rig: Any, method: str, path: str) -> None:
    answer = await rig.call(method, path)
    assert (answer.status, answer.json) == (404, {"message": "page not found"})


@pytest.mark.parametrize("path", ["/info", "/nothing", "/v1.24/containers/json", "/"])
async def test_options_of_any_path(rig: Any, path: str) -> None:
    answer = await rig.call("OPTIONS", path)
    assert (answer.status, answer.body) == (200, b"")


async def test_options_of_a_wrong_version(rig: Any) -> None:
    answer = await rig.call("OPTIONS", "/v1.23/info")
    assert answer.status == 400


async def test_an_unclean_path_is_redirected(rig: Any) -> None:
    answer = await rig.call("GET", "/v1.45//info")
    assert (answer.status, answer.headers["location"]) == (301, "/v1.45/info")
    assert (await rig.call("GET", "//nothing/..//x")).headers["location"] == "/x"


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "message"),
    [
        ("GET", "/nodes?filters={", None, 400, "invalid filter"),
        ("GET", "/services?status=x", None, 400, "invalid value for status: x: "),
        ("GET", "/services/x/logs", None, 400, "Bad parameters: you must choose at least one stream"),
        ("GET", "/tasks/x/logs?stdout=1", None, 503, "This node is not a swarm manager."),
        ("POST", "/services/create", [1], 400, "invalid JSON: "),
        ("POST", "/secrets/x/update", {}, 400, "invalid secret version"),
        ("POST", "/nodes/x/update", {}, 400, "invalid node version '': strconv.ParseUint: parsing"),
        ("POST", "/swarm/update?version=1&rotateWorkerToken=x", {}, 400, "invalid value for rotateWorkerToken: x"),
        ("POST", "/swarm/update?version=1", {}, 503, "This node is not a swarm manager."),
        ("POST", "/swarm/leave", None, 503, "This node is not part of a swarm"),
        ("GET", "/plugins?filters={%22nope%22:[%22x%22]}", None, 400, "invalid filter 'nope'"),
        ("GET", "/plugins?filters={%22enabled%22:[%22x%22]}", None, 400, "invalid filter 'enabled=[x]'"),
        ("POST", "/plugins/x/enable", None, 400, "strconv.Atoi: "),
        ("POST", "/plugins/a/b:1/disable", None, 404, 'plugin "a/b:1" not found'),
        ("POST", "/plugins/x/upgrade?remote=y", None, 404, 'plugin "x:latest" not found'),
        ("POST", "/plugins/pull?remote=Y", None, 400, "invalid reference format"),
        ("POST", "/plugins/pull?remote=y", None, 501, "not supported by Seaway yet: plugins"),
        ("POST", "/plugins/create", None, 400, "failed to parse reference : invalid reference format"),
    ],
)  # fmt: skip
async def test_swarm_and_plugins(rig: Any, method: str, path: str, body: Any, status: int, message: str) -> None:
    answer = await rig.call(method, path, body)
    assert (answer.status, answer.json["message"][: len(message)]) == (status, message)


@pytest.mark.parametrize("path", ["/nodes", "/nodes/self", "/services", "/swarm", "/secrets", "/configs", "/tasks"])
async def test_no_swarm(rig: Any, path: str) -> None:
    answer = await rig.call("GET", path)
    assert answer.status == 503
    assert answer.json["message"].startswith("This node is not a swarm manager.")


async def test_docker_inspect_of_nothing_is_sent_on_by_every_kind(rig: Any) -> None:
    """`docker inspect x` asks all kinds in turn and goes on only after a 404."""
    for path in ("/containers/x/json", "/images/x/json", "/networks/x", "/volumes/x", "/plugins/x/json"):
        answer = await rig.call("GET", f"/v1.45{path}")
        assert answer.status == 404, path
        assert answer.json["message"]


@pytest.mark.parametrize(
    ("code", "status"),
    [(Code.CONFLICT, 409), (Code.UNAVAILABLE, 503), (Code.TIMEOUT, 504), (Code.INTERNAL, 500), (Code.FORBIDDEN, 403)],
)
async def test_errors_of_other_services_pass_through(rig: Any, failure: Any, code: Code, status: int) -> None:
    rig.suite.fail["get"] = failure(code, "a sentence that names the thing")
    answer = await rig.call("GET", "/containers/x/json")
    assert (answer.status, answer.json) == (status, {"message": "a sentence that names the thing"})


async def test_version_and_info_without_nodes(rig: Any) -> None:
    version = (await rig.call("GET", "/version")).json
    assert (version["ApiVersion"], version["MinAPIVersion"]) == ("1.51", "1.24")
    info = (await rig.call("GET", "/info")).json
    assert (info["Images"], info["Containers"], info["Name"]) == (1, 0, "n1")
    assert info["Plugins"]["Network"] == ["bridge", "host", "macvlan", "null"]


async def test_info_tells_what_is_configured_and_what_the_kernel_can(rig: Any) -> None:
    rig.suite.known_registries = Registries(mirrors=("https://mirror.example/",), insecure=("10.0.0.0/8", "old:5000"))
    facts = NodeFacts(cgroup_version="2", cdi_directories=("/etc/cdi",))
    rig.suite.nodes = NodeList(nodes=(builders.node_record(facts=facts),))
    info = (await rig.call("GET", "/info")).json
    config = info["RegistryConfig"]
    assert config["Mirrors"] == config["IndexConfigs"]["docker.io"]["Mirrors"] == ["https://mirror.example/"]
    assert config["InsecureRegistryCIDRs"] == ["10.0.0.0/8", "127.0.0.0/8"]
    assert config["IndexConfigs"]["old:5000"] == {"Name": "old:5000", "Mirrors": [], "Secure": False, "Official": False}
    assert (info["OomKillDisable"], info["CDISpecDirs"]) == (False, ["/etc/cdi"])
    assert info["Plugins"]["Log"] == ["json-file", "local", "nats", "none"]


async def test_a_login_is_the_registrys_to_judge(rig: Any, failure: Any) -> None:
    body = {"username": "ann", "password": "x", "serveraddress": "localhost:5000"}
    answer = await rig.call("POST", "/auth", body)
    assert (answer.status, answer.json) == (200, {"Status": "Login Succeeded", "IdentityToken": ""})
    (asked,) = rig.suite.named("login")
    assert (asked.auth.username, asked.auth.password, asked.auth.server_address) == ("ann", "x", "localhost:5000")
    rig.suite.fail["login"] = failure(Code.UNAUTHORIZED, "unauthorized: incorrect username or password")
    answer = await rig.call("POST", "/auth", body)
    assert (answer.status, answer.json["message"]) == (401, "unauthorized: incorrect username or password")


async def test_info_says_which_service_is_silent(rig: Any, failure: Any) -> None:
    rig.suite.fail["images"] = failure(Code.UNAVAILABLE, "gone")
    info = (await rig.call("GET", "/info")).json
    assert info["Warnings"] == ["WARNING: the image service does not answer"]


async def test_info_says_at_once_that_the_bus_is_away(rig: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rig.api.bus, "_patience_s", 3600.0)
    rig.server.stop()
    async with asyncio.timeout(GUARD_S):
        info = (await rig.call("GET", "/info")).json
        disk = await rig.call("GET", "/system/df")
        assert (await rig.call("GET", "/_ping")).status == 200
    (warning,) = info["Warnings"]
    assert warning.startswith("WARNING: the bus is away: no connection to the fake server; containers go on")
    assert (disk.status, "the bus is away" in disk.json["message"]) == (503, True)
    rig.server.start()
    assert (await rig.call("GET", "/info")).json["Warnings"] is None


async def test_what_is_not_there_yet_is_named(rig: Any) -> None:
    answer = await rig.call("POST", "/v1.45/swarm/init", {"ListenAddr": "0.0.0.0:2377"})
    assert (answer.status, answer.json["message"]) == (501, "not supported by Seaway yet: swarm mode")
    empty = await rig.call("POST", "/v1.45/swarm/join", b"")
    assert (empty.status, empty.json["message"]) == (400, 'invalid ListenAddr "": invalid empty address')


async def test_an_http_1_0_client_is_served(rig: Any) -> None:
    wire = await rig.wire()
    wire.send(b"GET /containers/json HTTP/1.0\r\n\r\n")
    answer = await wire.answer()
    assert (answer.status, answer.json) == (200, [])


async def test_a_client_that_waits_to_be_told_to_go_on(rig: Any) -> None:
    wire = await rig.wire()
    head = "POST /containers/create HTTP/1.1\r\nHost: d\r\nContent-Type: application/json\r\nContent-Length: 19\r\n"
    wire.send(f"{head}Expect: 100-continue\r\n\r\n".encode())
    assert (await wire.head())[0] == 100
    wire.send(b'{"Image":"busybox"}')
    assert (await wire.answer()).status == 201


@pytest.fixture
async def early(rig: Any, tmp_path: Path) -> AsyncIterator[Any]:
    """The same API before it hears the bus; `begun` says that it does."""
    begun = asyncio.Event()
    settings = rig.api.settings.model_copy(update={"host": (f"unix://{tmp_path}/early.sock",)})
    async with serve(replace(rig.api, settings=settings, begun=begun)):
        yield SimpleNamespace(rig=type(rig)(rig.api, rig.suite, f"{tmp_path}/early.sock", rig.server), begun=begun)


async def test_before_it_hears_the_bus_requests_wait(early: Any) -> None:
    waiting = asyncio.create_task(early.rig.call("GET", "/containers/json"))
    assert (await early.rig.call("GET", "/_ping")).status == 200
    assert (await early.rig.call("GET", "/info")).status == 200
    assert not waiting.done()
    early.begun.set()
    assert (await waiting).json == []


@pytest.mark.parametrize(("stays", "killed"), [(True, 1), (False, 0)])
async def test_a_client_that_has_hung_up_by_then_gets_nothing_done(early: Any, stays: bool, killed: int) -> None:
    record = early.rig.suite.add(builders.record(State.RUNNING))
    asked = await early.rig.wire()
    asked.send(f"POST /containers/{record.id}/kill HTTP/1.1\r\nHost: d\r\nContent-Length: 0\r\n\r\n".encode())
    await early.rig.call("GET", "/_ping")
    if not stays:
        asked.close()
        await early.rig.call("GET", "/_ping")
    early.begun.set()
    assert (await early.rig.call("GET", "/containers/json")).status == 200
    await early.rig.quiet()
    assert len(early.rig.suite.named("kill")) == killed
    asked.close()


async def test_nobody_waits_for_long(early: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatch, "_PATIENCE_S", 0.01)
    answer = await early.rig.call("GET", "/containers/json")
    assert (answer.status, answer.json["message"]) == (503, "the suite is starting; try again in a moment")


async def test_requests_in_hand_are_shown_by_route(rig: Any) -> None:
    def value(name: str, **labels: str) -> float:
        return REGISTRY.get_sample_value(name, labels) or 0.0

    route = {"method": "POST", "route": "/containers/{name}/wait"}
    rig.suite.add(builders.record(1, state=State.RUNNING))
    wire = await rig.wire()
    wire.send(b"POST /v1.45/containers/box1/wait HTTP/1.1\r\nHost: d\r\n\r\n")
    await wire.head()
    assert value("seaway_api_requests_in_hand", **route) == 1
    await rig.suite.emit("die", builders.container_id(1), builders.status(State.EXITED, seq=3))
    assert await wire.chunk()
    assert await wire.chunk() == b""
    await until(lambda: not value("seaway_api_requests_in_hand", **route))


async def test_what_dockerd_times_is_timed(rig: Any) -> None:
    def timed(name: str, **labels: str) -> float:
        return REGISTRY.get_sample_value(f"engine_daemon_{name}_seconds_count", labels) or 0.0

    names = ("host_info_functions", "system_version"), ("image_actions", "delete")

    def counts() -> list[float]:
        return [timed(name, **{label: word}) for (name, word), label in zip(names, ("function", "action"), strict=True)]

    before = counts()
    assert (await rig.call("GET", "/version")).status == 200
    assert counts() == [before[0] + 1, before[1]]
    assert (await rig.call("DELETE", "/images/busybox")).status == 200
    assert counts() == [before[0] + 1, before[1] + 1]
