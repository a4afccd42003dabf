"""Fills the empty volumes of a new container from its image, in threads."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Final

from seaway_agent.archive.view import Stack, rootfs_of_stopped
from seaway_agent.rootfs.errors import StorageFull
from seaway_agent.rootfs.layers import FULL
from seaway_agent.volumes import filling
from seaway_agent.volumes.mounted import opened_apart
from seaway_agent.volumes.options import mount_options
from seaway_agent.volumes.volumes import Volumes, volume_mounts
from seaway_contracts.containers import ContainerSpec, Mount
from seaway_contracts.errors import SeawayError, internal, unavailable

_AT_ONCE: Final = 4


class VolumeFiller:
    """Fills a node's volumes. `scratch` is an empty directory. To be closed before the volumes."""

    def __init__(self, volumes: Volumes, scratch: Path) -> None:
        self._volumes = volumes
        self._scratch = scratch
        self._threads = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="fill-volume")
        self._closing = threading.Event()

    def close(self) -> None:
        """Cancel copies under way."""
        self._closing.set()
        self._threads.shutdown(cancel_futures=True)

    async def fill(self, spec: ContainerSpec, layers: Stack) -> None:
        """Fill a container's empty volumes from its image. Raises SeawayError."""
        wanted = [mount for mount in volume_mounts(spec) if not mount.no_copy and self._may_be_empty(mount)]
        if wanted:
            await asyncio.get_running_loop().run_in_executor(self._threads, self._fill, wanted, layers)

    def _fill(self, wanted: list[Mount], layers: Stack) -> None:
        with rootfs_of_stopped(layers, self._scratch) as files:
            for mount in wanted:
                try:
                    self._fill_one(mount, files.root)
                except OSError as error:
                    raise _refusal(mount, error) from error

    def _fill_one(self, mount: Mount, root: int) -> None:
        data, options = self._volumes.path(mount.source), mount_options(self._volumes.record(mount))
        if options is None:
            filling.fill(data.parent, mount.subpath, root, mount.target, self._check_open)
        else:
            opened = partial(opened_apart, data, options)
            filling.fill_mounted(data.parent, mount.subpath, root, mount.target, self._check_open, opened)

    def _may_be_empty(self, mount: Mount) -> bool:
        """What is to be mounted is only seen once it is."""
        if mount_options(self._volumes.record(mount)) is not None:
            return True
        return filling.is_empty(self._volumes.path(mount.source).parent, mount.subpath)

    def _check_open(self) -> None:
        if self._closing.is_set():
            raise unavailable("the agent is ending")


def _refusal(mount: Mount, error: OSError) -> SeawayError:
    """The error for a failed copy, in Docker's words where the image has no directory at the target."""
    if isinstance(error, NotADirectoryError):
        if mount.anonymous:
            return internal(f"cannot mount volume over existing file, file exists {mount.target}")
        return internal(f"source {mount.target} is not directory")
    text = f"volume {mount.source} can't be filled with what the image has at {mount.target}: {error.strerror}"
    return StorageFull(text) if error.errno in FULL else internal(text)
