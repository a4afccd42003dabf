"""Containers that were registered, and whose API process was killed before the node made them."""

from collections.abc import Callable
from typing import Any

import pytest

from seaway_contracts.containers import ContainerRecord, ContainerStatus
from seaway_contracts.errors import Code, SeawayError
from seaway_testing import builders

Failure = Callable[..., SeawayError]


@pytest.fixture
def unknown(rig: Any, failure: Failure) -> None:
    """The node knows no container."""
    verbs = ("attach", "start", "remove")
    rig.suite.fail |= {verb: failure(Code.NOT_FOUND, "No such container: box1") for verb in verbs}


def registered(rig: Any, seq: int = 0) -> ContainerRecord:
    record = ContainerRecord(spec=builders.spec(1), node="n1", status=ContainerStatus(seq=seq))
    rig.suite.add(record)
    return record


@pytest.mark.usefixtures("unknown")
@pytest.mark.parametrize(("verb", "query"), [("start", ""), ("attach", "?stream=1&stdout=1")])
async def test_whoever_needs_it_makes_it_first(rig: Any, verb: str, query: str) -> None:
    """`docker start -a` attaches before it starts."""
    record = registered(rig)
    await rig.call("POST", f"/containers/box1/{verb}{query}")
    assert [request.spec for request in rig.suite.named("create")] == [record.spec]
    assert [request.id for request in rig.suite.named(verb)] == [record.id, record.id]


@pytest.mark.usefixtures("unknown")
async def test_a_removal_takes_the_record_back(rig: Any) -> None:
    registered(rig)
    assert (await rig.call("DELETE", "/containers/box1")).status == 204
    assert rig.suite.records == {}


@pytest.mark.usefixtures("unknown")
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/containers/box1/start"),
        ("POST", "/containers/box1/attach?stream=1&stdout=1"),
        ("DELETE", "/containers/box1"),
    ],
)
async def test_one_that_was_made_and_is_gone_stays_a_404(rig: Any, method: str, path: str) -> None:
    registered(rig, seq=3)
    assert (await rig.call(method, path)).status == 404
    assert rig.suite.named("create") == rig.suite.named("forget") == []
