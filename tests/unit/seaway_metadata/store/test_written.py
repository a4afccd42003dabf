"""A kind that metadata alone makes and changes, in two copies that know of each other by the bucket alone."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from seaway_bus.bus import Bus
from seaway_contracts.base import Payload
from seaway_contracts.channels import BucketConfig
from seaway_contracts.errors import Code, SeawayError, conflict
from seaway_contracts.records import GONE
from seaway_kit.tasks import Tasks
from seaway_metadata.store.kind import Claim, ClaimHolder, ClaimSpace, Kind
from seaway_metadata.store.store import Store
from seaway_metadata.store.written import WrittenTable
from seaway_testing.fake_transport import FakeServer, FakeTransport
from seaway_testing.waiting import until


class Plan(Payload):
    """`version` counts its changes. `removed`: it is given up."""

    id: str
    name: str
    size: int = 0
    version: int = 1
    removed: bool = False


class NameHolder(ClaimHolder):
    """The plan that has a name."""


def _taken(name: str, holder: str) -> SeawayError:
    return conflict(f"plan {holder} is called {name}")


NAMES = ClaimSpace(BucketConfig("plan_names", "Their names."), NameHolder, _taken, lambda name, key: True)


class Plans(Kind[Plan]):
    """All that the store is told of plans."""

    noun = "plan"
    bucket = BucketConfig("plans", "Plans.")
    model = Plan
    claim_spaces = (NAMES,)

    def key(self, record: Plan) -> str:
        return record.id

    def is_key(self, ref: str) -> bool:
        return ref.startswith("p-")

    def claims(self, record: Plan) -> tuple[Claim, ...]:
        return (NAMES.claim(record.name),)

    def newer(self, one: Plan, other: Plan) -> bool:
        return one.version > other.version

    def given_up(self, record: Plan) -> bool:
        return record.removed


AXLE, WHEEL = Plan(id="p-1", name="axle"), Plan(id="p-2", name="wheel")


class Copy:
    """A copy of metadata that keeps plans alone. `catches_up` is called before it compares."""

    def __init__(self, server: FakeServer) -> None:
        self.bus = Bus(FakeTransport(server))
        self.tasks = Tasks("plans")
        self.store = Store(self.bus, self.tasks)
        self.catches_up: Callable[[], Awaitable[object]] | None = None
        self.table: WrittenTable[Plan]

    async def start(self) -> "Copy":
        self.store.current = self._current  # type: ignore[method-assign]
        self.table = await self.store.add_written(Plans())
        await self.table.load()
        self.table.behind.start(self.tasks)
        return self

    async def _current(self) -> bool:
        if self.catches_up is not None:
            await self.catches_up()
        return True

    async def stop(self) -> None:
        await self.tasks.close()
        await self.bus.close()

    @property
    def known(self) -> list[str]:
        """Those that anybody finds."""
        return sorted(plan.id for plan in self.table.index)


@pytest.fixture
async def one(fake_server: FakeServer) -> AsyncIterator[Copy]:
    made = await Copy(fake_server).start()
    yield made
    await made.stop()


@pytest.fixture
async def other(fake_server: FakeServer) -> AsyncIterator[Copy]:
    made = await Copy(fake_server).start()
    yield made
    await made.stop()


def in_bucket(server: FakeServer, bucket: str = "plans") -> dict[str, Any]:
    return {key: json.loads(entry.value) for key, entry in server.buckets[bucket].entries.items()}


def names(server: FakeServer) -> dict[str, str]:
    return {bytes.fromhex(key).decode(): value["id"] for key, value in in_bucket(server, "plan_names").items()}


def grown(plan: Plan) -> Plan:
    return plan.model_copy(update={"size": plan.size + 1, "version": plan.version + 1})


def removed(plan: Plan) -> Plan:
    return plan.model_copy(update={"removed": True, "version": plan.version + 1})


def restored(plan: Plan) -> Plan:
    return plan.model_copy(update={"removed": False, "version": plan.version + 1})


async def end(copy: Copy) -> None:
    await copy.table.change("p-1", removed)
    await copy.table.remove("p-1")


# --- made


async def test_a_plan_is_registered_once(one: Copy, other: Copy, fake_server: FakeServer) -> None:
    assert await one.table.register(AXLE) == AXLE == await other.table.register(AXLE)
    assert (one.known, other.known, names(fake_server)) == (["p-1"], ["p-1"], {"axle": "p-1"})


async def test_a_name_is_one_plans(one: Copy, other: Copy, fake_server: FakeServer) -> None:
    await one.table.register(AXLE)
    with pytest.raises(SeawayError, match="plan p-1 is called axle"):
        await other.table.register(WHEEL.model_copy(update={"name": "axle"}))
    assert (other.known, list(in_bucket(fake_server)), names(fake_server)) == ([], ["p-1"], {"axle": "p-1"})


async def test_an_id_is_one_plans(one: Copy, other: Copy, fake_server: FakeServer) -> None:
    await one.table.register(AXLE)
    with pytest.raises(SeawayError, match="the id p-1 is already in use"):
        await other.table.register(AXLE.model_copy(update={"name": "wheel"}))
    assert names(fake_server) == {"axle": "p-1"}


# --- found


async def test_another_copy_finds_it_in_the_bucket(one: Copy, other: Copy) -> None:
    await one.table.register(AXLE)
    for ref in ("axle", "p-1"):
        assert await other.table.find(ref) == AXLE
    for ref in ("wheel", "p-2"):
        with pytest.raises(SeawayError, match=f"no such plan: {ref}") as caught:
            await other.table.find(ref)
        assert caught.value.code is Code.NOT_FOUND
    assert await other.table.read("p-2") is None


async def test_whoever_knows_of_it_sees_it_in_another_copys_list(one: Copy, other: Copy) -> None:
    await one.table.register(AXLE)
    assert other.known == []
    await other.table.current({"p-1": 1, "p-2": 1})
    assert other.known == ["p-1"]


async def test_an_event_has_it_read(one: Copy, other: Copy) -> None:
    await one.table.register(AXLE)
    other.table.heard("p-1")
    await until(lambda: other.known == ["p-1"])


async def test_a_copy_that_starts_takes_what_is_stored(one: Copy, fake_server: FakeServer) -> None:
    for plan in (AXLE, WHEEL):
        await one.table.register(plan)
    await one.table.change("p-2", removed)
    late = await Copy(fake_server).start()
    assert (late.known, list(late.table.given_up)) == (["p-1"], ["p-2"])
    await late.stop()


# --- changed


async def test_changes_of_two_copies_are_both_kept(one: Copy, other: Copy, fake_server: FakeServer) -> None:
    await one.table.register(AXLE)
    await asyncio.gather(*(copy.table.change("p-1", grown) for copy in (one, other) for _ in range(5)))
    assert in_bucket(fake_server)["p-1"]["size"] == 10
    assert await one.table.read("p-1") == await other.table.read("p-1")
    assert one.table.index["p-1"].size == other.table.index["p-1"].size == 10


async def test_what_stays_as_it_is_is_not_written(one: Copy, fake_server: FakeServer) -> None:
    await one.table.register(AXLE)
    before = fake_server.buckets["plans"].entries["p-1"].revision
    assert await one.table.change("p-1", lambda plan: plan) == AXLE
    assert fake_server.buckets["plans"].entries["p-1"].revision == before


async def test_what_another_copy_has_removed_is_not_changed(one: Copy, other: Copy, fake_server: FakeServer) -> None:
    await one.table.register(AXLE)
    await end(other)
    assert await one.table.change("p-1", grown) is None
    assert (one.known, in_bucket(fake_server)) == ([], {})


# --- given up and removed


async def test_one_that_is_given_up_is_found_by_nobody_until_that_is_undone(one: Copy, other: Copy) -> None:
    await one.table.register(AXLE)
    await other.table.read("p-1")
    await one.table.change("p-1", removed)
    assert await other.table.read("p-1") is None
    for copy in (one, other):
        assert (copy.known, list(copy.table.given_up)) == ([], ["p-1"]) and await copy.table.is_gone("p-1")
        assert [plan.id for plan in await copy.table.read_given_up()] == ["p-1"]
        assert await copy.table.is_stored("p-1")
        for ref in ("axle", "p-1"):
            with pytest.raises(SeawayError, match="no such plan"):
                await copy.table.find(ref)
    await one.table.change("p-1", restored)
    assert (await other.table.read("p-1"), other.table.given_up) == (one.table.index["p-1"], {})
    assert not await one.table.is_gone("p-1") and await one.table.read_given_up() == []


async def test_the_end_frees_key_and_name(one: Copy, other: Copy, fake_server: FakeServer) -> None:
    await one.table.register(AXLE)
    await one.table.change("p-1", removed)
    assert await one.table.remove("p-1") and await one.table.remove("p-1")
    assert (in_bucket(fake_server), names(fake_server), one.table.given_up) == ({}, {}, {})
    assert await one.table.is_gone("p-1") and not await one.table.is_stored("p-1")
    assert (await other.table.register(WHEEL.model_copy(update={"name": "axle"}))).id == "p-2"


@pytest.mark.parametrize("hears", ["basis", "event"])
async def test_another_copy_hides_at_once_what_is_gone(one: Copy, other: Copy, hears: str) -> None:
    """Also before the record is removed: whoever asks knows that it is given up."""
    await one.table.register(AXLE)
    await other.table.read("p-1")
    await end(one)
    if hears == "basis":
        await other.table.current({"p-1": GONE})
    else:
        other.table.heard("p-1", ended=True)
    assert other.known == []
    await until(lambda: other.table._source.destroyed("p-1"))
    assert other.table.given_up == {}


@pytest.mark.parametrize("hears", ["basis", "event"])
async def test_one_that_is_said_to_be_gone_is_not_removed_while_nobody_could_read_it(
    one: Copy, fake_server: FakeServer, hears: str
) -> None:
    """It is hidden at first. As soon as the bucket can be read it is there again."""
    await one.table.register(AXLE)
    entries = fake_server.buckets["plans"].entries
    stored, entries["p-1"] = entries["p-1"], replace(entries["p-1"], value=b"unreadable")
    if hears == "basis":
        with pytest.raises(ValueError, match="not a stored Plan"):
            await one.table.current({"p-1": GONE})
    else:
        one.table.heard("p-1", ended=True)
        await asyncio.sleep(0)
    assert (one.known, one.table.given_up, await one.table.read_given_up()) == ([], {}, [])
    entries["p-1"] = stored
    assert await one.table.read_given_up() == [] and one.known == ["p-1"]
    assert not await one.table.is_gone("p-1")


async def test_one_that_is_not_given_up_is_not_removed(one: Copy, other: Copy, fake_server: FakeServer) -> None:
    """Another copy has undone that meanwhile."""
    await one.table.register(AXLE)
    await one.table.change("p-1", removed)
    await other.table.change("p-1", restored)
    assert not await one.table.remove("p-1")
    assert (one.known, names(fake_server)) == (["p-1"], {"axle": "p-1"})
    assert in_bucket(fake_server)["p-1"]["version"] == 3


# --- compared


async def test_wiped_buckets_are_written_again(one: Copy, fake_server: FakeServer) -> None:
    for plan in (AXLE, WHEEL):
        await one.table.register(plan)
    for bucket in ("plans", "plan_names"):
        fake_server.buckets[bucket].entries.clear()
    await one.table.compare()
    await until(lambda: names(fake_server) == {"axle": "p-1", "wheel": "p-2"})
    assert set(in_bucket(fake_server)) == {"p-1", "p-2"}


async def test_what_another_copy_has_made_and_removed_is_seen(one: Copy, other: Copy, fake_server: FakeServer) -> None:
    """Of the removal it hears before it compares: else it would write the record again."""
    await one.table.register(AXLE)
    await other.table.read("p-1")
    await other.table.register(WHEEL)
    await end(other)

    async def hear() -> None:
        one.table.gone("p-1")

    one.catches_up = hear
    await one.table.compare()
    assert one.known == ["p-2"]
    await one.table.behind.flush()
    assert (set(in_bucket(fake_server)), names(fake_server)) == ({"p-2"}, {"wheel": "p-2"})


# --- lost or removed?


async def test_one_that_is_not_stored_any_more_may_be_lost(
    one: Copy, fake_server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the kind says so it is not known here as gone for good; one that was given up before is."""
    monkeypatch.setattr(Plans, "unstored_is_gone", False)
    for plan in (AXLE, WHEEL):
        await one.table.register(plan)
    await one.table.change("p-2", removed)
    fake_server.buckets["plans"].entries.clear()
    assert await one.table.change("p-1", grown) is None and await one.table.read("p-2") is None
    assert [await one.table.is_gone(key) for key in ("p-1", "p-2")] == [False, True]
    assert one.known == [] and (await one.table.register(AXLE)) == AXLE and one.known == ["p-1"]


# --- what nodes report


async def test_what_a_node_reports_is_known_at_once_and_written_behind(
    one: Copy, other: Copy, fake_server: FakeServer
) -> None:
    for copy in (one, other):
        copy.table.put(AXLE)
    assert one.known == ["p-1"]
    await until(lambda: names(fake_server) == {"axle": "p-1"})
    one.table.drop("p-1", for_good=True)
    assert one.known == []
    await until(lambda: (in_bucket(fake_server), names(fake_server)) == ({}, {}))
    one.table.put(AXLE)
    assert one.known == [], "it is gone for good"


async def test_what_may_come_back_is_taken_in_again(one: Copy, fake_server: FakeServer) -> None:
    one.table.put(AXLE)
    await until(lambda: in_bucket(fake_server))
    one.table.drop("p-1", for_good=False)
    await until(lambda: not in_bucket(fake_server))
    one.table.put(AXLE)
    await until(lambda: in_bucket(fake_server))
    assert one.known == ["p-1"]


async def test_what_was_put_can_be_changed_before_it_is_written(one: Copy, other: Copy) -> None:
    for copy in (one, other):
        copy.table.put(AXLE)
        await copy.table.write_now("p-1")
        await copy.table.change("p-1", grown)
    assert await one.table.read("p-1") == other.table.index["p-1"]
    assert other.table.index["p-1"].size == 2


async def test_what_is_given_up_is_not_taken_in(one: Copy) -> None:
    await one.table.register(AXLE)
    await one.table.change("p-1", removed)
    one.table.put(AXLE)
    assert one.known == [] and list(one.table.given_up) == ["p-1"]
