"""Mounts on the data of volumes with options, such as a tmpfs or an NFS export, for as long as a run has them.

The first run that has a volume mounts it on the volume's `_data`, the last one unmounts it, as Docker does. What a
killed agent has mounted is found in mountinfo: the next one takes it over, or unmounts it where nobody has it.
"""

import asyncio
import contextlib
import logging
import os
import socket
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, TypeVar
from weakref import WeakValueDictionary

from seaway_agent.archive.view import View, apart
from seaway_agent.kernel import launcher, syscalls
from seaway_agent.kernel.clones import unmount_tree
from seaway_agent.kernel.mountinfo import Mount, parse_mountinfo
from seaway_agent.volumes.binds import FLAGS
from seaway_agent.volumes.filling import DATA
from seaway_agent.volumes.options import MountCall, MountOptions, mount_options
from seaway_agent.volumes.servers import ServerMounts, attach, made_in_time
from seaway_agent.volumes.volumes import Volumes, volume_mounts
from seaway_contracts.containers import ContainerSpec
from seaway_contracts.errors import SeawayError, internal
from seaway_kit.failpoints import Failpoint, reach

log = logging.getLogger(__name__)
T = TypeVar("T")
_AT_ONCE: Final = 4


class MountedVolumes:
    """Which runs have which mounts. Call it in the event loop's thread; to be closed."""

    def __init__(self, volumes: Volumes) -> None:
        self._volumes = volumes
        self._holders: defaultdict[str, set[str]] = defaultdict(set)
        self._held: dict[str, list[str]] = {}
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._threads = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="mount-volume")
        self._servers = ServerMounts()

    def close(self) -> None:
        """Wait for what is under way, but for servers. What is mounted stays: its containers go on."""
        self._threads.shutdown()

    async def hold(self, spec: ContainerSpec) -> None:
        """Mount a container's volumes for a run. Raises SeawayError; call `release` also then."""
        held = self._held[spec.id] = []
        for name in dict.fromkeys(mount.source for mount in volume_mounts(spec)):
            record = self._volumes.held(name)
            if record is not None and (options := mount_options(record)) is not None:
                held.append(name)
                await self._mount(name, options, spec.id)

    def adopt(self, container: str) -> None:
        """A run that an earlier agent began has its volumes mounted."""
        if container not in self._held:
            names = [record.name for record in self._volumes.of_container(container) if mount_options(record)]
            self._held[container] = names
            for name in names:
                self._holders[name].add(container)

    async def release(self, container: str) -> None:
        """A run has ended: unmount what no other one has. Harmless without a run, and twice.

        Raises OSError after it has tried all; the next call tries again what failed.
        """
        held = self._held.pop(container, [])
        for name in held:
            self._holders[name].discard(container)
        failed = {}
        for name in held:
            try:
                async with self._lock(name):
                    await self._unmount_unused(name)
            except OSError as error:
                failed[name] = error
        if failed:
            self._held.setdefault(container, list(failed))
            raise OSError("; ".join(f"volume {name}: {error}" for name, error in failed.items()))

    async def unmount_unused(self) -> None:
        """Unmount what a former agent has mounted, and no run has any more."""
        root = Path(os.path.realpath(self._volumes.root))
        found = [Path(target) for target in await self._in_thread(_mount_points)]
        places = {path.parent for path in found if path.name == DATA and path.parent.parent == root}
        for name in sorted(place.name for place in places if not place.name.startswith(".")):
            async with self._lock(name):
                try:
                    await self._unmount_unused(name)
                except OSError as error:
                    log.error("volume %s can't be unmounted: %s", name, error)

    async def _mount(self, name: str, options: MountOptions, container: str) -> None:
        data = self._volumes.ready(name)
        async with self._lock(name):
            self._holders[name].add(container)
            try:
                if options.on_server:
                    await self._mount_of_server(data, options)
                else:
                    await self._in_thread(lambda: mount_on(data, options))
            except SeawayError as error:
                raise mount_refusal(data, error) from error
            reach(Failpoint.VOLUME_MOUNTED)

    async def _mount_of_server(self, data: Path, options: MountOptions) -> None:
        if await self._in_thread(lambda: is_mounted(data)):
            return
        tree = await self._servers.made(data, options, lambda: mount_on(data, options))
        try:
            await self._in_thread(lambda: attach(tree, data))
        finally:
            os.close(tree)

    async def _unmount_unused(self, name: str) -> None:
        if self._holders.get(name):
            return
        self._holders.pop(name, None)
        data = self._volumes.path(name)
        if await self._in_thread(lambda: unmount_from(data)):
            reach(Failpoint.VOLUME_UNMOUNTED)

    def _lock(self, name: str) -> asyncio.Lock:
        return self._locks.setdefault(name, asyncio.Lock())

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)


def mount_refusal(data: Path, error: SeawayError) -> SeawayError:
    """The error for a container whose volume can't be mounted."""
    return internal(f"error while mounting volume '{data}': {error.message}")


def opened_apart(data: Path, options: MountOptions) -> View:
    """A volume's data, mounted if it isn't, in a mount namespace of its own: it goes with the view.

    Raises SeawayError, OSError.
    """

    def opened() -> View:
        launcher.enter_private_mounts()
        mount_in_time(data, options)
        with contextlib.ExitStack() as stack:
            root = os.open(data, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            stack.callback(os.close, root)
            namespace = os.open("/proc/thread-self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
            stack.pop_all()
            return View(root, [namespace])

    return apart(opened)


def mount_in_time(data: Path, options: MountOptions) -> None:
    """`mount_on`, which waits for a silent server no longer than a limit. Raises SeawayError with nothing mounted."""
    if not options.on_server:
        mount_on(data, options)
    elif not is_mounted(data):
        tree = made_in_time(data, options, lambda: mount_on(data, options))
        try:
            attach(tree, data)
        finally:
            os.close(tree)


def mount_on(data: Path, options: MountOptions) -> None:
    """Mount a volume on its data, unless that is done, in the calling thread's namespace.

    Raises SeawayError with nothing mounted.
    """
    target = _real(data)
    if is_mounted(data):
        return
    if not options.device:
        raise internal("missing device in volume options")
    if options.server:
        options = options.at(_resolve(options.server))
    for number, call in enumerate(options.calls()):
        try:
            syscalls.mount(call.source, target, call.fstype, call.flags, call.data)
        except OSError as error:
            if number:
                unmount_tree(target)
            raise _failure(call, data, error) from error


def is_mounted(data: Path) -> bool:
    """Whether anything is mounted on a volume's data."""
    return _real(data) in _mount_points()


def flags_of_mount(data: Path) -> tuple[str, ...]:
    """`flags_of` what is mounted on a volume's data, without looking at it, as its server may hang."""
    found = [mount for mount in _mounts() if mount.target == _real(data)]
    words = found[-1].options | (found[-1].super_options & {"ro"}) if found else ()
    return tuple(word for word in FLAGS if word in words)


def unmount_from(data: Path) -> bool:
    """Unmount all that is mounted on a volume's data; whether there was anything. Raises OSError."""
    target = _real(data)
    found = _mount_points().count(target)
    for _ in range(found):
        unmount_tree(target)
    return bool(found)


def _real(data: Path) -> str:
    """The path as the kernel shows it. The data itself is no link, and its server may hang: it is not looked at."""
    return str(Path(os.path.realpath(data.parent)) / data.name)


def _mount_points() -> list[str]:
    return [mount.target for mount in _mounts()]


def _mounts() -> Iterator[Mount]:
    return parse_mountinfo(Path("/proc/thread-self/mountinfo").read_text())


def _failure(call: MountCall, data: Path, error: OSError) -> SeawayError:
    reason = os.strerror(error.errno or 0)
    text = call.failure(str(data), reason[:1].lower() + reason[1:])
    return internal(f"failed to mount local volume: {text}")


def _resolve(server: str) -> str:
    """An address of a server, IPv4 if it has one."""
    try:
        found = socket.getaddrinfo(server, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        text = f"error resolving passed in network volume address: lookup {server}: no such host"
        raise internal(text) from error
    found.sort(key=lambda one: one[0] != socket.AF_INET)
    return str(found[0][4][0])
