"""Names that nodes say their containers have: one that is reserved is its holder's, whatever another node says."""

from collections.abc import Awaitable, Callable

import pytest
from tests.unit.seaway_metadata.rig import Copy, Node, known, publish, ref, register, registered, tell

from seaway_bus.bus import Bus
from seaway_bus.transport import NotConnected
from seaway_contracts.catalogue import CONTAINERS_BUCKET, GET_CONTAINER, INVENTORY, LIST_CONTAINERS, NAMES_BUCKET
from seaway_contracts.commands import Inventory, InventoryItem, ListInventory
from seaway_contracts.containers import ContainerRecord, ContainerSpec, State
from seaway_contracts.records import ListContainers
from seaway_metadata.kinds.container_registering import ContainerRegistering
from seaway_metadata.kinds.containers import CONTAINERS, NAMES
from seaway_metadata.service import Metadata
from seaway_metadata.store import reconcile
from seaway_metadata.store.records import Buckets, Records
from seaway_metadata.store.stored import HORIZON_KEY, encode
from seaway_testing.builders import container_event, container_id, spec, status
from seaway_testing.fake_transport import FakeServer, FakeTransport
from seaway_testing.waiting import until


def held(*specs: ContainerSpec, seq: int = 9) -> list[InventoryItem]:
    return [InventoryItem(spec=one, status=status(State.RUNNING, seq)) for one in specs]


async def lie(bus: Bus, *specs: ContainerSpec, metadata: Metadata, node: str = "n2") -> None:
    """A node says that it holds these, and metadata has taken of it what it takes."""
    liar = await Node(bus, node).serve()
    liar.items, liar.page = held(*specs), 100
    await liar.beat()
    await until(lambda: metadata.containers.reconciler._epochs.get(node) == "e1")


async def named(bus: Bus, name: str) -> tuple[str, str]:
    found = await bus.call(GET_CONTAINER, ref(name))
    return found.id, found.node


# --- a claim


@pytest.fixture
async def copy(fake_bus: Bus) -> Copy:
    return Copy(Records(CONTAINERS, await Buckets.open(fake_bus.transport, CONTAINERS), lambda identifier: False))


async def test_a_free_name_is_claimed_and_kept(copy: Copy) -> None:
    for _ in range(2):
        assert await copy.claims.claim(NAMES.claim("web"), container_id(1))
    assert not await copy.claims.claim(NAMES.claim("web"), container_id(2))
    assert (await copy.claims.held()).holders() == {container_id(1)}


async def test_a_registered_name_is_not_claimed_by_another(copy: Copy) -> None:
    await copy.register(spec(1, name="web"), "n1")
    assert not await copy.claims.claim(NAMES.claim("web"), container_id(2))
    assert await copy.claims.claim(NAMES.claim("web"), container_id(1))


@pytest.mark.parametrize("name", ["", "x", "../x", "a b", "a\x1b[2J", "-web", "/web", "x" * 256, "\N{SNOWMAN}" * 2])
async def test_what_is_no_name_is_not_claimed(copy: Copy, name: str) -> None:
    assert not await copy.claims.claim(NAMES.claim(name), container_id(1))
    assert (await copy.claims.held()).holders() == set()


@pytest.mark.parametrize("identifier", [HORIZON_KEY, "", "*", container_id(1)[:12], container_id(1).upper()])
async def test_what_is_no_container_claims_nothing(copy: Copy, identifier: str) -> None:
    assert not await copy.claims.claim(NAMES.claim("web"), identifier)
    assert (await copy.claims.held()).holders() == set()


async def test_an_entry_that_can_not_be_read_is_left_alone(copy: Copy, fake_bus: Bus) -> None:
    bucket = await fake_bus.transport.bucket(NAMES_BUCKET)
    await bucket.create(b"web".hex(), b"?")
    assert not await copy.claims.claim(NAMES.claim("web"), container_id(1))


async def test_without_the_bus_nothing_is_decided(fake_server: FakeServer, fake_bus: Bus) -> None:
    transport = FakeTransport(fake_server)
    copy = Copy(Records(CONTAINERS, await Buckets.open(transport, CONTAINERS), lambda identifier: False))
    transport.cut()
    with pytest.raises(NotConnected):
        await copy.claims.claim(NAMES.claim("web"), container_id(1))


# --- what nodes say that they hold


async def test_a_name_of_a_container_that_is_being_made_is_no_other_nodes(metadata: Metadata, fake_bus: Bus) -> None:
    await register(fake_bus, 1, name="web")
    await lie(fake_bus, spec(7, name="web"), spec(8, name="own"), metadata=metadata)
    assert await named(fake_bus, "web") == (container_id(1), "n1")
    await publish(fake_bus, "create", status(seq=1))
    assert await named(fake_bus, "web") == (container_id(1), "n1")
    assert await named(fake_bus, "own") == (container_id(8), "n2")


async def test_a_name_that_another_copy_has_reserved_is_no_other_nodes(metadata: Metadata, fake_bus: Bus) -> None:
    await registered(fake_bus, 1)
    await lie(fake_bus, spec(7, name="box1"), metadata=metadata)
    await publish(fake_bus, "create", status(seq=1))
    assert await named(fake_bus, "box1") == (container_id(1), "n1")
    assert [one.id for one in (await fake_bus.call(LIST_CONTAINERS, ListContainers())).containers] == [container_id(1)]


async def rename_by_word(metadata: Metadata, bus: Bus, name: str) -> None:
    envelope, event = container_event("rename", status(seq=5), seed=7, node="n2")
    await tell(bus, envelope, event.model_copy(update={"spec": spec(7, name=name)}))
    await known(metadata)


async def rename_by_inventory(metadata: Metadata, bus: Bus, name: str) -> None:
    await lie(bus, spec(7, name=name), metadata=metadata)


@pytest.mark.parametrize("rename", [rename_by_word, rename_by_inventory])
async def test_a_container_is_not_renamed_to_what_is_reserved_for_another(
    metadata: Metadata, fake_bus: Bus, rename: Callable[[Metadata, Bus, str], Awaitable[None]]
) -> None:
    """A user renames a container of n1, which has not told of it yet, and n2 gives that name to one of its own."""
    await publish(fake_bus, "create", status(seq=1), 1)
    await publish(fake_bus, "create", status(seq=1), 7, node="n2")
    await known(metadata)
    assert await ContainerRegistering(metadata.containers.records).rename(container_id(1), "moved", 1)
    await rename(metadata, fake_bus, "moved")
    assert await named(fake_bus, "box7") == (container_id(7), "n2")
    envelope, event = container_event("rename", status(seq=2), seed=1)
    await tell(fake_bus, envelope, event.model_copy(update={"spec": spec(1, name="moved")}))
    assert await named(fake_bus, "moved") == (container_id(1), "n1")
    assert await named(fake_bus, "box7") == (container_id(7), "n2")


@pytest.mark.parametrize("rename", [rename_by_word, rename_by_inventory])
async def test_an_honest_rename_is_taken(
    metadata: Metadata, fake_bus: Bus, rename: Callable[[Metadata, Bus, str], Awaitable[None]]
) -> None:
    await publish(fake_bus, "create", status(seq=1), 7, node="n2")
    await known(metadata)
    assert await ContainerRegistering(metadata.containers.records).rename(container_id(7), "moved", 1)
    await rename(metadata, fake_bus, "moved")
    assert await named(fake_bus, "moved") == (container_id(7), "n2")


async def test_a_read_behind_a_rename_finds_the_new_name(metadata: Metadata, fake_bus: Bus) -> None:
    """Though it is looked up in the bucket before it is taken."""
    await publish(fake_bus, "create", status(seq=1), 1)
    for number in range(2, 12):
        assert await ContainerRegistering(metadata.containers.records).rename(container_id(1), f"name{number}", 1)
        envelope, event = container_event("rename", status(seq=number))
        await tell(fake_bus, envelope, event.model_copy(update={"spec": spec(1, name=f"name{number}")}))
        assert await named(fake_bus, f"name{number}") == (container_id(1), "n1")


async def test_of_two_with_a_name_the_one_that_was_registered_is_meant(metadata: Metadata, fake_bus: Bus) -> None:
    """Another copy has heard of the end of the first one, and has given its name to the second."""
    await publish(fake_bus, "create", status(seq=1), 7, node="n2")
    await known(metadata)
    containers = await fake_bus.transport.bucket(CONTAINERS_BUCKET)
    await containers.create(container_id(1), encode(ContainerRecord(spec=spec(1, name="box7"), node="n1")))
    envelope, event = container_event("create", status(seq=1))
    await tell(fake_bus, envelope, event)
    assert await named(fake_bus, "box7") == (container_id(1), "n1")


@pytest.mark.parametrize("identifier", [HORIZON_KEY, "*", "../x", "", "x" * 600])
@pytest.mark.parametrize("name", ["", "x" * 600, "a\x1b[2J", "fine"])
async def test_what_can_be_no_container_is_not_taken(
    metadata: Metadata, fake_bus: Bus, fake_server: FakeServer, identifier: str, name: str
) -> None:
    """One with the key of metadata's own entry in the bucket among them."""
    await metadata.containers.records.set_horizon(77)
    wrong = spec(7).model_copy(update={"id": identifier, "name": name})
    await lie(fake_bus, wrong, spec(8), metadata=metadata)
    await metadata.containers.behind.flush()
    assert [one.id for one in metadata.containers.view.index] == [container_id(8)]
    entries = fake_server.buckets[CONTAINERS_BUCKET.name].entries
    assert entries.keys() == {HORIZON_KEY, container_id(8)}
    assert await metadata.containers.records.horizon() >= 0


@pytest.mark.parametrize("size", [0, 5])
async def test_a_node_that_tells_without_end_is_not_listened_to(
    metadata: Metadata, fake_bus: Bus, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setattr(reconcile, "_MOST_HELD", 50)
    asked: list[str] = []

    async def endless(request: ListInventory, command: object) -> Inventory:
        asked.append(request.after)
        first = len(asked) * size
        items = tuple(held(*(spec(seed) for seed in range(first, first + size))))
        return Inventory(node="n2", epoch="e1", revision=1, containers=items, next=f"more{len(asked)}")

    liar = Node(fake_bus, "n2")
    await fake_bus.serve(INVENTORY, endless, node="n2")
    await liar.beat()
    await until(lambda: asked and not metadata.containers.reconciler._asking)
    assert len(asked) == (11 if size else 1)
    assert len(metadata.containers.view.index) == 0
    await lie(fake_bus, spec(1), metadata=metadata, node="n1")
    assert [one.node for one in metadata.containers.view.index] == ["n1"]


async def test_many_containers_are_taken_at_once(metadata: Metadata, fake_bus: Bus) -> None:
    await register(fake_bus, 77)
    await lie(fake_bus, *(spec(seed) for seed in range(100)), metadata=metadata)
    assert len(metadata.containers.view.index) == 99, "all but one whose name and id are another node's"
    assert metadata.containers.reconciler._refused == {"n2"}
