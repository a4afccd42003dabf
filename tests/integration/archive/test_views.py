"""Views of containers' files on real overlays, and what is left of them: nothing."""

import io
import os
import signal
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from seaway_agent.archive import reading, view
from seaway_agent.archive.changes import changes, tar_layer
from seaway_agent.archive.view import Place, Stack
from seaway_agent.kernel import launcher, overlay, paths
from seaway_agent.kernel.procs import open_pidfd
from seaway_agent.volumes.mounted import mount_on, unmount_from
from seaway_agent.volumes.options import MountOptions
from seaway_contracts.errors import SeawayError


@pytest.fixture
def layers(tmp_path: Path) -> Stack:
    """Two lower layers and an empty writable one."""
    for name in ("init", "image", "upper", "work", "scratch"):
        (tmp_path / name).mkdir()
    image = tmp_path / "image"
    for name in ("etc", "gone", "replaced/old", "vol"):
        (image / name).mkdir(parents=True)
    for name in ("etc/passwd", "gone/f", "replaced/old/f", "replaced/same", "vol/of-the-image", "hidden"):
        (image / name).write_text(name)
    (tmp_path / "init" / ".dockerenv").write_text("")
    return Stack((str(tmp_path / "init"), str(image)), str(tmp_path / "upper"), str(tmp_path / "work"))


def mounts() -> int:
    return len(Path("/proc/self/mountinfo").read_text().splitlines())


def names(root: int, path: str = "/") -> set[str]:
    pieces: list[bytes] = []
    reading.tar_path(root, path, pieces.append)
    with tarfile.open(fileobj=io.BytesIO(b"".join(pieces))) as archive:
        return {member.name for member in archive}


def change(layers: Stack, tmp_path: Path) -> None:
    """What a container might do, on the real overlay."""

    def work() -> None:
        launcher.enter_private_mounts()
        top = tmp_path / "scratch"
        overlay.mount_overlay(str(top), layers.lowers, layers.upper, layers.work)
        (top / "gone" / "f").unlink()
        (top / "gone").rmdir()
        for path in ("replaced/old/f", "replaced/same"):
            (top / path).unlink()
        (top / "replaced/old").rmdir()
        (top / "replaced").rmdir()
        (top / "replaced").mkdir()
        (top / "replaced" / "same").write_text("again")
        (top / "hidden").unlink()
        (top / "deep/er").mkdir(parents=True)
        (top / "deep/er/f").write_text("f")
        os.link(top / "deep/er/f", top / "deep/hard")
        (top / "etc/passwd").write_text("changed")

    view.apart(work)


def test_a_stopped_one_with_a_volume(layers: Stack, tmp_path: Path) -> None:
    volume, before = tmp_path / "volume", mounts()
    (volume / "piece").mkdir(parents=True)
    (volume / "f").touch()
    (volume / "piece/in-it").touch()
    (volume / "out").symlink_to("/")
    places = [Place("/vol", volume), Place("/new/made", volume, read_only=True)]
    places.append(Place("/part", volume, subpath="piece"))
    with pytest.raises(FileNotFoundError):
        view.view_of_stopped(layers, places, tmp_path / "scratch", writable=False).close()
    with view.view_of_stopped(layers, places, tmp_path / "scratch", writable=True) as found:
        assert names(found.root, "/vol") == {"vol", "vol/f", "vol/out", "vol/piece", "vol/piece/in-it"}
        assert names(found.root, "/new/made/piece") == {"piece", "piece/in-it"}
        assert names(found.root, "/part") == {"part", "part/in-it"}
        os.close(paths.open_in_root(found.root, "/vol/given", os.O_WRONLY | os.O_CREAT, 0o644))
        with pytest.raises(OSError, match=r"[Rr]ead-only"):
            paths.open_in_root(found.root, "/new/made/x", os.O_WRONLY | os.O_CREAT, 0o644)
        assert mounts() == before
    assert sorted(os.listdir(volume)) == ["f", "given", "out", "piece"]
    reading_only = view.view_of_stopped(layers, places, tmp_path / "scratch", writable=False)
    with reading_only as found, pytest.raises(OSError, match=r"[Rr]ead-only"):
        paths.open_in_root(found.root, "/vol/x", os.O_WRONLY | os.O_CREAT, 0o644)
    assert os.listdir(tmp_path / "scratch") == []


def mounting(volume: Path, fstype: str, device: str, options: str = "") -> Place:
    given = MountOptions(fstype, device, options)
    return Place("/vol", volume, mount=partial(mount_on, volume, given))


def test_a_volume_is_mounted_for_the_view_alone(layers: Stack, tmp_path: Path) -> None:
    before = mounts()
    for name in ("volume", "source"):
        (tmp_path / name).mkdir()
    (tmp_path / "source/f").touch()
    place = mounting(tmp_path / "volume", "none", str(tmp_path / "source"), "bind")
    with view.view_of_stopped(layers, [place], tmp_path / "scratch", writable=True) as found:
        assert names(found.root, "/vol") == {"vol", "vol/f"}
        os.close(paths.open_in_root(found.root, "/vol/given", os.O_WRONLY | os.O_CREAT, 0o644))
        assert mounts() == before
    assert sorted(os.listdir(tmp_path / "source")) == ["f", "given"]
    assert os.listdir(tmp_path / "volume") == []


def test_a_volume_that_a_run_has_mounted_is_seen_as_it_is(layers: Stack, tmp_path: Path) -> None:
    (tmp_path / "volume").mkdir()
    place = mounting(tmp_path / "volume", "tmpfs", "tmpfs")
    mount_on(tmp_path / "volume", MountOptions("tmpfs", "tmpfs", ""))
    try:
        (tmp_path / "volume/f").touch()
        with view.view_of_stopped(layers, [place], tmp_path / "scratch", writable=False) as found:
            assert names(found.root, "/vol") == {"vol", "vol/f"}
    finally:
        assert unmount_from(tmp_path / "volume")
    with view.view_of_stopped(layers, [place], tmp_path / "scratch", writable=False) as found:
        assert names(found.root, "/vol") == {"vol"}, "a new one, as for each run"
    assert not unmount_from(tmp_path / "volume")


def test_a_volume_that_can_not_be_mounted_is_named(layers: Stack, tmp_path: Path) -> None:
    before = mounts()
    (tmp_path / "volume").mkdir()
    place = mounting(tmp_path / "volume", "none", "/nope", "bind")
    with pytest.raises(SeawayError, match=r"failed to mount local volume: mount /nope:.*: no such file or directory"):
        view.view_of_stopped(layers, [place], tmp_path / "scratch", writable=True)
    assert mounts() == before


@pytest.fixture
def running(layers: Stack, tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process with a root and mounts of its own."""
    (tmp_path / "volume").mkdir()
    (tmp_path / "volume" / "f").write_text("volume")
    options = f"lowerdir={':'.join(layers.lowers)},upperdir={layers.upper},workdir={layers.work}"
    script = f"""
mount -t overlay o {tmp_path}/scratch -o {options}
cd {tmp_path}/scratch && mkdir -p tm proc put && mount -t tmpfs t tm && echo t > tm/t
mount --bind {tmp_path}/volume vol && mount -t proc proc proc && pivot_root . put && echo ready && read line
"""
    shell = subprocess.Popen(
        ["unshare", "--mount", "--propagation", "private", "/bin/sh", "-c", script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert shell.stdout is not None and shell.stdout.readline() == b"ready\n"
    yield shell
    shell.kill()
    shell.communicate()


def test_a_running_one(running: subprocess.Popen[bytes], tmp_path: Path) -> None:
    pidfd, before = open_pidfd(running.pid), mounts()
    places = [Place("/vol"), Place("/tm"), Place("/nowhere")]
    with view.view_of_running(running.pid, pidfd, places, tmp_path / "scratch") as found:
        assert names(found.root, "/vol") == {"vol", "vol/f"}
        assert names(found.root, "/tm") == {"tm", "tm/t"}
        assert names(found.root, "/proc") == {"proc"}
        running.kill()
        running.wait()
        assert names(found.root, "/vol") == {"vol", "vol/f"}, "the view outlives the container"
    with pytest.raises(ProcessLookupError):
        view.view_of_running(running.pid, pidfd, places, tmp_path / "scratch")
    os.close(pidfd)
    assert mounts() == before


def test_the_root_of_a_running_one_alone(running: subprocess.Popen[bytes]) -> None:
    pidfd = open_pidfd(running.pid)
    with view.rootfs_of_running(running.pid, pidfd) as found:
        assert names(found.root, "/vol") == {"vol", "vol/of-the-image"}
        assert names(found.root, "/tm") == {"tm"}
    os.close(pidfd)


def test_a_mount_point_led_astray_shows_nothing_of_the_kernel(
    running: subprocess.Popen[bytes], layers: Stack, tmp_path: Path
) -> None:
    (Path(f"/proc/{running.pid}/root") / "sly").symlink_to("/proc")
    pidfd = open_pidfd(running.pid)
    with view.view_of_running(running.pid, pidfd, [Place("/sly")], tmp_path / "scratch") as found:
        assert names(found.root, "/proc") == {"proc"}
    os.close(pidfd)


def test_nothing_is_left_after_a_kill(layers: Stack, tmp_path: Path) -> None:
    """The overlay is free again: its work directory can be emptied, and nothing is mounted anywhere."""
    program = f"""
from pathlib import Path
from seaway_agent.archive.view import Stack, Place, view_of_stopped
here = Path({str(tmp_path)!r})
found = view_of_stopped({layers!r}, [Place("/vol", here)], here / "scratch", writable=True)
print("open", flush=True)
input()
"""
    child = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert child.stdout is not None and child.stdout.readline() == b"open\n"
    child.send_signal(signal.SIGKILL)
    child.communicate()
    held = [path for path in Path("/proc").glob("[0-9]*/mountinfo") if _mentions(path, str(tmp_path / "scratch"))]
    assert held == []


def _mentions(path: Path, text: str) -> bool:
    try:
        return text in path.read_text()
    except OSError:
        return False


def test_changes(layers: Stack, tmp_path: Path) -> None:
    change(layers, tmp_path)
    found = {(one.path, one.kind) for one in changes(Path(layers.upper), [Path(lower) for lower in layers.lowers])}
    assert found == {
        ("/gone", "deleted"),
        ("/hidden", "deleted"),
        ("/replaced", "modified"),
        ("/replaced/old", "deleted"),
        ("/replaced/same", "modified"),
        ("/etc", "modified"),
        ("/etc/passwd", "modified"),
        ("/deep", "added"),
        ("/deep/er", "added"),
        ("/deep/er/f", "added"),
        ("/deep/hard", "added"),
    }


def test_the_layer_of_it(layers: Stack, tmp_path: Path) -> None:
    change(layers, tmp_path)
    pieces: list[bytes] = []
    assert tar_layer(Path(layers.upper), pieces.append)
    with tarfile.open(fileobj=io.BytesIO(b"".join(pieces))) as archive:
        found = {member.name: member for member in archive}
    assert {".wh.gone", ".wh.hidden", "replaced/.wh..wh..opq", "replaced/same", "deep/er/f", "deep/hard"} <= set(found)
    assert "gone" not in found and "hidden" not in found
    assert found["deep/hard"].islnk() and found["deep/hard"].linkname == "deep/er/f"
