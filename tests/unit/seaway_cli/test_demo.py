import json
import socketserver
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from seaway_cli import demo
from seaway_cli.demo import Api
from seaway_cli.errors import CliError

ANSWERS: dict[tuple[str, str], tuple[int, bytes]] = {
    ("POST", "/containers/create"): (201, b'{"Id": "c1", "Warnings": []}'),
    ("POST", "/containers/c1/start"): (204, b""),
    ("POST", "/containers/c1/wait"): (200, b'{"StatusCode": 3}'),
    ("GET", "/containers/c1/logs?stdout=1&stderr=1"): (200, b"\1\0\0\0\0\0\0\3hi\n\2\0\0\0\0\0\0\2no"),
    ("DELETE", "/containers/c1?force=1"): (204, b""),
    ("GET", "/images/busybox%3Alatest/json"): (200, b"{}"),
    ("GET", "/refused"): (409, b'{"message": "name in use"}'),
    ("GET", "/odd"): (500, b"oops\n"),
}
SEEN: list[tuple[str, str]] = []


class Handler(BaseHTTPRequestHandler):
    def answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        SEEN.append((self.command, self.path))
        status, body = ANSWERS[self.command, self.path]
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_DELETE = answer  # noqa: N815

    def address_string(self) -> str:
        return "local"

    def log_message(self, format: str, *args: object) -> None:
        return


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    SEEN.clear()
    with socketserver.ThreadingUnixStreamServer(str(tmp_path / "s"), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield Api(f"unix://{tmp_path}/s")
        server.shutdown()
        thread.join()


def test_container_is_run_and_removed(api: Api) -> None:
    assert demo.run_container(api, ["x"]) == (3, "hi\nno")
    assert SEEN[-1] == ("DELETE", "/containers/c1?force=1")


def test_container_is_removed_after_a_refusal(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ANSWERS, ("POST", "/containers/c1/start"), (500, json.dumps({"message": "no room"}).encode()))
    with pytest.raises(CliError, match="no room"):
        demo.run_container(api, ["x"])
    assert SEEN[-1] == ("DELETE", "/containers/c1?force=1")


def test_image_that_is_there_is_not_loaded_again(api: Api) -> None:
    assert demo.ensure_image(api) is False


def test_refusals_are_told(api: Api, tmp_path: Path) -> None:
    with pytest.raises(CliError, match="name in use"):
        api.call("GET", "/refused")
    with pytest.raises(CliError, match="oops"):
        api.call("GET", "/odd")
    with pytest.raises(CliError, match="failed"):
        Api(f"unix://{tmp_path}/none").call("GET", "/x")


@pytest.mark.parametrize(
    ("hosts", "tls", "chosen"),
    [
        (["unix:///s"], False, "unix:///s"),
        (["tcp://127.0.0.1:2375", "unix:///s"], True, "unix:///s"),
        (["tcp://127.0.0.1:2375"], False, "tcp://127.0.0.1:2375"),
        (["tcp://127.0.0.1:2376"], True, None),
    ],
)
def test_endpoint_that_needs_no_certificate(hosts: list[str], tls: bool, chosen: str | None) -> None:
    assert demo.plain_host({"hosts": hosts, "tls": tls}) == chosen
