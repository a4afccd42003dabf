"""What the kernel is asked to mount. Only the calls of mount(2) and umount(2) are replaced, with a table of mounts."""

import errno
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from seaway_agent.kernel import syscalls
from seaway_agent.volumes import mounted
from seaway_agent.volumes.mounted import MountedVolumes, mount_on
from seaway_agent.volumes.options import MountOptions
from seaway_agent.volumes.volumes import Volumes
from seaway_contracts.containers import ContainerSpec, Mount
from seaway_contracts.errors import SeawayError
from seaway_testing import builders

NFS = {"type": "nfs", "device": ":/export", "o": "addr=10.0.0.1,rw,nfsvers=4"}


class Kernel:
    """A table of mounts, and the calls that change it. `fails`: the flags of a call that fails, and how."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str, str, int, str]] = []
        self.mounts: list[str] = []
        self.fails: dict[int, int] = {}

    def mount(self, source: str, target: str, fstype: str, flags: int, data: str) -> None:
        self.calls.append((source, target, fstype, flags, data))
        if flags in self.fails:
            raise OSError(self.fails[flags], "mount", target)
        if not flags & syscalls.MS_REMOUNT:
            self.mounts.append(target)

    def unmount_tree(self, target: str) -> None:
        self.mounts.remove(target)


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Kernel:
    found = Kernel()
    monkeypatch.setattr(mounted.syscalls, "mount", found.mount)
    monkeypatch.setattr(mounted, "unmount_tree", found.unmount_tree)
    monkeypatch.setattr(mounted, "_mount_points", lambda: list(found.mounts))
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
    volumes.reserve(spec)
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


async def test_data_that_a_link_has_replaced_is_not_mounted_on(
    volumes: Volumes, runs: MountedVolumes, kernel: Kernel, tmp_path: Path
) -> None:
    spec = made(volumes, 1, volume("one", **NFS))
    volumes.path("one").rmdir()
    os.symlink(tmp_path, volumes.path("one"))
    with pytest.raises(SeawayError, match="is a link, and no directory"):
        await runs.hold(spec)
    assert kernel.calls == []
