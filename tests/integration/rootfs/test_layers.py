"""The layer store: what is on disk after successes, failures, cancellations, crashes and full disks."""

import asyncio
import gzip
import hashlib
import io
import os
import tarfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import orjson
import pytest

from seaway_agent.kernel.overlay import mount_overlay, umount
from seaway_agent.kernel.syscalls import mount
from seaway_agent.rootfs.errors import DigestMismatch, LayerTooLarge, StorageFull
from seaway_agent.rootfs.layers import LayerStore
from seaway_agent.rootfs.names import chain_ids
from seaway_contracts.errors import SeawayError, bad_request
from seaway_contracts.images import Layer

pytestmark = pytest.mark.root


class Registry:
    """Layers by digest, and how often each was fetched."""

    def __init__(self) -> None:
        self.blobs: dict[str, bytes] = {}
        self.fetched: list[str] = []
        self.news = asyncio.Event()
        self.gate = asyncio.Event()
        self.gate.set()

    def add(self, files: dict[str, bytes | str | None], mode: int = 0o755) -> Layer:
        """A layer of files (bytes), links (str) and directories (None)."""
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w") as tar:
            for name, content in files.items():
                info = tarfile.TarInfo(name)
                info.mode = mode
                data = content if isinstance(content, bytes) else b""
                info.size = len(data)
                if not isinstance(content, bytes):
                    info.type = tarfile.DIRTYPE if content is None else tarfile.SYMTYPE
                    info.linkname = content or ""
                tar.addfile(info, io.BytesIO(data))
        blob = gzip.compress(out.getvalue(), 1)
        digest = f"sha256:{hashlib.sha256(blob).hexdigest()}"
        self.blobs[digest] = blob
        diff_id = f"sha256:{hashlib.sha256(out.getvalue()).hexdigest()}"
        return Layer(digest=digest, size=len(blob), media_type="", diff_id=diff_id)

    async def fetch(self, digest: str, size: int) -> AsyncIterator[bytes]:
        self.fetched.append(digest)
        self.news.set()
        blob = self.blobs[digest]
        yield blob[: size // 2]
        await self.gate.wait()
        yield blob[size // 2 :]


@pytest.fixture
def registry() -> Registry:
    return Registry()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "layers"


@pytest.fixture
def store(root: Path) -> Iterator[LayerStore]:
    yield from opened(root)


def opened(root: Path, boot_id: str = "boot-1") -> Iterator[LayerStore]:
    store = LayerStore(root, boot_id)
    store.start()
    yield store
    store.close()


def names(root: Path) -> list[str]:
    return sorted(os.listdir(root))


async def fetching(registry: Registry, count: int = 1) -> None:
    while len(registry.fetched) < count:
        registry.news.clear()
        await registry.news.wait()


async def test_lower_directories_topmost_first(store: LayerStore, registry: Registry, root: Path) -> None:
    layers = [registry.add({f"file{i}": b"x" * (i + 1)}) for i in range(5)]
    lowers = await store.ensure(layers, registry.fetch)
    assert [Path(lower).name for lower in lowers] == ["init", *["diff"] * 5]
    assert [os.listdir(lower) for lower in lowers[1:]] == [[f"file{i}"] for i in (4, 3, 2, 1, 0)]
    assert all(len(name) == 12 for name in names(root))
    assert store.usage() == store.size(chain_ids(layer.diff_id for layer in layers)) == 15
    assert root.stat().st_mode & 0o7777 == 0o700


async def test_a_second_image_fetches_only_what_is_new(store: LayerStore, registry: Registry) -> None:
    base, first, second = (registry.add({name: b"x"}) for name in ("base", "first", "second"))
    await store.ensure([base, first], registry.fetch)
    await store.ensure([base, second], registry.fetch)
    await store.ensure([base, second], registry.fetch)
    assert sorted(registry.fetched) == sorted([base.digest, first.digest, second.digest])


async def test_the_same_layer_on_another_base_is_another_layer(store: LayerStore, registry: Registry) -> None:
    a, b, top = (registry.add({name: b"x"}) for name in ("a", "b", "top"))
    one, two = await store.ensure([a, top], registry.fetch), await store.ensure([b, top], registry.fetch)
    assert set(one).isdisjoint(two)


async def test_concurrent_images_unpack_each_layer_once(store: LayerStore, registry: Registry) -> None:
    layers = [registry.add({f"file{i}": b"x" * 5000}) for i in range(4)]
    results = await asyncio.gather(*(store.ensure(layers[: 2 + i % 3], registry.fetch) for i in range(9)))
    assert sorted(registry.fetched) == sorted(layer.digest for layer in layers)
    assert results[0][1:] == results[3][1:]


async def test_at_most_two_layers_at_once(store: LayerStore, registry: Registry) -> None:
    registry.gate.clear()
    layers = [registry.add({f"file{i}": b"x"}) for i in range(6)]
    ensuring = asyncio.create_task(store.ensure(layers, registry.fetch))
    await fetching(registry, 2)
    for _ in range(20):
        await asyncio.sleep(0)
    assert len(registry.fetched) == 2
    registry.gate.set()
    await ensuring


async def test_implied_directories_take_after_the_layers_below(store: LayerStore, registry: Registry) -> None:
    layers = [registry.add({"tmp": None}, mode=0o1777), registry.add({"tmp/file": b"x"})]
    lowers = await store.ensure(layers, registry.fetch)
    assert (Path(lowers[1]) / "tmp").stat().st_mode & 0o7777 == 0o1777


async def test_an_opaque_root_cuts_the_stack(store: LayerStore, registry: Registry) -> None:
    layers = [
        registry.add({"old": b"x"}),
        registry.add({".wh..wh..opq": b"", "new": b"x"}),
        registry.add({"top": b"x"}),
    ]
    lowers = await store.ensure(layers, registry.fetch)
    assert [os.listdir(lower) for lower in lowers[1:]] == [["top"], ["new"]]


async def test_an_image_without_layers_has_its_init_layer(store: LayerStore, registry: Registry) -> None:
    (init,) = await store.ensure([], registry.fetch)
    assert sorted(os.listdir(init)) == [".dockerenv", "dev", "etc", "proc", "sys"]
    assert await store.ensure([], registry.fetch) == [init]


async def test_a_mismatch_leaves_nothing(store: LayerStore, registry: Registry, root: Path) -> None:
    good, bad = registry.add({"good": b"x"}), registry.add({"bad": b"x"})
    wrong = bad.model_copy(update={"diff_id": "sha256:" + "0" * 64})
    with pytest.raises(DigestMismatch):
        await store.ensure([wrong, good], registry.fetch)
    assert names(root) == []
    assert store.usage() == 0


async def test_errors_of_the_source_pass_through(store: LayerStore, registry: Registry, root: Path) -> None:
    layer = registry.add({"file": b"x" * 100_000})

    async def failing(digest: str, size: int) -> AsyncIterator[bytes]:
        yield registry.blobs[digest][:50]
        raise bad_request("the image service is gone")

    with pytest.raises(SeawayError, match="image service is gone"):
        await store.ensure([layer], failing)
    assert names(root) == []
    assert len(await store.ensure([layer], registry.fetch)) == 2


async def test_a_source_that_stops_early(store: LayerStore, registry: Registry, root: Path) -> None:
    layer = registry.add({"file": os.urandom(100_000)})

    async def short(digest: str, size: int) -> AsyncIterator[bytes]:
        yield registry.blobs[digest][:5000]

    with pytest.raises(SeawayError, match="truncated"):
        await store.ensure([layer], short)
    assert names(root) == []


async def test_a_hostile_source_that_never_ends(store: LayerStore, registry: Registry, root: Path) -> None:
    layer = registry.add({"file": b"x"})

    async def endless(digest: str, size: int) -> AsyncIterator[bytes]:
        while True:
            yield bytes(1 << 20)

    with pytest.raises(DigestMismatch, match="longer than"):
        await store.ensure([layer], endless)
    assert names(root) == []


async def test_cancellation_leaves_nothing_and_others_go_on(store: LayerStore, registry: Registry, root: Path) -> None:
    registry.gate.clear()
    layer = registry.add({"file": os.urandom(50_000)})
    first = asyncio.create_task(store.ensure([layer], registry.fetch))
    second = asyncio.create_task(store.ensure([layer], registry.fetch))
    await fetching(registry)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    registry.gate.set()
    assert len(await second) == 2
    assert len(names(root)) == 1


async def test_cancelling_the_only_one(store: LayerStore, registry: Registry, root: Path) -> None:
    registry.gate.clear()
    ensuring = asyncio.create_task(store.ensure([registry.add({"file": b"x"})], registry.fetch))
    await fetching(registry)
    ensuring.cancel()
    with pytest.raises(asyncio.CancelledError):
        await ensuring
    assert names(root) == []


async def test_drop_keeps_what_lies_below_and_what_is_in_use(store: LayerStore, registry: Registry, root: Path) -> None:
    base, middle, top, other = (registry.add({name: b"x" * 100}) for name in ("base", "middle", "top", "other"))
    await store.ensure([base, middle, top], registry.fetch)
    await store.ensure([base, other], registry.fetch)
    middle_id = chain_ids([base.diff_id, middle.diff_id])[-1]
    assert await store.drop({middle_id}) == 200
    assert len(names(root)) == 2 and store.usage() == 200

    registry.gate.clear()
    ensuring = asyncio.create_task(store.ensure([base, middle, top], registry.fetch))
    await fetching(registry, 5)
    assert await store.drop(set()) == 0
    registry.gate.set()
    await ensuring
    assert await store.drop(set()) == 300
    assert names(root) == [] and not store.has([middle_id])


async def test_a_restart_finds_the_layers_and_sweeps_the_rest(registry: Registry, root: Path) -> None:
    layer = registry.add({"file": b"x" * 10})
    for store in opened(root):
        lowers = await store.ensure([layer], registry.fetch)
    (root / f"tmp-{'a' * 16}" / "diff").mkdir(parents=True)
    (root / f"trash-{'b' * 16}").mkdir()
    (root / ("c" * 12)).mkdir()
    (root / "lost+found").mkdir()
    for store in opened(root):
        assert await store.ensure([layer], registry.fetch) == lowers
        assert store.usage() == 10
    assert len(registry.fetched) == 1
    assert names(root) == sorted([Path(lowers[1]).parent.name, "lost+found"])


async def test_after_a_power_cut_damaged_layers_are_fetched_again(registry: Registry, root: Path) -> None:
    good, bad = registry.add({"good": b"x" * 10}), registry.add({"bad": b"x" * 10})
    for store in opened(root):
        await store.ensure([good], registry.fetch)
        lowers = await store.ensure([bad], registry.fetch)
    os.truncate(Path(lowers[1]) / "bad", 0)
    for store in opened(root, "boot-2"):
        assert store.has([good.diff_id]) and not store.has([bad.diff_id])
        await store.ensure([bad], registry.fetch)
    records = [orjson.loads(path.read_bytes()) for path in root.glob("*/layer.json")]
    assert [record["boot_id"] for record in records] == ["boot-2", "boot-2"]


async def test_too_many_layers(store: LayerStore, registry: Registry) -> None:
    layer = registry.add({"file": b"x"})
    with pytest.raises(LayerTooLarge, match="10000 layers"):
        await store.ensure([layer] * 10_000, registry.fetch)
    assert registry.fetched == []


async def test_short_names_that_collide(store: LayerStore, registry: Registry, root: Path) -> None:
    layer = registry.add({"file": b"x"})
    (root / layer.diff_id[7:19]).mkdir()
    lowers = await store.ensure([layer], registry.fetch)
    assert Path(lowers[1]).parent.name == layer.diff_id[7:]


@pytest.mark.parametrize("options", ["size=2m", "size=64m,nr_inodes=100"])
async def test_a_full_disk_is_named_and_left_as_it_was(registry: Registry, tmp_path: Path, options: str) -> None:
    small = tmp_path / "small"
    small.mkdir()
    mount("tmpfs", str(small), "tmpfs", 0, options)
    try:
        layer = registry.add({f"file{i}": os.urandom(20_000) for i in range(200)})
        for store in opened(small / "layers"):
            with pytest.raises(StorageFull, match="no space left"):
                await store.ensure([layer], registry.fetch)
            assert names(small / "layers") == []
            assert len(await store.ensure([registry.add({"tiny": b"x"})], registry.fetch)) == 2
    finally:
        umount(str(small))


async def test_the_stack_mounts(store: LayerStore, registry: Registry, tmp_path: Path) -> None:
    layers = [registry.add({"etc": None, "etc/hosts": "/outside", "a": b"1", "b": b"1"}), registry.add({".wh.a": b""})]
    lowers = await store.ensure(layers, registry.fetch)
    merged = tmp_path / "merged"
    merged.mkdir()
    mount_overlay(str(merged), lowers, None, None)
    try:
        assert sorted(os.listdir(merged)) == [".dockerenv", "b", "dev", "etc", "proc", "sys"]
        assert (merged / "etc/hosts").read_bytes() == b"" and not (merged / "etc/hosts").is_symlink()
    finally:
        umount(str(merged))
