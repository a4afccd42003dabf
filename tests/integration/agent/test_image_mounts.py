"""Mounts of images: what their descriptors show, and that nothing of them is anywhere else."""

import hashlib
import io
import os
import subprocess
import sys
import tarfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from seaway_agent.archive.view import Stack, view_of_stopped
from seaway_agent.layout import Layout
from seaway_agent.rootfs.layers import LayerStore
from seaway_agent.volumes.images import ImageMounts
from seaway_contracts.containers import ContainerSpec, ImageUse, Mount
from seaway_contracts.errors import Code, SeawayError
from seaway_contracts.images import Layer
from seaway_kit.failpoints import VARIABLE, Failpoint
from seaway_testing import builders

pytestmark = pytest.mark.root


class Blobs:
    """Layers by digest, and which were fetched."""

    def __init__(self) -> None:
        self._blobs: dict[str, bytes] = {}
        self.fetched: list[str] = []

    def add(self, files: dict[str, str], links: dict[str, str] | None = None) -> Layer:
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w") as tar:
            for name, text in files.items():
                entry = tarfile.TarInfo(name)
                entry.size = len(text)
                tar.addfile(entry, io.BytesIO(text.encode()))
            for name, target in (links or {}).items():
                entry = tarfile.TarInfo(name)
                entry.type, entry.linkname = tarfile.SYMTYPE, target
                tar.addfile(entry)
        digest = f"sha256:{hashlib.sha256(out.getvalue()).hexdigest()}"
        self._blobs[digest] = out.getvalue()
        return Layer(digest=digest, size=len(out.getvalue()), media_type="", diff_id=digest)

    async def fetch(self, digest: str, size: int) -> AsyncIterator[bytes]:
        self.fetched.append(digest)
        yield self._blobs[digest]


@pytest.fixture
def blobs() -> Blobs:
    return Blobs()


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    layout = Layout.of(tmp_path / "root", tmp_path / "run", "n1")
    layout.run.mkdir(parents=True)
    layout.make()
    return layout


@pytest.fixture
def store(layout: Layout) -> Iterator[LayerStore]:
    store = LayerStore(layout.layers, "boot-1")
    store.start()
    yield store
    store.close()


@pytest.fixture
def images(store: LayerStore, blobs: Blobs, layout: Layout) -> ImageMounts:
    return ImageMounts(store, blobs.fetch, layout)


@pytest.fixture
def layers(blobs: Blobs) -> tuple[Layer, ...]:
    links = {"in": "sub", "from-root": "/sub", "out": "../../../../etc", "to-file": "/etc/passwd"}
    return blobs.add({"sub/a": "below", "sub/gone": "x"}), blobs.add({"sub/.wh.gone": "", "b": "above"}, links)


def spec(layers: tuple[Layer, ...], subpath: str = "", target: str = "/i") -> ContainerSpec:
    image = ImageUse(ref="other", id="sha256:other", layers=layers)
    mount = Mount(type="image", source="other", target=target, read_only=True, subpath=subpath, image=image)
    return builders.spec(1, mounts=(mount,))


def opened(images: ImageMounts, spec: ContainerSpec) -> int:
    (attachment,) = images.attachments(spec)
    return attachment.clone()


def mounts() -> str:
    return Path("/proc/self/mountinfo").read_text()


async def test_all_layers_and_nothing_of_a_container(images: ImageMounts, layers: tuple[Layer, ...]) -> None:
    whole, before = spec(layers), mounts()
    await images.ensure(whole)
    tree = opened(images, whole)
    try:
        assert sorted(os.listdir(f"/proc/self/fd/{tree}")) == ["b", "from-root", "in", "out", "sub", "to-file"]
        assert os.listdir(f"/proc/self/fd/{tree}/sub") == ["a"]
        with pytest.raises(OSError, match="Read-only"):
            Path(f"/proc/self/fd/{tree}/new").touch()
        assert mounts() == before, "only the descriptor has it"
    finally:
        os.close(tree)


@pytest.mark.parametrize("subpath", ["sub", "in", "from-root", "./sub/"])
async def test_a_directory_of_it(images: ImageMounts, layers: tuple[Layer, ...], subpath: str) -> None:
    part = spec(layers, subpath)
    await images.ensure(part)
    tree = opened(images, part)
    assert os.listdir(f"/proc/self/fd/{tree}") == ["a"]
    os.close(tree)


async def test_a_file_of_it(images: ImageMounts, layers: tuple[Layer, ...]) -> None:
    part = spec(layers, "sub/a")
    await images.ensure(part)
    tree = opened(images, part)
    assert Path(f"/proc/self/fd/{tree}").read_text() == "below"
    os.close(tree)


@pytest.mark.parametrize("subpath", ["nope", "out", "out/passwd", "to-file", "b/x", "sub/gone"])
async def test_no_way_out(images: ImageMounts, layers: tuple[Layer, ...], subpath: str) -> None:
    part = spec(layers, subpath)
    await images.ensure(part)
    before, held = mounts(), os.listdir("/proc/self/fd")
    with pytest.raises(SeawayError, match=f"cannot access path other/{subpath}") as refused:
        opened(images, part)
    assert refused.value.code is Code.NOT_FOUND
    assert mounts() == before
    assert len(os.listdir("/proc/self/fd")) == len(held)


@pytest.mark.parametrize("number", [0, 1])
async def test_few_layers(images: ImageMounts, blobs: Blobs, number: int) -> None:
    few = spec(tuple(blobs.add({"f": "x"}) for _ in range(number)))
    await images.ensure(few)
    tree = opened(images, few)
    assert os.listdir(f"/proc/self/fd/{tree}") == ["f"] * number
    os.close(tree)


async def test_layers_are_fetched_once_and_again_when_lost(
    images: ImageMounts, store: LayerStore, blobs: Blobs, layers: tuple[Layer, ...]
) -> None:
    for _ in range(2):
        await images.ensure(spec(layers))
    assert sorted(blobs.fetched) == sorted(layer.digest for layer in layers)
    await store.drop(())
    await images.ensure(spec(layers))
    assert len(blobs.fetched) == 4


async def test_in_a_view_of_a_stopped_container(
    images: ImageMounts, layout: Layout, layers: tuple[Layer, ...], tmp_path: Path
) -> None:
    """Two images one after the other, neither shows through the other, nor does the container's own tree."""
    whole = spec(layers, target="/one")
    both = whole.model_copy(update={"mounts": (*whole.mounts, *spec(layers[:1], "sub", "/two").mounts)})
    await images.ensure(both)
    for name in ("lower", "upper", "work"):
        (tmp_path / name).mkdir()
    stack = Stack((str(tmp_path / "lower"),), str(tmp_path / "upper"), str(tmp_path / "work"))
    before = mounts()
    with view_of_stopped(stack, images.places(both), layout.scratch, writable=True) as view:
        assert sorted(os.listdir(f"/proc/self/fd/{view.root}")) == ["one", "two"]
        assert sorted(os.listdir(f"/proc/self/fd/{view.root}/two")) == ["a", "gone"]
        assert os.listdir(f"/proc/self/fd/{view.root}/one/sub") == ["a"]
        with pytest.raises(OSError, match="Read-only"):
            Path(f"/proc/self/fd/{view.root}/one/new").touch()
    assert mounts() == before
    assert os.listdir(layout.empty) == []


_CLONE = """
import sys
from functools import partial
from pathlib import Path
from seaway_agent.volumes import images
from seaway_contracts.containers import Mount
lower, scratch, empty = sys.argv[1:]
mounting = partial(images._mount, (lower,), Path(scratch), Path(empty))
images._clone(mounting, Path(scratch), Mount(type="image", target="/i"))
"""


def test_killed_in_the_middle(layout: Layout, tmp_path: Path) -> None:
    """Nothing is left to find, so the next agent has nothing to undo."""
    (tmp_path / "lower").mkdir()
    points = tmp_path / "points"
    points.mkdir()
    (points / Failpoint.IMAGE_MOUNTED).touch()
    before = mounts()
    words = (str(tmp_path / "lower"), str(layout.image_scratch), str(layout.empty))
    done = subprocess.run([sys.executable, "-c", _CLONE, *words], env=os.environ | {VARIABLE: str(points)}, check=False)
    assert done.returncode == -9
    assert mounts() == before
    assert os.listdir(layout.image_scratch) == []
