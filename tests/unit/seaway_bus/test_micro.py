"""What `$SRV` subjects are answered with."""

import json

import pytest

from seaway_bus.micro import Endpoint, Micro, copy_of
from seaway_kit.tasks import Tasks
from seaway_testing.fake_transport import FakeServer, FakeTransport


async def test_answers_have_the_types_of_adr_32() -> None:
    endpoint = Endpoint("container.create", "seaway.v1.agent.n1.container.create")
    endpoint.count(0.5, "")
    endpoint.count(1.5, "conflict")
    micro = Micro(FakeTransport(FakeServer()), "agent", "1.0.0", [endpoint], Tasks("test"), id="X")
    head = {"name": "seaway-agent", "id": "X", "version": "1.0.0", "metadata": {}}
    assert micro.answer("PING") == {"type": "io.nats.micro.v1.ping_response", **head}
    info = micro.answer("INFO")
    assert info["type"] == "io.nats.micro.v1.info_response"
    assert [one["name"] for one in info["endpoints"]] == ["container_create"]
    (stats,) = micro.answer("STATS")["endpoints"]
    assert (stats["num_requests"], stats["num_errors"], stats["last_error"]) == (2, 1, "conflict")
    assert (stats["processing_time"], stats["average_processing_time"]) == (2_000_000_000, 1_000_000_000)


def test_a_process_says_where_it_runs() -> None:
    transport, tasks = FakeTransport(FakeServer()), Tasks("test")
    here = Micro(transport, "metadata", "1.0.0", [], tasks, "n1")
    assert copy_of(json.dumps(here.answer("PING")).encode()) == ("metadata", "n1")
    nowhere = Micro(transport, "metadata", "1.0.0", [], tasks)
    assert copy_of(json.dumps(nowhere.answer("PING")).encode()) is None


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"x",
        b"[]",
        b"{}",
        b'{"name": "seaway-api"}',
        b'{"name": "seaway-api", "metadata": {"node": "../.."}}',
        b'{"name": "seaway-api", "metadata": {"node": 1}}',
        b'{"name": "other", "metadata": {"node": "n1"}}',
    ],
)
def test_answers_of_others(answer: bytes) -> None:
    assert copy_of(answer) is None
