"""Mounts of a container's volumes with options (type, device, o)."""

from seaway_agent.container.hook import Hook, RunRequest
from seaway_agent.runtime.contribution import Contribution
from seaway_agent.runtime.run import ContainerRun
from seaway_agent.volumes.mounted import MountedVolumes


class MountedVolumesHook(Hook):
    """They are mounted on the volumes' data while a run has them."""

    def __init__(self, mounted: MountedVolumes) -> None:
        self._mounted = mounted

    async def prepare(self, request: RunRequest, before: Contribution) -> Contribution:
        """See the base."""
        await self._mounted.hold(request.spec)
        return Contribution()

    def created(self, container: str, run: ContainerRun) -> None:
        """See the base."""
        self._mounted.adopt(container)

    async def undo(self, container: str) -> None:
        """See the base."""
        await self._mounted.release(container)
