"""What the kernel is asked to mount. Only the calls of mount(2) and umount(2) are replaced, with a table of mounts."""

import asyncio
import errno
import os
import socket
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from seaway_agent.kernel import syscalls
from seaway_agent.kernel.mountinfo import parse_mountinfo
from seaway_agent.volumes import mounted, servers
from seaway_agent.volumes.mounted import MountedVolumes, flags_of_mount, mount_on
from seaway_agent.volumes.mounts import VolumeMounts
from seaway_agent.volumes.options import MountOptions
from seaway_agent.volumes.servers import ServerMounts, made_in_time
from seaway_agent.volumes.volumes import Volumes
from seaway_contracts.containers import ContainerSpec, Mount
from seaway_contracts.errors import SeawayError
from seaway_contracts.volumes import VolumeRecord
from seaway_testing import builders
from seaway_testing.waiting import until

NFS = {"type": "nfs", "device": ":/export", "o": "addr=10.0.0.1,rw,nfsvers=4"}


class Kernel:
    """A table of mounts, and the calls that change it. `fails`: the flags of a call that fails, and how.

    `silent`: servers answer once it is set.
    """

    def __init__(self) -> None:
        self.calls: list[tuple[str, str, str, int, str]] = []
        self.mounts: list[str] = []
        self.fails: dict[int, int] = {}
        self.silent: threading.Event | None = None

    def mount(self, source: str, target: str, fstype: str, flags: int, data: str) -> None:
        self.calls.append((source, target, fstype, flags, data))
        if flags in self.fails:
            raise OSError(self.fails[flags], "mount", target)
        if not flags & syscalls.MS_REMOUNT:
            self.mounts.append(target)

    def made_apart(self, data: Path, mount: Callable[[], None]) -> int:
        """In a namespace that is none of this table."""
        if self.silent:
            self.silent.wait()
        mount()
        self.mounts.remove(str(data))
        read, write = os.pipe()
        os.close(write)
        return read

    def attach(self, tree: int, data: Path) -> None:
        os.fstat(tree)
        self.mounts.append(str(data))

    def unmount_tree(self, target: str) -> None:
        self.mounts.remove(target)


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Kernel:
    found = Kernel()
    monkeypatch.setattr(mounted.syscalls, "mount", found.mount)
    monkeypatch.setattr(mounted, "unmount_tree", found.unmount_tree)
    monkeypatch.setattr(mounted, "_mount_points", lambda: list(found.mounts))
    monkeypatch.setattr(servers, "_made_apart", found.made_apart)
    monkeypatch.setattr(mounted, "attach", found.attach)
    return found


@pytest.fixture
def data(tmp_path: Path) -> Path:
    (tmp_path / "v/_data").mkdir(parents=True)
    return tmp_path / "v/_data"


def test_nfs(kernel: Kernel, data: Path) -> None:
    mount_on(data, MountOptions("nfs", ":/export", "addr=10.0.0.1,ro,nfsvers=4"))
    assert kernel.calls == [(":/export", str(data), "nfs", syscalls.MS_RDONLY, "addr=10.0.0.1,nfsvers=4")]


def test_the_name_of_a_server_is_resolved(kernel: Kernel, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def lookup(host: str, *_: object, **__: object) -> list[tuple[object, ...]]:
        assert host == "files.lan"
        sixth = (socket.AF_INET6, 1, 6, "", ("fe80::1", 0, 0, 0))
        return [sixth, (socket.AF_INET, 1, 6, "", ("10.0.0.7", 0))]

    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    mount_on(data, MountOptions("nfs", ":/export", "addr=files.lan"))
    assert kernel.calls == [(":/export", str(data), "nfs", 0, "addr=10.0.0.7")]


def test_a_server_without_an_address_is_named(kernel: Kernel, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def lookup(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    with pytest.raises(SeawayError) as refused:
        mount_on(data, MountOptions("nfs", ":/export", "addr=files.lan"))
    assert refused.value.message == ("error resolving passed in network volume address: lookup files.lan: no such host")
    assert kernel.calls == []


def test_a_kernel_without_nfs_says_so(kernel: Kernel, data: Path) -> None:
    kernel.fails[0] = errno.ENODEV
    with pytest.raises(SeawayError) as refused:
        mount_on(data, MountOptions("nfs", ":/export", "addr=10.0.0.1,password=p"))
    assert refused.value.message == (
        f"failed to mount local volume: mount :/export:{data}, data: addr=10.0.0.1,password=********: no such device"
    )


def test_what_is_mounted_is_not_mounted_again(kernel: Kernel, data: Path, tmp_path: Path) -> None:
    (tmp_path / "way").symlink_to(tmp_path)
    for path in (data, tmp_path / "way/v/_data"):
        mount_on(path, MountOptions("tmpfs", "tmpfs", ""))
    assert kernel.mounts == [str(data)]


def test_a_second_step_that_fails_undoes_the_first(kernel: Kernel, data: Path) -> None:
    read_only = syscalls.MS_BIND | syscalls.MS_RDONLY
    kernel.fails[read_only | syscalls.MS_REMOUNT] = errno.EPERM
    with pytest.raises(SeawayError, match=f"remount-ro {data}, flags: 0x1021: operation not permitted"):
        mount_on(data, MountOptions("none", "/a", "bind,ro"))
    assert kernel.mounts == []


def test_no_device(kernel: Kernel, data: Path) -> None:
    with pytest.raises(SeawayError, match=r"^missing device in volume options$"):
        mount_on(data, MountOptions("tmpfs", "", ""))


# --- runs


def volume(name: str, target: str = "/v", **options: str) -> Mount:
    return Mount(type="volume", source=name, target=target, volume_options=options)


@pytest.fixture
def volumes(tmp_path: Path) -> Iterator[Volumes]:
    root = tmp_path / "volumes"
    root.mkdir()
    found = Volumes(root, "n1", lambda _: False)
    found.start(())
    yield found
    found.close()


@pytest.fixture
def runs(volumes: Volumes) -> Iterator[MountedVolumes]:
    found = MountedVolumes(volumes)
    yield found
    found.close()


def made(volumes: Volumes, number: int, *mounts: Mount) -> ContainerSpec:
    spec = builders.spec(number, mounts=mounts)
    options = {mount.source: mount.volume_options for mount in mounts}
    volumes.reserve(
        spec, [VolumeRecord(id=f"id-of-{one}", name=one, created_ns=1, options=options[one]) for one in options]
    )
    volumes.commit(spec)
    return spec


async def test_the_last_run_unmounts(volumes: Volumes, runs: MountedVolumes, kernel: Kernel) -> None:
    mounts = (volume("one", **NFS), volume("one", "/again", **NFS), volume("plain", "/p"))
    first, second = made(volumes, 1, *mounts), made(volumes, 2, *mounts)
    place = str(volumes.path("one"))
    await runs.hold(first)
    runs.adopt(first.id)
    await runs.hold(second)
    assert kernel.mounts == [place]
    await runs.release(first.id)
    await runs.release(first.id)
    assert kernel.mounts == [place]
    await runs.release(second.id)
    assert kernel.mounts == []


async def test_runs_that_are_taken_over_keep_their_mounts(
    volumes: Volumes, runs: MountedVolumes, kernel: Kernel
) -> None:
    spec = made(volumes, 1, volume("one", **NFS), volume("plain", "/p"))
    made(volumes, 2, volume("two", **NFS))
    kernel.mounts = [str(volumes.path(name)) for name in ("one", "two", "two")]
    kernel.mounts += ["/elsewhere/_data", f"{volumes.root}/.trash-1/_data", f"{volumes.path('one')}/_data"]
    others = kernel.mounts[3:]
    runs.adopt(spec.id)
    await runs.unmount_unused()
    assert kernel.mounts == [str(volumes.path("one")), *others]
    await runs.release(spec.id)
    assert kernel.mounts == others


async def test_a_mount_that_fails_is_held_by_nobody(volumes: Volumes, runs: MountedVolumes, kernel: Kernel) -> None:
    spec = made(volumes, 1, volume("one", **NFS), volume("two", "/2", type="none", device="/nope", o="bind"))
    kernel.fails[syscalls.MS_BIND] = errno.ENOENT
    data = volumes.path("two")
    with pytest.raises(SeawayError) as refused:
        await runs.hold(spec)
    assert refused.value.message == (
        f"error while mounting volume '{data}': failed to mount local volume: mount /nope:{data}, flags: 0x1000: "
        "no such file or directory"
    )
    await runs.release(spec.id)
    assert kernel.mounts == []


async def test_what_can_not_be_unmounted_is_tried_again_with_the_next_run(
    volumes: Volumes, runs: MountedVolumes, kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def busy(target: str) -> None:
        raise OSError(errno.EBUSY, "umount", target)

    spec = made(volumes, 1, volume("one", **NFS))
    await runs.hold(spec)
    with monkeypatch.context() as patched:
        patched.setattr(mounted, "unmount_tree", busy)
        with pytest.raises(OSError, match="umount"):
            await runs.release(spec.id)
        await runs.unmount_unused()
    assert kernel.mounts == [str(volumes.path("one"))]
    await runs.hold(spec)
    await runs.release(spec.id)
    assert kernel.mounts == []


async def test_one_that_can_not_be_unmounted_keeps_no_other_one(
    volumes: Volumes, runs: MountedVolumes, kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def busy(target: str) -> None:
        if target == str(volumes.path("one")):
            raise OSError(errno.EBUSY, "umount", target)
        kernel.unmount_tree(target)

    spec = made(volumes, 1, volume("one", **NFS), volume("two", "/2", **NFS))
    await runs.hold(spec)
    with monkeypatch.context() as patched:
        patched.setattr(mounted, "unmount_tree", busy)
        with pytest.raises(OSError, match=r"volume one: .*umount"):
            await runs.release(spec.id)
    assert kernel.mounts == [str(volumes.path("one"))]
    await runs.release(spec.id)
    assert kernel.mounts == []


async def test_silent_servers_hold_up_nobody_else(volumes: Volumes, kernel: Kernel) -> None:
    kernel.silent = threading.Event()
    hung = [made(volumes, number, volume(f"v{number}", **NFS)) for number in range(1, 9)]
    last = made(volumes, 9, volume("last", type="tmpfs", device="tmpfs"))
    runs = MountedVolumes(volumes)
    waiting = [asyncio.create_task(runs.hold(spec)) for spec in hung]
    await until(lambda: sum(thread.name == "mount-server" for thread in threading.enumerate()) == 8)
    await runs.hold(last)
    assert kernel.mounts == [str(volumes.path("last"))]
    await asyncio.to_thread(runs.close)
    for task in waiting:
        task.cancel()
    await asyncio.wait(waiting)
    kernel.silent.set()
    await until(lambda: all(thread.name != "mount-server" for thread in threading.enumerate()))


async def test_a_silent_server_is_named_and_its_late_answer_mounts_nothing(
    volumes: Volumes, runs: MountedVolumes, kernel: Kernel
) -> None:
    spec, data = made(volumes, 1, volume("one", **NFS)), volumes.path("one")
    runs._servers = ServerMounts(limit_s=0.05)
    kernel.silent = threading.Event()
    for reason in ("no answer from its server within 0 s", "an earlier mount still waits for its server"):
        with pytest.raises(SeawayError) as refused:
            await runs.hold(spec)
        assert refused.value.message == (
            f"error while mounting volume '{data}': failed to mount local volume: mount :/export:{data}: {reason}"
        )
        await runs.release(spec.id)
    kernel.silent.set()
    await until(lambda: all(thread.name != "mount-server" for thread in threading.enumerate()))
    assert len(kernel.calls) == 1 and kernel.mounts == []
    runs._servers = ServerMounts()
    await runs.hold(spec)
    assert kernel.mounts == [str(data)]
    await runs.release(spec.id)


async def test_a_view_of_a_silent_server_is_given_up(
    volumes: Volumes, kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a container that doesn't run: it is mounted for the view alone."""
    monkeypatch.setattr(mounted, "made_in_time", partial(made_in_time, limit_s=0.05))
    spec, data = made(volumes, 1, volume("one", **NFS)), volumes.path("one")
    (place,) = VolumeMounts(volumes).places(spec)
    assert place.mount is not None
    kernel.silent = threading.Event()
    with pytest.raises(SeawayError, match=f"mount :/export:{data}: no answer from its server within 0 s"):
        await asyncio.to_thread(place.mount)
    kernel.silent.set()
    await until(lambda: all(thread.name != "mount-server" for thread in threading.enumerate()))
    assert kernel.mounts == []
    for _ in range(2):
        place.mount()
    assert kernel.mounts == [str(data)]


def test_the_flags_of_a_mount_are_read_without_looking_at_it(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = f"1 2 0:1 / {data} rw,nosuid - nfs :/old rw\n1 2 0:1 / {data} rw,noatime,nodev - nfs :/x ro,vers=4\n"
    monkeypatch.setattr(mounted, "_mounts", lambda: parse_mountinfo(table))
    assert flags_of_mount(data) == ("ro", "nodev", "noatime")
    assert flags_of_mount(data.parent) == ()


async def test_data_that_a_link_has_replaced_is_not_mounted_on(
    volumes: Volumes, runs: MountedVolumes, kernel: Kernel, tmp_path: Path
) -> None:
    spec = made(volumes, 1, volume("one", **NFS))
    volumes.path("one").rmdir()
    os.symlink(tmp_path, volumes.path("one"))
    with pytest.raises(SeawayError, match="is a link, and no directory"):
        await runs.hold(spec)
    assert kernel.calls == []
