"""Sessions by their ids: one client's never replaces another's."""

import pytest

from seaway_api.buildkit.connections import session_headers
from seaway_api.buildkit.sessions import SessionRefused, Sessions


async def test_an_id_in_use_is_nobody_elses() -> None:
    sessions = Sessions()
    with sessions.opened("one", "uid:1") as mine:
        with pytest.raises(SessionRefused, match="already exists"), sessions.opened("one", "uid:1"):
            pass
        with pytest.raises(SessionRefused, match="another client"), sessions.opened("one", "uid:2"):
            pass
        with pytest.raises(SessionRefused, match="another client"), sessions.building("one", "uid:2"):
            pass
        assert sessions.find("one") is mine and mine.open
    assert len(sessions) == 0
    with sessions.opened("one", "uid:2"):
        assert len(sessions) == 1


async def test_a_build_reserves_its_session_before_and_after_it() -> None:
    sessions = Sessions()
    with sessions.building("one", "uid:1") as before:
        with pytest.raises(SessionRefused), sessions.opened("one", "uid:2"):
            pass
        with sessions.opened("one", "uid:1") as opened:
            assert opened is before
        assert sessions.find("one") is before
    assert len(sessions) == 0


async def test_a_session_needs_an_id() -> None:
    with pytest.raises(SessionRefused, match="no id"), Sessions().opened("", "uid:1"):
        pass


def test_our_methods_are_offered_with_the_clients() -> None:
    given = [
        ("X-Docker-Expose-Session-Uuid", "one"),
        ("X-Docker-Expose-Session-Sharedkey", ""),
        ("X-Docker-Expose-Session-Grpc-Method", "/containerd.services.content.v1.Content/Read"),
        ("Host", "x"),
    ]
    headers = session_headers(given)
    methods = [value for name, value in headers if name == b"x-docker-expose-session-grpc-method"]
    assert methods.count(b"/containerd.services.content.v1.Content/Read") == 1 and len(methods) == 4
    assert {name for name, _ in headers} == {b"x-docker-expose-session-uuid", b"x-docker-expose-session-grpc-method"}


@pytest.mark.parametrize("count", [300, 1])
def test_headers_are_bounded(count: int) -> None:
    value = "x" * (5000 if count == 1 else 1)
    with pytest.raises(ValueError, match="more than"):
        session_headers([("X-Docker-Expose-Session-Grpc-Method", value)] * count)
