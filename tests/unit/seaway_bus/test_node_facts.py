"""Beats without facts are completed with those that the node has sent before, or is asked for."""

import pytest

from seaway_bus.bus import Bus, Command
from seaway_bus.node_facts import FactsOfNodes
from seaway_bus.plausible import MOST_BYTES
from seaway_contracts.base import Empty
from seaway_contracts.catalogue import NODE_FACTS
from seaway_contracts.nodes import Beat, KnownFacts, NodeFacts
from seaway_kit.tasks import Tasks
from seaway_testing.builders import beat, node_record
from seaway_testing.waiting import until


def short(facts_id: str) -> Beat:
    return beat("n1", facts_id=facts_id, has_facts=False, facts=NodeFacts())


class Hearer:
    """What completes beats, and the beats that it has delivered."""

    def __init__(self, bus: Bus, tasks: Tasks) -> None:
        self.delivered: list[Beat] = []
        self.facts = FactsOfNodes(bus, tasks, self.delivered.append)

    @property
    def last(self) -> tuple[str, bool]:
        return self.delivered[-1].facts.hostname, self.delivered[-1].has_facts


@pytest.fixture
def hearer(fake_bus: Bus, tasks: Tasks) -> Hearer:
    return Hearer(fake_bus, tasks)


class Node:
    """An agent that answers with its facts, and counts how often it is asked."""

    def __init__(self, facts_id: str = "b", hostname: str = "new") -> None:
        self.asked = 0
        self.known = KnownFacts(id=facts_id, facts=NodeFacts(hostname=hostname))

    async def tell(self, request: Empty, command: Command) -> KnownFacts:
        self.asked += 1
        return self.known


async def test_facts_of_earlier_beats_are_kept(hearer: Hearer, fake_bus: Bus, tasks: Tasks) -> None:
    whole = beat("n1", facts_id="a")
    hearer.facts.receive(whole)
    assert hearer.delivered[-1] is whole
    hearer.facts.receive(short("a"))
    assert hearer.delivered[-1] == whole
    other = Hearer(fake_bus, tasks)
    other.facts.load([node_record("n1", facts_id="a")])
    other.facts.receive(short("a"))
    assert other.delivered == [whole]
    assert len(tasks) == 0


async def test_a_node_is_asked_once_and_its_beat_completed_with_the_answer(hearer: Hearer, fake_bus: Bus) -> None:
    """The next beat of a large cluster comes twenty seconds later."""
    node = Node()
    await fake_bus.serve(NODE_FACTS, node.tell, node="n1")
    hearer.facts.receive(beat("n1", facts_id="a"))
    for _ in range(3):
        hearer.facts.receive(short("b"))
        assert hearer.last == ("n1", False), "until then with the last known facts"
    await until(lambda: hearer.last == ("new", True))
    assert (node.asked, len(hearer.delivered)) == (1, 5)
    hearer.facts.receive(short("b"))
    assert hearer.last == ("new", True)
    assert node.asked == 1


async def test_a_node_without_known_facts_is_no_node_yet(hearer: Hearer, fake_bus: Bus) -> None:
    """Else it would have default facts: another platform than its own, and no labels."""
    hearer.facts.receive(short("b"))
    assert not hearer.delivered
    await until(lambda: not hearer.facts._asking)  # nobody serves there
    await fake_bus.serve(NODE_FACTS, Node().tell, node="n1")
    hearer.facts.receive(short("b"))
    await until(lambda: hearer.delivered)
    assert hearer.last == ("new", True)


async def test_an_answer_that_comes_late_brings_nothing_back(hearer: Hearer, fake_bus: Bus) -> None:
    node = Node()
    await fake_bus.serve(NODE_FACTS, node.tell, node="n1")
    for later in (beat("n1", facts_id="c"), short("b").model_copy(update={"leaving": True})):
        hearer.facts.receive(short("b"))
        hearer.facts.receive(later)
        await until(lambda: not hearer.facts._asking)
        assert hearer.last[0] == "n1", "a newer beat came meanwhile"
    hearer.facts.receive(short("b"))
    hearer.facts.forget("n1")
    count = len(hearer.delivered)
    await until(lambda: not hearer.facts._asking)
    assert (len(hearer.delivered), hearer.facts._known) == (count, {}), "the node was removed meanwhile"


async def test_a_node_that_leaves_is_not_asked(hearer: Hearer, tasks: Tasks) -> None:
    hearer.facts.receive(short("b").model_copy(update={"leaving": True}))
    assert not hearer.delivered
    assert len(tasks) == 0


async def test_impossible_beats_are_ignored(hearer: Hearer, fake_bus: Bus, caplog: pytest.LogCaptureFixture) -> None:
    huge = NodeFacts(hostname="huge", labels={"a": "x" * MOST_BYTES})
    for _ in range(2):
        hearer.facts.receive(beat("n1", facts_id="h", facts=huge))
    assert not hearer.delivered
    hearer.facts.receive(beat("n1", facts_id="a"))
    node = Node("h")
    node.known = KnownFacts(id="h", facts=huge)
    await fake_bus.serve(NODE_FACTS, node.tell, node="n1")
    hearer.facts.receive(short("h"))
    await until(lambda: not hearer.facts._asking)
    assert (node.asked, hearer.last) == (1, ("n1", False))
    texts = [record.getMessage() for record in caplog.records]
    assert len(texts) == 2, "once in a row"
    assert all(text.startswith("beats of node n1 are ignored: its facts have 262") for text in texts)
