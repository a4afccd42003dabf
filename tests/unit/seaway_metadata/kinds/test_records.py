"""Registration: names and records in the buckets, whatever goes wrong between the two."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from tests.unit.seaway_metadata.rig import Copy

from seaway_bus.bus import Bus
from seaway_bus.transport import Entry, NotConnected, RequestTimeout, WrongRevision
from seaway_contracts.containers import ContainerSpec, State
from seaway_contracts.errors import Code, SeawayError
from seaway_metadata.kinds.containers import CONTAINERS, NAMES, record_json, spec_json
from seaway_metadata.store.claims import SETTLED_NS
from seaway_metadata.store.records import Buckets, GivenUp, Records, Stored
from seaway_testing.builders import container_id, record, spec
from seaway_testing.clock import FakeClock
from seaway_testing.fake_transport import FakeServer


class Desk:
    """Two copies of metadata over the same buckets."""

    def __init__(self, buckets: Buckets, clock: FakeClock) -> None:
        self.destroyed: set[str] = set()
        self.one = Copy(Records(CONTAINERS, buckets, self.destroyed.__contains__, clock.now_ns))
        self.other = Copy(Records(CONTAINERS, buckets, lambda identifier: False, clock.now_ns))
        self.containers = buckets.records
        self.names, self.addresses = buckets.claims

    async def keys(self) -> tuple[set[str], set[str]]:
        containers = {entry.key async for entry in self.containers.entries()}
        return containers, {bytes.fromhex(entry.key).decode() async for entry in self.names.entries()}


@pytest.fixture
async def desk(fake_bus: Bus, clock: FakeClock) -> Desk:
    return Desk(await Buckets.open(fake_bus.transport, CONTAINERS), clock)


def named(seed: int, name: str) -> ContainerSpec:
    return spec(seed, name=name)


async def refusal(desk: Desk, one: ContainerSpec) -> SeawayError:
    with pytest.raises(SeawayError) as caught:
        await desk.one.register(one, "n1")
    return caught.value


async def test_register_reserves_name_and_record(desk: Desk) -> None:
    registered = await desk.one.register(spec(1), "n1")
    stored = await desk.other.records.stored(container_id(1))
    assert stored == registered
    assert (stored.record.spec, stored.record.node, stored.record.status.seq) == (spec(1), "n1", 0)
    assert await desk.keys() == ({container_id(1)}, {"box1"})


async def test_the_same_twice_is_done_once(desk: Desk) -> None:
    first = await desk.one.register(spec(1), "n1")
    assert await desk.other.register(spec(1), "n1") == first
    again = await asyncio.gather(*(desk.one.register(spec(2), "n1") for _ in range(5)))
    assert len({one.revision for one in again}) == 1


async def test_a_copy_that_does_not_know_takes_back_nothing(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who asked it has asked another meanwhile, and goes on by that one's answer."""
    create = desk.containers.create

    async def asked_meanwhile(key: str, value: bytes) -> int:
        monkeypatch.setattr(desk.containers, "create", create)
        await desk.other.register(spec(1), "n1")
        raise RequestTimeout("no answer in time")

    monkeypatch.setattr(desk.containers, "create", asked_meanwhile)
    with pytest.raises(RequestTimeout):
        await desk.one.register(spec(1), "n1")
    assert await desk.keys() == ({container_id(1)}, {"box1"})


async def test_a_record_that_is_taken_back_meanwhile_is_made_anew(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    get = desk.containers.get

    async def taken_back(key: str) -> Entry | None:
        monkeypatch.setattr(desk.containers, "get", get)
        await desk.containers.delete(key)
        return await get(key)

    await desk.other.register(spec(1), "n1")
    monkeypatch.setattr(desk.containers, "get", taken_back)
    await desk.one.register(spec(1), "n1")
    assert await desk.keys() == ({container_id(1)}, {"box1"})


async def test_a_name_that_is_neither_free_nor_anybodys_may_be_tried_again(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a cluster without a majority a first try stands in the way of a second one."""

    async def in_the_way(key: str, value: bytes) -> int:
        raise WrongRevision(key)

    monkeypatch.setattr(desk.names, "create", in_the_way)
    assert (await refusal(desk, spec(1))).code is Code.UNAVAILABLE
    assert await desk.keys() == ({container_id(1)}, set()), "what may be registered is left to the sweep"


async def test_a_name_in_use(desk: Desk) -> None:
    await desk.other.register(named(1, "web"), "n1")
    error = await refusal(desk, named(2, "web"))
    assert (error.code, error.status) == (Code.CONFLICT, 409)
    assert error.message == (
        f'Conflict. The container name "/web" is already in use by container "{container_id(1)}". '
        "You have to remove (or rename) that container to be able to reuse that name."
    )
    assert await desk.keys() == ({container_id(1)}, {"web"})


async def test_an_id_in_use(desk: Desk) -> None:
    await desk.one.register(named(1, "web"), "n1")
    error = await refusal(desk, named(1, "other"))
    assert error.code == Code.CONFLICT and container_id(1) in error.message
    assert await desk.keys() == ({container_id(1)}, {"web"})


async def test_one_of_many_wins_a_name(desk: Desk) -> None:
    tries = [(desk.one, desk.other)[seed % 2].register(named(seed, "web"), "n1") for seed in range(10)]
    outcomes = await asyncio.gather(*tries, return_exceptions=True)
    assert sum(isinstance(outcome, Stored) for outcome in outcomes) == 1
    assert all(isinstance(o, Stored) or (isinstance(o, SeawayError) and o.status == 409) for o in outcomes)
    containers, names = await desk.keys()
    assert (len(containers), names) == (1, {"web"})


async def test_the_name_of_a_destroyed_container_is_free_at_once(desk: Desk) -> None:
    await desk.one.register(named(1, "web"), "n1")
    desk.destroyed.add(container_id(1))
    await desk.one.register(named(2, "web"), "n1")
    await desk.one.records.delete(container_id(1), (NAMES.claim("web"),))
    assert await desk.keys() == ({container_id(2)}, {"web"})
    assert (await refusal(desk, named(3, "web"))).code == Code.CONFLICT


async def test_an_abandoned_name_is_taken_over_when_it_is_stale(desk: Desk, clock: FakeClock) -> None:
    """Its record may still be on its way from another copy, but not for ever."""
    await desk.one.claims.hold(NAMES.claim("web"), container_id(1), 1)
    assert (await refusal(desk, named(2, "web"))).code == Code.CONFLICT
    clock.advance(SETTLED_NS / 1e9 + 1)
    await desk.one.register(named(2, "web"), "n1")
    assert await desk.keys() == ({container_id(2)}, {"web"})


async def test_an_old_name_with_a_record_is_not_abandoned(desk: Desk, clock: FakeClock) -> None:
    await desk.one.register(named(1, "web"), "n1")
    clock.advance(86_400)
    assert (await refusal(desk, named(2, "web"))).code == Code.CONFLICT


async def test_forget(desk: Desk) -> None:
    await desk.one.register(named(1, "web"), "n1")
    await desk.other.forget(container_id(1))
    await desk.other.forget(container_id(1))
    assert await desk.keys() == (set(), set())
    await desk.one.register(named(2, "web"), "n1")


async def test_a_half_forgotten_registration_gives_up_its_name(desk: Desk) -> None:
    """As after a copy that was killed in between: the record is gone, the name isn't."""
    registered = await desk.one.register(named(1, "web"), "n1")
    await desk.containers.delete(container_id(1), registered.revision)
    await desk.other.forget(container_id(1))
    assert await desk.keys() == (set(), {"web"})
    await desk.other.forget(container_id(1), "web")
    assert await desk.keys() == (set(), set())


async def test_a_container_that_was_made_is_not_forgotten(desk: Desk) -> None:
    registered = await desk.one.register(spec(1), "n1")
    made = record(1, state=State.CREATED, seq=1)
    await desk.one.records.write(made, record_json(made, spec_json(made.spec)), registered.revision)
    with pytest.raises(SeawayError) as caught:
        await desk.one.forget(container_id(1))
    assert caught.value.code == Code.CONFLICT
    assert await desk.keys() == ({container_id(1)}, {"box1"})


async def test_what_is_given_up_unheard_frees_its_name_and_stays_known(desk: Desk) -> None:
    await desk.one.register(named(1, "web"), "n1")
    assert await desk.other.forget(container_id(1), unheard=True) == "n1"
    assert await desk.other.forget(container_id(1)) == "n1"
    assert await desk.one.records.find(container_id(1)) is None
    assert (await refusal(desk, named(1, "web"))).code is Code.CONFLICT
    await desk.one.register(named(2, "web"), "n1")
    assert await desk.keys() == ({container_id(1), container_id(2)}, {"web"})
    await desk.one.records.delete(container_id(1))
    assert await desk.keys() == ({container_id(2)}, {"web"})


async def test_a_name_that_was_not_freed_with_its_discarded_record_lapses(desk: Desk, clock: FakeClock) -> None:
    """As after a copy that was killed in between."""
    await desk.one.register(named(1, "web"), "n1")
    await desk.one.forget(container_id(1), unheard=True)
    await desk.one.claims.hold(NAMES.claim("web"), container_id(1), 1)
    assert (await refusal(desk, named(2, "web"))).code is Code.CONFLICT
    clock.advance(SETTLED_NS / 1e9 + 1)
    await desk.one.register(named(2, "web"), "n1")


@pytest.mark.parametrize("known", [True, False])
async def test_what_was_given_up_is_not_written_again(desk: Desk, known: bool) -> None:
    revision = (await desk.one.register(named(1, "web"), "n1")).revision
    await desk.other.forget(container_id(1), unheard=True)
    made = record(1, state=State.CREATED, seq=1)
    with pytest.raises(GivenUp):
        await desk.one.records.write(made, record_json(made, spec_json(made.spec)), revision if known else 0)
    stored = await desk.one.records.stored(container_id(1))
    assert stored is not None and stored.record.discarded and not stored.record.status.seq


async def test_find_by_id_and_name(desk: Desk) -> None:
    await desk.one.register(named(1, "we.b"), "n1")
    for ref in (container_id(1), "we.b", "/we.b"):
        found = await desk.other.records.find(ref)
        assert found is not None and found.id == container_id(1)
    for ref in ("web", container_id(2), "", "x" * 300, container_id(1)[:12]):
        assert await desk.other.records.find(ref) is None
    desk.destroyed.add(container_id(1))
    assert await desk.one.records.find("we.b") is None


@pytest.mark.parametrize("wrong", [spec(1, id="short"), spec(1, name=""), spec(1, name="x" * 256)])
async def test_what_cannot_be_registered(desk: Desk, wrong: ContainerSpec) -> None:
    assert (await refusal(desk, wrong)).status == 400
    assert await desk.keys() == (set(), set())


async def test_write_never_goes_back(desk: Desk) -> None:
    revision = (await desk.one.register(spec(1), "n1")).revision

    async def write(copy: Copy, seq: int, known: int) -> int:
        made = record(1, seq=seq)
        written = await copy.records.write(made, record_json(made, spec_json(made.spec)), known)
        assert written is not None
        return written.revision

    newest = await write(desk.one, 3, revision)
    assert await write(desk.other, 2, revision) == newest
    assert await write(desk.other, 3, 0) == newest
    assert await write(desk.other, 4, 0) > newest
    stored = await desk.one.records.stored(container_id(1))
    assert stored is not None and stored.record.status.seq == 4


async def test_without_the_bus_nothing_is_half_made_for_ever(desk: Desk, fake_server: FakeServer) -> None:
    fake_server.stop()
    with pytest.raises(NotConnected):
        await desk.one.register(named(1, "web"), "n1")
    fake_server.start()
    await desk.one.register(named(1, "web"), "n1")


class _Failing:
    """A bucket whose next write is carried out, but the answer is lost."""

    def __init__(self, inner: object, fail: Callable[[], bool]) -> None:
        self._inner = inner
        self._fail = fail

    def __getattr__(self, name: str) -> object:
        return getattr(self._inner, name)

    async def create(self, key: str, value: bytes) -> int:
        revision: int = await self._inner.create(key, value)  # type: ignore[attr-defined]
        if self._fail():
            raise RequestTimeout("no answer in time")
        return revision


@pytest.mark.parametrize("bucket", ["names", "records"])
async def test_a_lost_answer_can_be_asked_for_again(desk: Desk, bucket: str) -> None:
    failures = [True]

    def fail() -> bool:
        return bool(failures) and failures.pop()

    parts: dict[str, Any] = {"records": desk.containers, "names": desk.names}
    parts[bucket] = _Failing(parts[bucket], fail)
    buckets = Buckets(parts["records"], (parts["names"], desk.addresses))
    records = Copy(Records(CONTAINERS, buckets, lambda identifier: False))
    with pytest.raises(RequestTimeout):
        await records.register(named(1, "web"), "n1")
    await records.register(named(1, "web"), "n1")
    assert await desk.keys() == ({container_id(1)}, {"web"})
    entry = await desk.names.get(NAMES.key("web"))
    assert entry is not None


async def test_a_reserved_name_that_never_came_to_be_lapses(desk: Desk, clock: FakeClock) -> None:
    await desk.one.register(spec(1), "n1")
    assert await desk.one.rename(container_id(1), "new", 1)
    assert not await desk.one.rename(container_id(1), "new", 1)
    assert await desk.one.records.find("new") is None
    assert (await refusal(desk, named(2, "new"))).code is Code.CONFLICT
    clock.advance(SETTLED_NS / 1e9 + 1)
    await desk.one.register(named(2, "new"), "n1")


async def test_a_name_that_was_taken_again_is_not_released(desk: Desk) -> None:
    await desk.one.register(spec(1), "n1")
    await desk.one.rename(container_id(1), "box1", 3)
    await desk.one.records.claims.release(NAMES.claim("box1"), container_id(1), left=3)
    assert (await desk.keys())[1] == {"box1"}
    await desk.one.records.claims.release(NAMES.claim("box1"), container_id(1), left=4)
    assert (await desk.keys())[1] == set()
