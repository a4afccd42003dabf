"""The registries that both engines have, each in its own world at the same addresses: a real one, and a v1 search."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final
from urllib.parse import parse_qs, urlsplit

REGISTRY_PORT: Final = 5000
SEARCH_PORT: Final = 5001
REGISTRY: Final = f"127.0.0.1:{REGISTRY_PORT}"
SEARCH: Final = f"127.0.0.1:{SEARCH_PORT}"
NOBODY: Final = "127.0.0.1:1"

_RESULTS: Final = [
    {"name": "busybox", "description": "Busybox base image.", "is_official": True, "star_count": 100},
    {"name": "one/low", "description": "two\nlines", "is_official": False, "is_automated": True, "star_count": 2},
    {"name": "one/none", "description": None},
]
_DENIED: Final = {"errors": [{"code": "DENIED", "message": "requested access to the resource is denied"}]}


class SearchServer:
    """Answers searches: `boom` with an error, `odd` with what is no JSON; and denies all that is v2."""

    def __init__(self, port: int) -> None:
        self._server = ThreadingHTTPServer(("127.0.0.1", port), _Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        """End it."""
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        term = parse_qs(parts.query).get("q", [""])[0]
        if parts.path.startswith("/v2/"):
            return self._answer(403, json.dumps(_DENIED).encode())
        if term == "boom":
            return self._answer(500, b"oh no")
        found = {"query": term, "num_results": len(_RESULTS), "results": _RESULTS}
        return self._answer(200, b"]" if term == "odd" else json.dumps(found).encode())

    do_HEAD = do_POST = do_GET  # noqa: N815

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
