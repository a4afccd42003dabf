"""Paths to handlers."""

import pytest

from seaway_api.http.routing import Route, Router, split_version
from seaway_api.translate.version import NEWEST


@pytest.fixture
def router() -> Router[str]:
    return Router(
        [
            Route("GET", "/images/json", "list"),
            Route("GET", "/images/{name}/json", "inspect"),
            Route("DELETE", "/images/{name}", "remove"),
            Route("DELETE", "/volumes/{name}", "remove", nameless=True),
            Route("GET", "/_ping", "ping"),
        ]
    )


@pytest.mark.parametrize(
    ("method", "path", "handler", "params"),
    [
        ("GET", "/_ping", "ping", {}),
        ("GET", "/images/json", "list", {}),
        ("GET", "/images/a/b:1/json", "inspect", {"name": "a/b:1"}),
        ("GET", "/images/json/json", "inspect", {"name": "json"}),
        ("DELETE", "/images/a/b", "remove", {"name": "a/b"}),
        ("DELETE", "/volumes/a", "remove", {"name": "a"}),
        ("DELETE", "/volumes/", "remove", {"name": ""}),
    ],
)
def test_found(router: Router[str], method: str, path: str, handler: str, params: dict[str, str]) -> None:
    match = router.find(method, path)
    assert match is not None
    assert (match.route.handler, match.params) == (handler, params)


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/_ping"), ("GET", "/images//json"), ("GET", ""), ("GET", "x"), ("DELETE", "/images/")],
)
def test_not_found(router: Router[str], method: str, path: str) -> None:
    assert router.find(method, path) is None


@pytest.mark.parametrize(
    ("raw", "wanted"),
    [
        ("/info", (NEWEST, "/info", "")),
        ("/v1.45/info", ((1, 45), "/info", "1.45")),
        ("/v1.24/images/a%2Fb/json", ((1, 24), "/images/a/b/json", "1.24")),
        ("/v1/info", ((1, 0), "/info", "1")),
        ("/v1./info", ((1, 0), "/info", "1.")),
        ("/v1.2.3/info", ((1, 2, 3), "/info", "1.2.3")),
        ("/v1.024.0/info", ((1, 24), "/info", "1.024.0")),
        ("/v1.24.0000000000000/info", (None, "/info", "1.24.0000000000000")),
        ("/version", (NEWEST, "/version", "")),
    ],
)
def test_versions(raw: str, wanted: object) -> None:
    assert split_version(raw) == wanted
