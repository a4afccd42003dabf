"""Who may send requests to a TCP endpoint from within a browser."""

import pytest

from seaway_api.http.errors import ApiError
from seaway_api.http.origin import check_origin

HERE = "127.0.0.1:2375"


@pytest.mark.parametrize("host", [HERE, "localhost", "LOCALHOST:2375", "[::1]:2375", ""])
def test_our_own_hosts(host: str) -> None:
    check_origin({"Host": host}, verified=False)


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example:2375", "evil@127.0.0.1"])
def test_a_foreign_host_is_refused(host: str) -> None:
    with pytest.raises(ApiError, match="foreign"):
        check_origin({"Host": host}, verified=False)


def test_with_a_certificate_the_host_may_have_a_name() -> None:
    check_origin({"Host": "engine.example:2376"}, verified=True)
    check_origin({"Host": "engine.example:2376", "Origin": "https://engine.example:2376"}, verified=True)


def test_a_page_of_this_very_endpoint() -> None:
    check_origin({"Host": HERE, "Origin": f"http://{HERE}"}, verified=False)


@pytest.mark.parametrize(
    "origin",
    [
        "http://127.0.0.1:8080",
        "http://127.0.0.1",
        "https://127.0.0.1:2375",
        "http://localhost:2375",
        "http://evil.example",
        "null",
        "",
        "http://[",
    ],
)
def test_a_page_of_anywhere_else_is_refused(origin: str) -> None:
    with pytest.raises(ApiError, match="not allowed"):
        check_origin({"Host": HERE, "Origin": origin}, verified=False)


def test_a_page_of_a_named_engine_needs_its_scheme_and_port() -> None:
    for origin in ("https://engine.example", "http://engine.example:2376", "https://engine.example:8443"):
        with pytest.raises(ApiError):
            check_origin({"Host": "engine.example:2376", "Origin": origin}, verified=True)
