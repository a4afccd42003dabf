"""Beats without facts are completed with those that the node has sent before, or is asked for."""

from seaway_bus.bus import Bus, Command
from seaway_bus.node_facts import FactsOfNodes
from seaway_contracts.base import Empty
from seaway_contracts.catalogue import NODE_FACTS
from seaway_contracts.nodes import Beat, KnownFacts, NodeFacts
from seaway_kit.tasks import Tasks
from seaway_testing.builders import beat, node_record
from seaway_testing.waiting import until


def short(facts_id: str) -> Beat:
    return beat("n1", facts_id=facts_id, has_facts=False, facts=NodeFacts())


async def test_facts_of_earlier_beats_are_kept(fake_bus: Bus, tasks: Tasks) -> None:
    facts = FactsOfNodes(fake_bus, tasks)
    whole = beat("n1", facts_id="a")
    assert facts.complete(whole) is whole
    assert facts.complete(short("a")) == whole
    facts = FactsOfNodes(fake_bus, tasks)
    facts.load([node_record("n1", facts_id="a")])
    assert facts.complete(short("a")) == whole
    assert len(tasks) == 0


async def test_a_node_is_asked_once_for_unknown_facts(fake_bus: Bus, tasks: Tasks) -> None:
    asked = 0

    async def tell(request: Empty, command: Command) -> KnownFacts:
        nonlocal asked
        asked += 1
        return KnownFacts(id="b", facts=NodeFacts(hostname="new"))

    await fake_bus.serve(NODE_FACTS, tell, node="n1")
    facts = FactsOfNodes(fake_bus, tasks)
    facts.complete(beat("n1", facts_id="a"))
    for _ in range(3):
        incomplete = facts.complete(short("b"))
        assert (incomplete.facts.hostname, incomplete.has_facts) == ("n1", False)
    await until(lambda: facts.complete(short("b")).has_facts)
    assert facts.complete(short("b")).facts.hostname == "new"
    assert asked == 1


async def test_a_node_that_does_not_answer_is_asked_at_its_next_beat(fake_bus: Bus, tasks: Tasks) -> None:
    facts = FactsOfNodes(fake_bus, tasks)
    assert facts.complete(short("b")).facts == NodeFacts()
    await until(lambda: not facts._asking)

    async def tell(request: Empty, command: Command) -> KnownFacts:
        return KnownFacts(id="b", facts=NodeFacts(hostname="n1"))

    await fake_bus.serve(NODE_FACTS, tell, node="n1")
    await until(lambda: facts.complete(short("b")).has_facts)


async def test_a_node_that_leaves_is_not_asked(fake_bus: Bus, tasks: Tasks) -> None:
    facts = FactsOfNodes(fake_bus, tasks)
    leaving = short("b").model_copy(update={"leaving": True})
    assert facts.complete(leaving) == leaving
    assert len(tasks) == 0
