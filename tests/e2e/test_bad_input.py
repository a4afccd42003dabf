"""Requests that are wrong: each gets a clear answer, and the engine goes on."""

import json
from collections.abc import Iterator
from urllib.parse import quote

import pytest
from e2e_rig.api import Api, connect
from e2e_rig.engine import Engine

HEAD = "POST /v1.45/containers/create HTTP/1.1\r\nHost: d\r\n"


@pytest.fixture(autouse=True)
def unharmed(engine: Engine, no_containers: None) -> Iterator[None]:
    """After each bad request the engine serves on, by the same processes, and has made nothing."""
    before = engine.processes()
    yield
    assert engine.api.containers() == []
    assert engine.api.request("GET", "/_ping").body == b"OK"
    assert engine.processes() == before


def status_of(answer: bytes) -> int:
    assert answer.startswith(b"HTTP/1."), answer[:200]
    return int(answer.split(b" ", 2)[1])


@pytest.mark.parametrize("body", [b"{", b"[1]", b'"text"', b'{"Image": 5}', b'{"Image": "busybox", "Cmd": {"a": 1}}'])
def test_bad_json_and_bad_types(api: Api, body: bytes) -> None:
    reply = api.request("POST", "/containers/create", body, {"Content-Type": "application/json"})
    assert reply.status == 400 and reply.message


@pytest.mark.parametrize(
    "body",
    [
        {"Image": "busybox", "HostConfig": {"Memory": "much"}},
        {"Image": "busybox", "Env": "A=b"},
        {"Image": "busybox", "HostConfig": {"Binds": [5]}},
        {"Image": "busybox", "HostConfig": {"PortBindings": {"80/tcp": [{"HostPort": "many"}]}}},
        {"Image": "busybox", "HostConfig": {"Binds": ["relative:/data:bogus"]}},
        {"Image": "busybox", "HostConfig": {"Binds": ["/tmp:relative"]}},
        {"Image": "busybox", "HostConfig": {"RestartPolicy": {"Name": "perhaps"}}},
        {"Image": "busybox", "StopSignal": "SIGNOTHING"},
    ],
)
def test_values_that_cannot_be(api: Api, body: object) -> None:
    reply = api.request("POST", "/containers/create", body)
    assert reply.status in (400, 500) and reply.message  # 500 is Docker's own for some of them


def test_empty_body_and_empty_config(api: Api) -> None:
    assert api.request("POST", "/containers/create", b"", {"Content-Type": "application/json"}).status == 400
    reply = api.request("POST", "/containers/create", b"null", {"Content-Type": "application/json"})
    assert reply.status == 400 and "config cannot be empty" in reply.message


def test_trailing_json(api: Api) -> None:
    body = json.dumps({"Image": "busybox"}).encode() + b'{"more": 1}'
    reply = api.request("POST", "/containers/create", body, {"Content-Type": "application/json"})
    assert reply.status == 400


@pytest.mark.parametrize("kind", ["application/x-www-form-urlencoded", "text/plain"])
def test_other_content_types(api: Api, kind: str) -> None:
    reply = api.request("POST", "/containers/create", b'{"Image": "busybox"}', {"Content-Type": kind})
    assert reply.status == 400
    assert "unsupported Content-Type header" in reply.message or "Content-Type" in reply.message


@pytest.mark.seaway_only
def test_huge_body(api: Api) -> None:
    answer = api.raw(
        (HEAD + f"Content-Type: application/json\r\nContent-Length: {64 << 20}\r\n\r\n").encode() + b" " * (64 << 20)
    )
    assert status_of(answer) == 413


@pytest.mark.seaway_only
def test_deep_json(api: Api) -> None:
    body = b'{"Image": "busybox", "Labels": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    assert api.request("POST", "/containers/create", body, {"Content-Type": "application/json"}).status == 400


@pytest.mark.parametrize(
    ("head", "statuses"),
    [
        ("GET /_ping HTTP/1.1\r\n\r\n", {400}),
        ("GET /_ping HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", {400}),
        (HEAD + "Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}", {400}),
        (HEAD + "Content-Length: x\r\n\r\n", {400}),
        (HEAD + "Transfer-Encoding: nonsense\r\n\r\n", {400, 501}),
        (HEAD + "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", {400}),
        ("NONSENSE\r\n\r\n", {400}),
        ("GET /_ping HTTP/9.9\r\nHost: d\r\n\r\n", {400, 505}),
    ],
)
def test_broken_http(api: Api, head: str, statuses: set[int]) -> None:
    assert status_of(api.raw(head.encode(), timeout=2)) in statuses


@pytest.mark.seaway_only
def test_length_and_encoding_together(api: Api) -> None:
    request = HEAD + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    assert status_of(api.raw(request.encode(), timeout=2)) == 400


def test_huge_header(api: Api) -> None:
    answer = api.raw(f"GET /_ping HTTP/1.1\r\nHost: d\r\nX-Long: {'x' * 1_100_000}\r\n\r\n".encode(), timeout=2)
    assert status_of(answer) in (400, 431)


@pytest.mark.parametrize("name", ["a%20b", "*", "%3E", "a%0d%0ab", "..%2f..%2fetc", "%00", "é"])
def test_names_that_are_none(api: Api, name: str) -> None:
    spelled = quote(name, safe="%*")
    assert api.request("POST", f"/containers/create?name={spelled}", {"Image": "busybox"}).status in (400, 404)
    assert api.request("GET", f"/containers/{spelled}/json").status in (301, 400, 404)


@pytest.mark.seaway_only  # dockerd keeps a descriptor for each
def test_hang_ups_leave_nothing(api: Api) -> None:
    container = api.request("POST", "/containers/create", {"Image": "busybox", "Cmd": ["true"]}).json()["Id"]
    for number in range(60):
        with connect(api.path) as client:
            request = f"POST /containers/{container}/attach?stream=1&stdout=1 HTTP/1.1\r\nHost: d\r\n"
            upgrade = "Connection: Upgrade\r\nUpgrade: tcp\r\n" if number % 2 else ""
            client.sendall((request + upgrade + "Content-Length: 0\r\n\r\n").encode())
    for path in (f"containers/{container}/wait", "containers/create", "images/load"):
        for _ in range(20):
            with connect(api.path) as client:
                client.sendall(f"POST /{path} HTTP/1.1\r\nHost: d\r\nContent-Length: 10\r\n\r\nabc".encode())
    api.request("DELETE", f"/containers/{container}?force=1")


@pytest.mark.parametrize("path", ["/images/load", "/images/create?fromSrc=-&repo=x"])
def test_archives_that_are_none(api: Api, path: str) -> None:
    reply = api.request("POST", path, b"\0" * 100 + b"rubbish", {"Content-Type": "application/x-tar"})
    assert reply.status in (400, 500) or b'"error"' in reply.body


def test_requests_on_one_connection(api: Api) -> None:
    one = "GET /_ping HTTP/1.1\r\nHost: d\r\n\r\n"
    last = "GET /_ping HTTP/1.1\r\nHost: d\r\nConnection: close\r\n\r\n"
    assert api.raw((one + one + last).encode()).count(b"\r\n\r\nOK") == 3
