"""The build cache: what is listed, what is removed, and in which order."""

import asyncio
import json
from pathlib import Path

import pytest

from seaway_agent.build.cache import Cache, Gate
from seaway_agent.build.store import BuildStore, oldest, wanted
from seaway_contracts.builds import CachedStep, PruneBuildCache

STEPS = [CachedStep(id=letter * 64, used_ns=used, size=10) for letter, used in (("a", 30), ("b", 20), ("c", 10))]


def test_the_least_recently_used_go_first() -> None:
    assert oldest(STEPS, 30, 30) == []
    assert oldest(STEPS, 30, 15) == ["c" * 64, "b" * 64]
    assert len(oldest(STEPS, 30, 0)) == 3


def test_what_a_prune_asks_for() -> None:
    assert wanted(STEPS, None, 0) == STEPS
    assert [step.id[0] for step in wanted(STEPS, None, 20)] == ["c"]
    assert [step.id[0] for step in wanted(STEPS, ["a" * 12, "c"], 0)] == ["a", "c"]
    assert wanted(STEPS, [], 0) == []


@pytest.fixture
def store(tmp_path: Path) -> BuildStore:
    """As the builder writes it."""
    images, layers = tmp_path / "store" / "overlay-images", tmp_path / "store" / "overlay-layers"
    images.mkdir(parents=True)
    layers.mkdir()
    made = "2026-12-02T10:00:00.123456789Z"
    rows = [{"id": "a" * 64, "layer": "l", "created": made, "names": ["x:1"]}, {"id": "b" * 64, "created": "nonsense"}]
    (images / "images.json").write_text(json.dumps(rows))
    (layers / "layers.json").write_text(json.dumps([{"id": "l", "parent": "p", "diff-size": 7}]))
    return BuildStore("", tmp_path)


def test_steps_as_the_builder_has_them(store: BuildStore) -> None:
    first, second = store.steps({})
    assert (first.id, first.parent, first.description, first.size) == ("a" * 64, "p", "x:1", 7)
    assert first.created_ns == first.used_ns == 1_796_205_600_123_456_789
    assert (second.created_ns, second.size, store.size()) == (0, 0, 7)
    assert store.steps({"b" * 12: 1 << 62})[0].id == "b" * 64


def test_a_store_that_is_not_there_or_torn_is_empty(tmp_path: Path) -> None:
    store = BuildStore("", tmp_path)
    assert (store.steps({}), store.size()) == ([], 0)
    (tmp_path / "store" / "overlay-images").mkdir(parents=True)
    (tmp_path / "store" / "overlay-images" / "images.json").write_text("[{")
    assert store.steps({}) == []


async def test_nothing_is_removed_while_a_build_runs(store: BuildStore) -> None:
    gate = Gate()
    cache = Cache(store, 0, gate)
    async with gate.working():
        assert (await cache.prune(PruneBuildCache())).ids == ()
        await cache.settle()
    assert [step.id[0] for step in (await cache.list()).steps] == ["a", "b"]


async def test_uses_are_kept(store: BuildStore) -> None:
    cache = Cache(store, 1 << 30, Gate())
    cache.note(["b" * 12])
    await cache.settle()
    again = Cache(store, 1 << 30, Gate())
    again.load()
    assert [step.id[0] for step in (await again.list()).steps] == ["b", "a"]
    (store.root / "used.json").write_text("torn")
    again.load()
    assert [step.id[0] for step in (await again.list()).steps] == ["a", "b"]


async def test_a_build_waits_while_the_store_is_cleaned() -> None:
    gate, order = Gate(), []

    async def build() -> None:
        async with gate.working():
            order.append("built")

    async with gate.alone() as alone:
        waiting = asyncio.ensure_future(build())
        await asyncio.sleep(0)
        assert alone
        order.append("cleaned")
    await waiting
    assert order == ["cleaned", "built"]
    async with gate.working(), gate.alone() as alone:
        assert not alone
