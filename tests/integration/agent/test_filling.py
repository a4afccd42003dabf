"""Volumes filled with what an image has, beside containers that have them already, and through kills."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from seaway_agent.archive.view import Stack
from seaway_agent.volumes import filling
from seaway_agent.volumes.filler import VolumeFiller
from seaway_agent.volumes.volumes import Volumes
from seaway_contracts.containers import ContainerSpec, Mount
from seaway_contracts.errors import Code, SeawayError
from seaway_contracts.volumes import VolumeRecord
from seaway_kit.failpoints import VARIABLE, Failpoint
from seaway_testing import builders

pytestmark = pytest.mark.root


@pytest.fixture
def image(tmp_path: Path) -> Iterator[int]:
    root = tmp_path / "image"
    (root / "data/sub/deep").mkdir(parents=True)
    for name in ("one", "sub/two", "sub/deep/three"):
        (root / "data" / name).write_text(name)
    (root / "data/link").symlink_to("/etc")
    (root / "file").touch()
    (root / "way").symlink_to("/data")
    os.chown(root / "data", 1000, 1001)
    (root / "data").chmod(0o750)
    fd = os.open(root, os.O_PATH | os.O_DIRECTORY)
    yield fd
    os.close(fd)


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    path = tmp_path / "volume"
    (path / "_data").mkdir(parents=True)
    return path


def fill(volume: Path, image: int, target: str = "/data", subpath: str = "") -> None:
    filling.fill(volume, subpath, image, target, lambda: None)


def held(top: Path) -> set[str]:
    return {str(path.relative_to(top)) for path in top.rglob("*")}


WHOLE = {"one", "sub", "sub/two", "sub/deep", "sub/deep/three", "link"}


@pytest.mark.parametrize("target", ["/data", "/way", "/way/../data"])
def test_an_empty_one_is_filled(volume: Path, image: int, target: str) -> None:
    fill(volume, image, target)
    assert held(volume / "_data") == WHOLE
    found = (volume / "_data").stat()
    assert (found.st_uid, found.st_gid, found.st_mode & 0o7777) == (1000, 1001, 0o750)
    assert os.listdir(volume) == ["_data"]


def test_what_is_in_use_is_left_alone(volume: Path, image: int) -> None:
    (volume / "_data/own").touch()
    fill(volume, image)
    assert held(volume / "_data") == {"own"}
    assert (volume / "_data").stat().st_uid == 0


def test_nothing_and_no_directory_in_the_image(volume: Path, image: int) -> None:
    fill(volume, image, "/nowhere")
    with pytest.raises(NotADirectoryError):
        fill(volume, image, "/file")
    assert held(volume) == {"_data"}


def test_a_piece_of_a_volume(volume: Path, image: int) -> None:
    (volume / "_data/a/b").mkdir(parents=True)
    (volume / "_data/out").symlink_to("/")
    fill(volume, image, subpath="a/b")
    fill(volume, image, subpath="no/where")
    fill(volume, image, subpath="out")  # inside the volume, and so not empty
    assert held(volume / "_data") == {"a", "a/b", "out", *(f"a/b/{name}" for name in WHOLE)}


def test_two_at_once(volume: Path, image: int) -> None:
    threads = [threading.Thread(target=fill, args=(volume, image)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert held(volume) == {"_data", *(f"_data/{name}" for name in WHOLE)}


def test_what_a_container_plants_meanwhile_leads_nowhere(volume: Path, image: int, tmp_path: Path) -> None:
    """A running container has the volume: it puts links and directories where the copy goes."""
    host = tmp_path / "host"
    host.mkdir()
    killed_at(Failpoint.VOLUME_FILLED, volume, tmp_path)
    (volume / "_data/sub").symlink_to(host)
    (volume / "_data/one").symlink_to(host / "one")
    filling.finish(volume)
    assert held(host) == set()
    assert held(volume / "_data") == {"one", "sub", "link"}
    assert (volume / "_data/one").is_symlink() and (volume / "_data/sub").is_symlink()
    assert os.listdir(volume) == ["_data"]


def test_what_a_container_has_written_meanwhile_stays_alone(volume: Path, image: int) -> None:
    def write() -> None:
        (volume / "_data/own").touch()

    filling.fill(volume, "", image, "/data", write)
    assert held(volume) == {"_data", "_data/own"}


def killed_at(point: Failpoint, volume: Path, tmp_path: Path, subpath: str = "") -> None:
    armed = tmp_path / "armed"
    armed.mkdir()
    (armed / point).touch()
    program = f"""
import os
from pathlib import Path
from seaway_agent.volumes import filling
image = os.open({str(tmp_path / "image")!r}, os.O_PATH)
filling.fill(Path({str(volume)!r}), {subpath!r}, image, "/data", lambda: None)
"""
    done = subprocess.run([sys.executable, "-c", program], env=os.environ | {VARIABLE: str(armed)})
    assert done.returncode == -9


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB."""
    path = tmp_path / "volumes"
    path.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "small", path], check=True)
    yield path
    subprocess.run(["umount", path], check=True)


async def test_a_full_disk_leaves_nothing(tmp_path: Path, small: Path, image: int) -> None:
    for name in ("image/data/large", "upper", "work", "scratch"):
        (tmp_path / name).mkdir()
    (tmp_path / "image/data/large/file").write_bytes(bytes(2 << 20) + b"x" * (2 << 20))
    mounts = (
        Mount(type="volume", source="a" * 64, target="/data/sub", anonymous=True),
        Mount(type="volume", source="large", target="/data"),
    )
    spec = builders.spec(1, mounts=mounts)
    layers = Stack((str(tmp_path / "image"),), str(tmp_path / "upper"), str(tmp_path / "work"))
    volumes = Volumes(small, "n1", lambda _: False)
    filler = VolumeFiller(volumes, tmp_path / "scratch")
    volumes.reserve(spec, [VolumeRecord(id="1", name="large", created_ns=1)])
    text = "volume large can't be filled with what the image has at /data: No space left on device"
    with pytest.raises(SeawayError, match=text) as refused:
        await filler.fill(spec, layers)
    assert refused.value.code is Code.NO_SPACE
    assert held(small / "large/_data") == set()
    volumes.rollback(spec)
    filler.close()
    volumes.close()
    assert held(small) == set()


def test_a_volume_for_which_there_is_no_room_is_not_made(small: Path) -> None:
    volumes = Volumes(small, "n1", lambda _: False)
    before = VolumeRecord(id="1", name="before", created_ns=1)
    volumes.make(before)
    with pytest.raises(OSError, match="No space left"):
        (small / "before/_data/file").write_bytes(bytes(2 << 20))
    record = VolumeRecord(id="2", name="new", created_ns=1, labels={"a": "x" * 10_000})
    for make in (lambda: volumes.make(record), lambda: volumes.reserve(_with("new"), [record])):
        with pytest.raises(SeawayError, match="volume new can't be made: No space left on device") as refused:
            make()
        assert refused.value.code is Code.NO_SPACE
    assert os.listdir(small) == ["before"] and list(volumes.listed(())) == ["1"]
    volumes.remove("1", "before")
    volumes.close()
    assert os.listdir(small) == [], "a full disk doesn't keep a volume from being removed"


def _with(name: str) -> ContainerSpec:
    return builders.spec(1, mounts=(Mount(type="volume", source=name, target="/v"),))


@pytest.mark.parametrize("point", [Failpoint.VOLUME_FILLED, Failpoint.VOLUME_HALF_MOVED, Failpoint.VOLUME_MOVED])
@pytest.mark.parametrize("subpath", ["", "piece"])
def test_a_complete_copy_is_finished_after_a_kill(
    volume: Path, image: int, tmp_path: Path, subpath: str, point: Failpoint
) -> None:
    (volume / "_data" / subpath).mkdir(exist_ok=True)
    killed_at(point, volume, tmp_path, subpath)
    moved = held(volume / "_data" / subpath)
    assert (not moved, moved == WHOLE) == (point is Failpoint.VOLUME_FILLED, point is Failpoint.VOLUME_MOVED), moved
    filling.finish(volume)
    assert held(volume / "_data" / subpath) == WHOLE
    assert (volume / "_data" / subpath).stat().st_uid == 1000
    assert os.listdir(volume) == ["_data"]


def test_the_removal_of_a_copy_that_has_been_moved_is_finished(
    volume: Path, image: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed within it: what is left, without the link that says where it belongs, is no copy to move."""

    def interrupted(path: Path) -> None:
        if (path / "into").is_symlink() and held(volume / "_data"):
            (path / "into").unlink()
            raise InterruptedError

    with monkeypatch.context() as patched:
        patched.setattr(filling.tree, "remove", interrupted)
        with pytest.raises(InterruptedError):
            fill(volume, image)
    assert len(os.listdir(volume)) == 2
    (volume / "_data/one").unlink()  # by a container that has it meanwhile
    filling.finish(volume)
    assert held(volume) == {"_data", *(f"_data/{name}" for name in WHOLE - {"one"})}


def test_another_one_is_undone(volume: Path, image: int, tmp_path: Path) -> None:
    killed_at(Failpoint.VOLUME_COPIED, volume, tmp_path)
    filling.finish(volume)
    assert held(volume) == {"_data"}
    fill(volume, image)
    assert held(volume / "_data") == WHOLE
