"""Images that a container mounts."""

from seaway_agent.container.hook import Hook, RunRequest
from seaway_agent.runtime.contribution import Contribution
from seaway_agent.volumes.images import ImageMounts


class ImageMountsHook(Hook):
    """They end with the run's mount namespace: there is nothing to undo."""

    def __init__(self, images: ImageMounts) -> None:
        self._images = images

    async def prepare(self, request: RunRequest, before: Contribution) -> Contribution:
        """See the base. A layer that was damaged since the create is fetched again."""
        spec = request.spec
        await self._images.ensure(spec)
        return Contribution(mounts=self._images.mounts(spec), attachments=self._images.attachments(spec))

    async def undo(self, container: str) -> None:
        """See the base."""
