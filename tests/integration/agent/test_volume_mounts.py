"""Volumes with options (type, device, o), by real agents: mounted for as long as a run has them."""

import asyncio
import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.integration.agent.rig import AgentRig

from seaway_agent.kernel import syscalls
from seaway_agent.kernel.mountinfo import targets_below
from seaway_agent.node.purge import purge
from seaway_agent.settings import AgentSettings
from seaway_agent.volumes.binds import flags_of
from seaway_agent.volumes.mounted import flags_of_mount, unmount_from
from seaway_agent.volumes.options import MountOptions
from seaway_agent.volumes.servers import ServerMounts, attach
from seaway_contracts import catalogue
from seaway_contracts.commands import ContainerId
from seaway_contracts.containers import Mount
from seaway_contracts.errors import Code, SeawayError
from seaway_contracts.volumes import ListHeldVolumes, MeasureVolumes, RemoveHeldVolume
from seaway_kit.failpoints import Failpoint

pytestmark = pytest.mark.root
TMPFS = {"type": "tmpfs", "device": "tmpfs", "o": "size=1m,uid=1000,mode=750"}


def data_of(rig: AgentRig, name: str = "v") -> Path:
    return rig.root / "agent" / rig.node / "volumes" / name / "_data"


def mounted(rig: AgentRig) -> list[str]:
    """What is mounted below the volumes of the node."""
    return targets_below(Path("/proc/self/mountinfo").read_text(), str(data_of(rig).parent.parent))


def volume(options: dict[str, str], target: str = "/v", name: str = "v", **more: object) -> Mount:
    fields = {"type": "volume", "source": name, "target": target, "volume_options": options, **more}
    return Mount.model_validate(fields)


def bind(source: Path, o: str = "bind") -> dict[str, str]:
    return {"type": "none", "device": str(source), "o": o}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source"
    path.mkdir()
    (path / "file").write_text("of the host")
    return path


async def sleeper(rig: AgentRig, *mounts: Mount) -> str:
    container = await rig.create(rig.spec("sleep", "600", mounts=mounts))
    await rig.start_container(container)
    return container


async def test_two_runs_share_it_and_the_last_one_unmounts_it(rig: AgentRig) -> None:
    first = await rig.create(rig.spec("sh", "-c", "echo hi > /v/f; sleep 600", mounts=(volume(TMPFS),)))
    assert mounted(rig) == []
    await rig.start_container(first)
    assert mounted(rig) == [str(data_of(rig))]
    await rig.until((data_of(rig) / "f").exists)
    found = data_of(rig).stat()
    assert (found.st_uid, found.st_mode & 0o777) == (1000, 0o750)
    second = await rig.create(rig.spec("sh", "-c", "cat /v/f; grep ' /w ' /proc/mounts; exec sleep 600", mounts=(
        volume(TMPFS), volume(TMPFS, "/w", read_only=True)
    )))  # fmt: skip
    await rig.start_container(second)
    await rig.until(lambda: rig.output(second).count("\n") == 2)
    assert rig.output(second).startswith("hi\ntmpfs /w tmpfs ro,") and "size=1024k" in rig.output(second)
    assert mounted(rig) == [str(data_of(rig))]
    await rig.stop(first, 0)
    await rig.died(first)
    assert (data_of(rig) / "f").read_text() == "hi\n"
    await rig.stop(second, 0)
    await rig.until(lambda: mounted(rig) == [])
    again = await rig.ran("ls", "/v", mounts=(volume(TMPFS),))
    assert rig.output(again) == "", "a new one for each time"
    await rig.until(lambda: mounted(rig) == [])


async def test_a_bind_with_its_options(rig: AgentRig, source: Path) -> None:
    looks = "cat /v/file; echo x > /v/new; grep ' /v ' /proc/mounts"
    container = await rig.ran("sh", "-c", looks, mounts=(volume(bind(source, "bind,ro,nosuid"), no_copy=True),))
    shown = rig.output(container)
    assert shown.startswith("of the host") and "Read-only file system" in shown and " ro," in shown
    assert [path.name for path in source.iterdir()] == ["file"]
    await rig.until(lambda: mounted(rig) == [])


@pytest.mark.parametrize("runtime", ["crun", "runc"])
async def test_a_bind_keeps_the_flags_that_the_host_has_set(
    rig: AgentRig, source: Path, tmp_path: Path, runtime: str
) -> None:
    place = tmp_path / "place"
    place.mkdir()
    syscalls.mount(str(source), str(place), None, syscalls.MS_BIND)
    try:
        flags = syscalls.MS_RDONLY | syscalls.MS_NOSUID | syscalls.MS_NODEV | syscalls.MS_NOEXEC
        syscalls.mount(None, str(place), None, syscalls.MS_REMOUNT | syscalls.MS_BIND | flags)
        host = Mount(type="bind", source=str(place), target="/v")
        container = await rig.ran(
            "sh", "-c", "echo x > /v/new; grep ' /v ' /proc/mounts", mounts=(host,), runtime=runtime
        )
        assert "Read-only file system" in rig.output(container)
        assert " ro,nosuid,nodev,noexec," in rig.output(container)
    finally:
        syscalls.umount2(str(place), syscalls.MNT_DETACH)


async def test_a_piece_of_it(rig: AgentRig, source: Path) -> None:
    (source / "a/b").mkdir(parents=True)
    (source / "a/b/deep").write_text("below")
    (source / "out").symlink_to("/etc")
    container = await rig.ran("cat", "/v/deep", mounts=(volume(bind(source), subpath="a/b"),))
    assert rig.output(container) == "below"
    for subpath in ("no/where", "out"):
        refused = await rig.create(rig.spec("true", mounts=(volume(bind(source), subpath=subpath),)))
        with pytest.raises(SeawayError, match=f"cannot access path {data_of(rig)}/{subpath}: lstat"):
            await rig.start_container(refused)
    await rig.until(lambda: mounted(rig) == [])


async def test_one_that_can_not_be_mounted_leaves_nothing(rig: AgentRig, source: Path) -> None:
    """Of two, the first has been mounted when the second fails."""
    nope = source / "nope"
    mounts = (volume(TMPFS, "/a", "a"), volume(bind(nope), "/b", "b"))
    container = await rig.create(rig.spec("true", mounts=mounts))
    with pytest.raises(SeawayError) as refused:
        await rig.start_container(container)
    data = data_of(rig, "b")
    assert refused.value.message == (
        f"error while mounting volume '{data}': failed to mount local volume: mount {nope}:{data}, flags: 0x1000: "
        "no such file or directory"
    )
    assert mounted(rig) == []
    nope.mkdir()
    await rig.start_container(container)
    await rig.died(container)
    await rig.until(lambda: mounted(rig) == [])


async def test_a_device_that_is_busy_is_named(rig: AgentRig, tmp_path: Path, disk: str) -> None:
    """It is mounted elsewhere, writable; a second mount of it can't be read-only."""
    options = {"type": "ext4", "device": disk, "o": "ro"}
    container = await rig.create(rig.spec("true", mounts=(volume(options),)))
    with pytest.raises(SeawayError, match=f"mount {disk}:{data_of(rig)}, flags: 0x1: device or resource busy"):
        await rig.start_container(container)
    assert mounted(rig) == []


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[str]:
    """A disk that is mounted, writable."""
    image, place = tmp_path / "disk.img", tmp_path / "disk"
    place.mkdir()
    with image.open("wb") as file:
        file.truncate(8 << 20)
    subprocess.run(["mkfs.ext4", "-q", image], check=True)
    made = subprocess.run(["losetup", "--find", "--show", image], capture_output=True, text=True)
    if made.returncode:
        pytest.skip(f"no loop devices: {made.stderr}")
    device = made.stdout.strip()
    subprocess.run(["mount", device, place], check=True)
    yield device
    subprocess.run(["umount", place], check=True)
    subprocess.run(["losetup", "--detach", device], check=True)


# --- servers


async def test_a_mount_of_a_server_is_attached_when_it_is_there(tmp_path: Path) -> None:
    """A tmpfs stands for it."""
    data = tmp_path / "v/_data"
    data.mkdir(parents=True)
    options = MountOptions("nfs", ":/export", "")
    gate = threading.Event()

    def late() -> None:
        gate.wait()
        syscalls.mount("tmpfs", str(data), "tmpfs", 0, "")

    with pytest.raises(SeawayError, match="no answer from its server"):
        await ServerMounts(limit_s=0.05).made(data, options, late)
    gate.set()
    await asyncio.to_thread(lambda: [one.join() for one in threading.enumerate() if one.name == "mount-server"])
    tree = await ServerMounts().made(data, options, late)
    assert targets_below(Path("/proc/self/mountinfo").read_text(), str(data)) == []
    attach(tree, data)
    os.close(tree)
    assert targets_below(Path("/proc/self/mountinfo").read_text(), str(data)) == [str(data)]
    assert flags_of_mount(data) == flags_of(data)
    assert unmount_from(data) and list(data.iterdir()) == []


# --- what an image has


async def test_it_is_filled_where_it_is_mounted(rig: AgentRig, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    await rig.create(rig.spec("true", mounts=(volume(bind(empty), "/etc"),)))
    filled = {path.name for path in empty.iterdir()}
    assert filled >= {"passwd", "group", "notes"}
    assert mounted(rig) == [] and list(data_of(rig).iterdir()) == []
    await rig.create(rig.spec("true", mounts=(volume(bind(empty), "/bin"),)))
    assert {path.name for path in empty.iterdir()} == filled, "it has files already"


async def test_one_that_can_not_be_mounted_to_be_filled_is_not_made(rig: AgentRig, source: Path) -> None:
    mounts = (volume(bind(source / "nope"), "/etc"),)
    with pytest.raises(SeawayError, match=f"^failed to mount local volume: mount {source}/nope:{data_of(rig)}, flags"):
        await rig.create(rig.spec("true", mounts=mounts))
    assert await rig.inventory() == {}
    await rig.until(lambda: not any(data_of(rig).parent.parent.iterdir()))


async def test_a_full_one_refuses_the_create(rig: AgentRig) -> None:
    """The image's /bin is larger; what was copied goes with the tmpfs."""
    with pytest.raises(SeawayError, match=r"volume v can't be filled with .* /bin: No space left") as refused:
        await rig.create(rig.spec("true", mounts=(volume({**TMPFS, "o": "size=64k"}, "/bin"),)))
    assert refused.value.code is Code.NO_SPACE
    assert mounted(rig) == []
    await rig.until(lambda: not any(data_of(rig).parent.parent.iterdir()))


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"foo": "1"}, 'create v: invalid option: "foo"'),
        ({"o": "bind"}, 'create v: missing required option: "device"'),
        ({"size": "10m"}, "create v: quota size requested but no quota support"),
    ],
)
async def test_options_that_the_driver_does_not_know_make_nothing(
    rig: AgentRig, options: dict[str, str], text: str
) -> None:
    with pytest.raises(SeawayError, match=text) as refused:
        await rig.create(rig.spec("true", mounts=(volume(options),)))
    assert refused.value.code is Code.BAD_REQUEST
    assert not any(data_of(rig).parent.parent.iterdir())


# --- removal


async def test_a_removal_does_not_reach_into_what_is_mounted(rig: AgentRig, source: Path) -> None:
    """Even if something is mounted on a volume that nobody has."""
    container = await rig.ran("true", mounts=(volume(bind(source)),))
    ident = next(iter((await rig.bus.call(catalogue.VOLUME_INVENTORY, ListHeldVolumes(), node=rig.node)).volumes)).id
    asked = RemoveHeldVolume(id=ident, name="v")
    with pytest.raises(SeawayError, match=rf"remove v: volume is in use - \[{container}\]"):
        await rig.bus.call(catalogue.REMOVE_HELD_VOLUME, asked, node=rig.node)
    await rig.remove(container)
    await rig.until(lambda: mounted(rig) == [])
    syscalls.mount(str(source), str(data_of(rig)), None, syscalls.MS_BIND)
    sizes = await rig.bus.call(catalogue.MEASURE_VOLUMES, MeasureVolumes(ids=(ident,)), node=rig.node)
    assert sizes.sizes == {ident: -1}
    await rig.bus.call(catalogue.REMOVE_HELD_VOLUME, asked, node=rig.node)
    await rig.until(lambda: not any(data_of(rig).parent.parent.iterdir()))
    assert (source / "file").read_text() == "of the host"
    assert mounted(rig) == []


async def test_a_purge_does_not_reach_into_what_is_mounted(rig: AgentRig, source: Path, tmp_path: Path) -> None:
    await sleeper(rig, volume(bind(source)))
    rig.end(signal.SIGKILL)
    assert mounted(rig) == [str(data_of(rig))]
    settings = AgentSettings(root=rig.root, run=tmp_path / "run", node=rig.node, suite=rig.suite)
    await asyncio.to_thread(purge, settings)
    assert mounted(rig) == []
    await rig.start()


# --- kills


async def test_the_next_agent_takes_over_what_runs_have_and_unmounts_the_rest(rig: AgentRig, source: Path) -> None:
    stays = await sleeper(rig, volume(TMPFS))
    (data_of(rig) / "f").write_text("kept")
    ends = await sleeper(rig, volume(bind(source), name="w"))
    pid = (await rig.inventory())[ends].status.pid
    rig.end(signal.SIGKILL)
    assert len(mounted(rig)) == 2
    os.kill(pid, signal.SIGKILL)
    await rig.start()
    await rig.until(lambda: mounted(rig) == [str(data_of(rig))])
    other = await rig.ran("cat", "/v/f", mounts=(volume(TMPFS),))
    assert rig.output(other) == "kept", "it is the same one"
    assert mounted(rig) == [str(data_of(rig))], "and is mounted once"
    await rig.stop(stays, 0)
    await rig.until(lambda: mounted(rig) == [])


@pytest.mark.parametrize("point", [Failpoint.VOLUME_MOUNTED, Failpoint.VOLUME_UNMOUNTED])
async def test_a_kill_between_two_steps_leaves_no_mount(rig: AgentRig, tmp_path: Path, point: Failpoint) -> None:
    armed = await rig.start_armed(tmp_path / "failpoints")
    container = await rig.create(rig.spec("true", mounts=(volume(TMPFS), volume(TMPFS, "/w", "w"))))
    (armed / point).touch()
    starting = asyncio.ensure_future(rig.bus.call(catalogue.START, ContainerId(id=container), node=rig.node))
    await rig.until(rig.ended)
    starting.cancel()
    rig.end(signal.SIGKILL)
    assert len(mounted(rig)) == 1
    await rig.start()
    await rig.until(lambda: mounted(rig) == [])
    await rig.start_container(container)
    await rig.died(container)
    await rig.until(lambda: mounted(rig) == [])
