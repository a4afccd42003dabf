"""Requests that no honest client sends, byte by byte."""

import asyncio
import dataclasses
from pathlib import Path
from typing import Any

import orjson
import pytest

from seaway_api.service import serve

PING = b"GET /_ping HTTP/1.1\r\nHost: d\r\n\r\n"
CREATE = "POST /v1.45/containers/create HTTP/1.1\r\nHost: d\r\nContent-Type: application/json\r\n"


async def refused(rig: Any, data: bytes, status: int) -> str:
    """Send it; the status must be this one and the body a message in Docker's shape. The server must live on."""
    wire = await rig.wire()
    wire.send(data)
    answer = await wire.answer()
    assert answer.status == status, answer
    assert answer.headers["content-type"] == "application/json"
    assert (await rig.call("GET", "/_ping")).body == b"OK"
    assert not rig.suite.named("create")
    message: str = answer.json["message"]
    return message


async def test_length_and_chunks_together(rig: Any) -> None:
    head = f"{CREATE}Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n"
    await refused(rig, head.encode() + b"0\r\n\r\n", 400)


async def test_two_lengths(rig: Any) -> None:
    await refused(rig, f"{CREATE}Content-Length: 2\r\nContent-Length: 3\r\n\r\n".encode() + b"{}", 400)


@pytest.mark.parametrize("encoding", ["gzip", "chunked, identity", "xchunked"])
async def test_an_unknown_transfer_encoding(rig: Any, encoding: str) -> None:
    await refused(rig, f"{CREATE}Transfer-Encoding: {encoding}\r\n\r\n".encode() + b"{}", 501)


async def test_a_huge_header(rig: Any) -> None:
    await refused(rig, b"GET /_ping HTTP/1.1\r\nHost: d\r\nX: " + b"a" * 1_100_000 + b"\r\n\r\n", 431)


async def test_many_headers(rig: Any) -> None:
    fields = b"".join(b"X-%d: y\r\n" % number for number in range(5000))
    await refused(rig, b"GET /_ping HTTP/1.1\r\nHost: d\r\n" + fields + b"\r\n", 431)


async def test_no_host(rig: Any) -> None:
    await refused(rig, b"GET /_ping HTTP/1.1\r\n\r\n", 400)


async def test_not_http_at_all(rig: Any) -> None:
    await refused(rig, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400)


@pytest.mark.parametrize("body", [b'{"Image":"busybox"} x', b'{"Image":"busybox"}{}'])
async def test_something_behind_the_json(rig: Any, body: bytes) -> None:
    answer = await rig.call("POST", "/containers/create", body)
    assert (answer.status, answer.json["message"]) == (400, "unexpected content after JSON")


@pytest.mark.parametrize("body", [b"{", b"[]", b'"text"', b'{"Image":5}', b"\xff\xfe", b'{"Cmd":{"a":1}}'])
async def test_bad_json_and_bad_types(rig: Any, body: bytes) -> None:
    answer = await rig.call("POST", "/containers/create", body)
    assert answer.status == 400
    assert answer.json["message"].startswith("invalid JSON")


async def test_deep_json(rig: Any) -> None:
    answer = await rig.call("POST", "/containers/create", b'{"Labels":' + b"[" * 100_000 + b"]" * 100_000 + b"}")
    assert answer.status == 400


async def test_a_body_of_64_mib_is_refused_by_its_length_alone(rig: Any) -> None:
    await refused(rig, f"{CREATE}Content-Length: {64 << 20}\r\n\r\n".encode(), 413)


async def test_an_endless_body_in_chunks(rig: Any) -> None:
    wire = await rig.wire()
    wire.send(f"{CREATE}Transfer-Encoding: chunked\r\n\r\n".encode())
    piece = b"10000\r\n" + b" " * 0x10000 + b"\r\n"

    async def pour() -> None:
        try:
            for _ in range(1024):
                wire.send(piece)
                await wire.writer.drain()
        except ConnectionError:
            pass

    pouring = asyncio.ensure_future(pour())
    assert (await wire.head())[0] == 413
    wire.writer.transport.abort()
    await pouring


@pytest.mark.parametrize("kind", ["application/x-www-form-urlencoded", "text/plain", "multipart/form-data; boundary=x"])
async def test_bodies_that_a_web_page_can_send(rig: Any, kind: str) -> None:
    answer = await rig.call("POST", "/containers/create", b'{"Image":"busybox"}', Content_Type=kind)
    assert answer.status == 400
    assert "must be 'application/json'" in answer.json["message"]


async def test_no_body_for_a_create(rig: Any) -> None:
    assert (await rig.call("POST", "/containers/create", b"")).status == 400


@pytest.mark.parametrize("name", ["a%20b", "*", "%3E", "a%0d%0aX:%20y", "..%2f..%2fetc", "%00", "a/b", "seaway.v1.%3E"])
async def test_names_that_are_none(rig: Any, name: str) -> None:
    """Never part of a subject or header; simply no such container, and no name for a new one."""
    for path in (f"/containers/{name}/json", f"/containers/{name}/logs?stdout=1"):
        assert (await rig.call("GET", path)).status == 404
    answer = await rig.call("POST", f"/containers/create?name={name}", {"Image": "busybox"})
    assert (answer.status, answer.json["message"][:22]) == (400, "Invalid container name")
    assert not rig.suite.named("register")


async def test_pipelined_requests_are_answered_in_order(rig: Any) -> None:
    wire = await rig.wire()
    wire.send(PING + b"GET /nothing HTTP/1.1\r\nHost: d\r\n\r\n" + PING)
    assert [(await wire.answer()).status for _ in range(3)] == [200, 404, 200]


async def test_a_client_that_half_closes_still_gets_its_answer(rig: Any) -> None:
    wire = await rig.wire()
    wire.send(PING)
    wire.half_close()
    assert (await wire.answer()).body == b"OK"
    assert await wire.rest() == b""


async def test_a_body_that_never_comes_whole_starts_nothing(rig: Any) -> None:
    wire = await rig.wire()
    wire.send(f"{CREATE}Content-Length: 100\r\n\r\n".encode() + b'{"Image":"busybox"}')
    wire.half_close()
    assert await wire.rest() == b""
    assert not rig.suite.named("register")


async def test_a_head_that_never_ends(rig: Any) -> None:
    wire = await rig.wire()
    wire.send(b"GET /_ping HTTP/1.1\r\nHost: d\r\nX-Slow: ")
    await rig.quiet()
    assert (await rig.call("GET", "/_ping")).body == b"OK"
    wire.half_close()
    assert await wire.rest() == b""


async def test_an_unexpected_failure_is_a_500_in_dockers_shape(rig: Any) -> None:
    rig.suite.images["busybox"] = object()
    answer = await rig.call("POST", "/containers/create", {"Image": "busybox", "Cmd": ["true"]})
    assert answer.status == 500
    assert orjson.loads(answer.body)["message"]


@pytest.mark.parametrize("headers", [{"Host": "rebound.example:2375"}, {"Origin": "http://page.example"}])
async def test_pages_reach_no_unix_socket_behind_a_proxy(rig: Any, headers: dict[str, str], tmp_path: Path) -> None:
    headers = {"Host": "127.0.0.1:2375"} | headers
    assert (await rig.call("GET", "/_ping", **headers)).status == 200
    path = str(tmp_path / "proxied.sock")
    settings = rig.api.settings.model_copy(update={"behind_proxy": True, "host": (f"unix://{path}",)})
    async with serve(dataclasses.replace(rig.api, settings=settings)):
        proxied = dataclasses.replace(rig, path=path)
        answer = await proxied.call("POST", "/containers/create", {"Image": "busybox"}, **headers)
        assert answer.status == 403
        own = {"Host": "127.0.0.1:2375", "Origin": "http://127.0.0.1:2375"}
        assert (await proxied.call("GET", "/_ping", **own)).status == 200
    assert not rig.suite.named("create")
