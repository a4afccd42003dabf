"""A container's root filesystem: the image's layers below its own writable one."""

import asyncio
from concurrent.futures import Executor

from seaway_agent.container.hook import Hook, RunRequest
from seaway_agent.rootfs.upper import UpperStore
from seaway_agent.runtime.contribution import Contribution, Rootfs
from seaway_agent.runtime.rootfs_pin import RootfsPin
from seaway_agent.runtime.run import ContainerRun


class RootfsHook(Hook):
    """The runtime mounts it. While the run lasts it is held, so that an exit does not wait for the disk.

    `unmounters`: for last unmounts, which wait for the disk.
    """

    def __init__(self, uppers: UpperStore, unmounters: Executor) -> None:
        self._uppers = uppers
        self._unmounters = unmounters
        self._holds: dict[str, RootfsPin] = {}

    async def prepare(self, request: RunRequest, before: Contribution) -> Contribution:
        """See the base."""
        upper = self._uppers.locate(request.spec.id)
        return Contribution(rootfs=Rootfs(request.lowers, upper.upper, upper.work))

    def created(self, container: str, run: ContainerRun) -> None:
        """See the base."""
        former, self._holds[container] = self._holds.get(container), RootfsPin(run.pid, run.pidfd)
        if former is not None:
            former.release()

    async def undo(self, container: str) -> None:
        """See the base. The disk may be busy for long, so this has threads of its own. A killed agent pins nothing."""
        hold = self._holds.pop(container, None)
        if hold is not None:
            await asyncio.get_running_loop().run_in_executor(self._unmounters, hold.release)

    def close(self) -> None:
        """Release all holds; the runs continue."""
        for hold in self._holds.values():
            hold.release()
        self._holds.clear()
