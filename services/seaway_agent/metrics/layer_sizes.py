"""Sizes of containers' writable layers, measured one after another in the background."""

import asyncio
import logging
import os
import time
from collections.abc import Callable, Container, Iterable
from pathlib import Path
from typing import Final

from seaway_agent.metrics.readings import DiskUse
from seaway_agent.metrics.sampler import device_name
from seaway_agent.rootfs.upper import tree_size

log = logging.getLogger(__name__)
_EVERY_S: Final = 60.0
_SHARE: Final = 100


class LayerSizes:
    """The last measurement of each layer, at least a minute apart.

    After each measurement the walk rests a hundred times as long as it took: however many files there are, it takes no
    more than a hundredth of a CPU.
    """

    def __init__(self, upper: Callable[[str], Path], containers: Callable[[], Iterable[str]]) -> None:
        """`upper`: where a container's layer is. `containers`: the ids of those that run."""
        self._upper = upper
        self._containers = containers
        self._found: dict[str, tuple[DiskUse, ...]] = {}

    def of(self, container: str) -> tuple[DiskUse, ...]:
        """The last measurement; none before the first."""
        return self._found.get(container, ())

    def retain(self, containers: Container[str]) -> None:
        """Forget all others."""
        for container in [one for one in self._found if one not in containers]:
            del self._found[container]

    async def run(self) -> None:
        """Measure all, again and again; never returns."""
        while True:
            began = time.monotonic()
            for container in list(self._containers()):
                took = await self.measure(container)
                await asyncio.sleep(took * _SHARE)
            await asyncio.sleep(max(1.0, began + _EVERY_S - time.monotonic()))

    async def measure(self, container: str) -> float:
        """Measure one layer; the seconds that it took. One that can't be walked keeps its last measurement."""
        began = time.monotonic()
        try:
            self._found[container] = (await asyncio.to_thread(disk_use, self._upper(container)),)
        except OSError as error:
            log.debug("the writable layer of %s can't be measured: %s", container[:12], error)
        return time.monotonic() - began


def disk_use(upper: Path) -> DiskUse:
    """A layer's size, and its file system. Blocks. Raises OSError."""
    of = os.statvfs(upper)
    number = upper.stat().st_dev
    device = device_name(f"{os.major(number)}:{os.minor(number)}")
    return DiskUse(device, tree_size(upper), of.f_blocks * of.f_frsize, of.f_files, of.f_ffree)
