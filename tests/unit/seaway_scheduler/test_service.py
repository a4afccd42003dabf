"""The scheduler on the bus."""

import asyncio

import pytest

from seaway_bus.bus import Bus, Command
from seaway_contracts.base import Empty
from seaway_contracts.catalogue import BEAT, CONTAINER_CREATE, LIST_NODES, PLACE
from seaway_contracts.commands import PlaceRequest
from seaway_contracts.errors import Code, SeawayError
from seaway_contracts.nodes import NodeList
from seaway_scheduler import service
from seaway_scheduler.main import main
from seaway_scheduler.service import Scheduler
from seaway_testing.builders import beat, container_event, container_id, node_record, status


def request(seed: int, **fields: object) -> PlaceRequest:
    return PlaceRequest(container_id=container_id(seed), **fields)  # type: ignore[arg-type]


async def nodes(request: Empty, command: Command) -> NodeList:
    return NodeList(nodes=(node_record("n1"), node_record("n2", up=False)))


async def test_spreads_by_beats_and_own_placements(fake_bus: Bus) -> None:
    await Scheduler(fake_bus).start()
    for name in ("n1", "n2", "n3"):
        await fake_bus.beat(BEAT, name, beat(name))
    chosen = [(await fake_bus.call(PLACE, request(seed))).node for seed in range(6)]
    assert sorted(chosen) == ["n1", "n1", "n2", "n2", "n3", "n3"]
    again = [(await fake_bus.call(PLACE, request(seed))).node for seed in range(6)]
    assert again == chosen


async def test_events_turn_promises_into_containers(fake_bus: Bus) -> None:
    await Scheduler(fake_bus).start()
    await fake_bus.beat(BEAT, "n1", beat("n1"))
    await fake_bus.beat(BEAT, "n2", beat("n2"))
    assert (await fake_bus.call(PLACE, request(1))).node == "n1"
    envelope, body = container_event("create", status(seq=1))
    subject = CONTAINER_CREATE.subject("n1", envelope.subject_id)
    await fake_bus.transport.store(subject, CONTAINER_CREATE.encode(body), envelope.headers())
    await fake_bus.beat(BEAT, "n1", beat("n1"))
    assert (await fake_bus.call(PLACE, request(2))).node == "n1", "the beat shows an idle node"


async def test_learns_silent_nodes_from_metadata(fake_bus: Bus) -> None:
    await fake_bus.serve(LIST_NODES, nodes)
    await Scheduler(fake_bus).start()
    assert (await fake_bus.call(PLACE, request(1))).node == "n1"
    with pytest.raises(SeawayError, match="1 is down, 1 does not fit node==n2") as caught:
        await fake_bus.call(PLACE, request(2, constraints=("node==n2",)))
    assert caught.value.code == Code.UNPLACEABLE


async def test_no_node_yet(fake_bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "_FIRST_BEAT_S", 0.02)
    await Scheduler(fake_bus).start()
    with pytest.raises(SeawayError, match="no node has joined") as caught:
        await fake_bus.call(PLACE, request(1))
    assert caught.value.code == Code.UNAVAILABLE


async def test_waits_for_the_first_beat(fake_bus: Bus) -> None:
    await Scheduler(fake_bus).start()
    asked = asyncio.ensure_future(fake_bus.call(PLACE, request(1)))
    await fake_bus.transport.flush()
    await fake_bus.beat(BEAT, "n1", beat("n1"))
    assert (await asked).node == "n1"


async def test_a_bad_constraint_is_the_callers_fault(fake_bus: Bus) -> None:
    await Scheduler(fake_bus).start()
    await fake_bus.beat(BEAT, "n1", beat("n1"))
    with pytest.raises(SeawayError) as caught:
        await fake_bus.call(PLACE, request(1, constraints=("disk=ssd",)))
    assert caught.value.status == 400


def test_wrong_settings_end_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--node", "a b"])
    assert caught.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1
