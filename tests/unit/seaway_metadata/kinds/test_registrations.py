"""Registrations of which no event has come: whose node is asked, when, and what its answer leads to."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest
from tests.unit.seaway_metadata.rig import Copy

from seaway_bus.bus import Bus, Command
from seaway_contracts.catalogue import REJECT_CREATE, REMOVE
from seaway_contracts.commands import ContainerId, CreateRejected, RemoveContainer, StatusReply
from seaway_contracts.errors import SeawayError, not_found, unavailable
from seaway_metadata.kinds.containers import CONTAINERS
from seaway_metadata.kinds.registrations import COMING_S, Registrations
from seaway_metadata.store.records import Buckets, Records
from seaway_testing.builders import container_id, spec, status
from seaway_testing.clock import FakeClock

ONE, TWO = container_id(1), container_id(2)


@dataclass
class Agent:
    """What a node answers."""

    rejects: bool = True
    refusal: SeawayError | None = None
    asked: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)

    async def reject_create(self, request: ContainerId, command: Command) -> CreateRejected:
        self.asked.append(request.id)
        if self.refusal is not None:
            raise self.refusal
        return CreateRejected(rejected=self.rejects)

    async def remove(self, request: RemoveContainer, command: Command) -> StatusReply:
        self.removed.append(request.id)
        if self.refusal is not None:
            raise self.refusal
        return StatusReply(status=status(seq=3))


@pytest.fixture
async def agent(fake_bus: Bus) -> Agent:
    made = Agent()
    await fake_bus.serve(REJECT_CREATE, made.reject_create, node="n1")
    await fake_bus.serve(REMOVE, made.remove, node="n1")
    return made


@pytest.fixture
async def copy(fake_bus: Bus, clock: FakeClock) -> Copy:
    buckets = await Buckets.open(fake_bus.transport, CONTAINERS)
    return Copy(Records(CONTAINERS, buckets, lambda identifier: False, clock.now_ns))


@pytest.fixture
async def registrations(fake_bus: Bus, copy: Copy, clock: FakeClock) -> AsyncIterator[Registrations]:
    made = Registrations(fake_bus, copy.records, clock.monotonic)
    for seed in (1, 2):
        await copy.register(spec(seed), "n1")
        made.add(container_id(seed), "n1")
    yield made


async def test_one_whose_maker_may_be_at_work_is_let_alone(
    registrations: Registrations, agent: Agent, clock: FakeClock
) -> None:
    clock.advance(COMING_S - 1)
    await registrations.sweep(lambda node: True)
    assert agent.asked == []
    clock.advance(2)
    await registrations.sweep(lambda node: False)
    assert agent.asked == []
    registrations.done(TWO)
    await registrations.sweep(lambda node: True)
    assert agent.asked == [ONE]


async def test_what_the_node_rejects_is_forgotten_and_its_name_free(
    registrations: Registrations, copy: Copy, agent: Agent, clock: FakeClock
) -> None:
    clock.advance(COMING_S + 1)
    await registrations.sweep(lambda node: True)
    assert await copy.records.stored(ONE) is None
    assert (await copy.claims.held()).holders() == set()
    assert len(registrations) == 0


async def test_what_the_node_has_or_makes_keeps_its_record(
    registrations: Registrations, copy: Copy, agent: Agent, clock: FakeClock
) -> None:
    """However long that takes, it isn't asked more often."""
    agent.rejects = False
    for times in (1, 2, 3):
        clock.advance(COMING_S + 1)
        await registrations.sweep(lambda node: True)
        await registrations.sweep(lambda node: True)
        assert agent.asked.count(ONE) == times
    assert (await copy.claims.held()).holders() == {ONE, TWO}


async def test_what_was_taken_back_is_forgotten_also_while_the_node_is_down(
    registrations: Registrations, copy: Copy, fake_bus: Bus, agent: Agent, clock: FakeClock
) -> None:
    """Another copy may have done it."""
    forgotten: list[str] = []
    other = Registrations(fake_bus, copy.records, clock.monotonic, forgotten.append)
    for identifier in (ONE, TWO):
        other.add(identifier, "n1")
    await copy.forget(ONE)
    await other.sweep(lambda node: False)
    assert forgotten == []
    clock.advance(COMING_S + 1)
    await other.sweep(lambda node: False)
    assert (forgotten, len(other), agent.asked) == ([ONE], 1, [])
    await other.sweep(lambda node: True)
    assert (forgotten, len(other), agent.asked) == ([ONE, TWO], 0, [TWO])


async def test_a_node_that_doesn_t_answer_changes_nothing(
    registrations: Registrations, copy: Copy, agent: Agent, clock: FakeClock
) -> None:
    agent.refusal = unavailable("not now")
    clock.advance(COMING_S + 1)
    await registrations.sweep(lambda node: True)
    assert (await copy.claims.held()).holders() == {ONE, TWO}
    agent.refusal = None
    clock.advance(COMING_S + 1)
    await registrations.sweep(lambda node: True)
    assert (await copy.claims.held()).holders() == set()


@pytest.mark.parametrize("refusal", [None, not_found("No such container")])
async def test_what_was_given_up_is_removed_as_soon_as_its_node_is_up(
    registrations: Registrations, copy: Copy, agent: Agent, refusal: SeawayError | None
) -> None:
    await copy.forget(ONE, unheard=True)
    registrations.discard(ONE, "n1")
    await registrations.sweep(lambda node: False)
    assert agent.removed == []
    agent.refusal = unavailable("not now")
    await registrations.sweep(lambda node: True)
    stored = await copy.records.stored(ONE)
    assert stored is not None and stored.record.discarded
    agent.refusal = refusal
    await registrations.sweep(lambda node: True)
    assert await copy.records.stored(ONE) is None
    await registrations.sweep(lambda node: True)
    assert agent.removed == [ONE, ONE]


async def test_what_stands_in_the_bucket_is_taken_up(
    registrations: Registrations, copy: Copy, fake_bus: Bus, agent: Agent, clock: FakeClock
) -> None:
    await copy.forget(ONE, unheard=True)
    another = Registrations(fake_bus, copy.records, clock.monotonic)
    async for found in copy.records.all():
        another.stored(found.record)
    await another.sweep(lambda node: True)
    assert agent.removed == [ONE] and agent.asked == []
    clock.advance(COMING_S + 1)
    await another.sweep(lambda node: True)
    assert agent.asked == [TWO]
    assert len(another) == 0
