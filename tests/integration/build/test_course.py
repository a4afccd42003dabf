"""Whether the image service is asked before an image is pushed to it."""

import http.server
import threading
from collections.abc import Iterator

import pytest

from seaway_agent.build.course import is_known
from seaway_contracts.builds import BuildGo

_KNOWN = "a" * 64


class _Service(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_HEAD(self) -> None:
        """One image is there, for who has the token."""
        known = self.path == f"/v2/localhost/seaway-image/{_KNOWN}/manifests/latest"
        allowed = self.headers["Authorization"] == "Bearer token"
        self.send_response(401 if not allowed else 200 if known else 404)
        self.end_headers()


@pytest.fixture
def url() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Service) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_what_it_has_is_known(url: str) -> None:
    assert is_known(BuildGo(url=url, token="token", repository="r"), _KNOWN)
    assert not is_known(BuildGo(url=url, token="token", repository="r"), "b" * 64)
    assert not is_known(BuildGo(url=url, token="other", repository="r"), _KNOWN)


def test_one_that_does_not_answer_has_nothing() -> None:
    assert not is_known(BuildGo(url="http://127.0.0.1:1", token="token", repository="r"), _KNOWN)
