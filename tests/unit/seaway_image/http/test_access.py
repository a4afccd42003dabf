"""Tokens: each for what it was given, and for so long."""

import pytest

from seaway_contracts.archives import ImageOrder
from seaway_image.http.access import READ_S, UPLOAD_S, Access
from seaway_testing.clock import FakeClock

ORDER = ImageOrder(image="sha256:below", target="made:1", actor="uid:7")


@pytest.fixture
def access(clock: FakeClock) -> Access:
    return Access("suite", clock.monotonic)


def bearer(token: str) -> str:
    return f"Bearer {token}"


def test_the_services_token_is_for_all_but_a_commit(access: Access) -> None:
    assert access.may_do_all("Bearer suite") and access.may_read("Bearer suite")
    assert access.granted("Bearer suite") is None


@pytest.mark.parametrize("given", ["", "suite", "Bearer", "Bearer ", "Bearer suit", "Basic suite", "bearer suite"])
def test_anything_else_is_for_nothing(access: Access, given: str) -> None:
    access.reader("n1")
    assert not access.may_do_all(given) and not access.may_read(given) and access.granted(given) is None


def test_a_nodes_token_is_its_own_and_ends(access: Access, clock: FakeClock) -> None:
    first = access.reader("n1")
    assert access.reader("n1") == first != access.reader("n2")
    assert access.may_read(bearer(first)) and not access.may_do_all(bearer(first))
    clock.advance(READ_S * 0.6)
    second = access.reader("n1")
    assert second != first and access.may_read(bearer(first))
    clock.advance(READ_S * 0.5)
    assert not access.may_read(bearer(first)) and access.may_read(bearer(second))


def test_an_upload_is_one_image_by_one_node(access: Access, clock: FakeClock) -> None:
    token = access.upload("n1", ORDER)
    upload = access.granted(bearer(token))
    assert upload is not None and (upload.node, upload.order) == ("n1", ORDER)
    assert not access.may_read(bearer(token)) and not access.may_do_all(bearer(token))
    assert access.upload("n1", ORDER) != token
    clock.advance(UPLOAD_S + 1)
    assert access.granted(bearer(token)) is None
