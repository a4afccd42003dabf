"""What pushes leave behind: uploads that nobody goes on with, blobs and manifests that nothing leads to."""

import time
from collections.abc import Callable
from typing import Final

from seaway_image.oci.digests import Digest
from seaway_image.store.blobs import Lease
from seaway_image.store.image_store import ImageStore
from seaway_image.store.registry_removal import Stray, strays, without_strays
from seaway_image.store.uploads import Uploads

GRACE_S: Final = 3600.0


class RecentBlobs(Lease):
    """The blobs that somebody has pushed, or has been told are here, a short time ago: a manifest may follow."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._now = now
        self._since: dict[Digest, float] = {}

    def hold(self, digest: Digest) -> None:
        """Keep this blob from being collected for a time from now on."""
        super().hold(digest)
        self._since[digest] = self._now()

    def release(self, digest: Digest) -> None:
        """Let go of a blob that somebody wants deleted."""
        self._since.pop(digest, None)
        self.held.discard(digest)
        self.created.discard(digest)

    def expire(self, grace_s: float = GRACE_S) -> None:
        """Let go of those that nobody has asked for in this time."""
        for digest in [digest for digest, since in self._since.items() if self._now() - since > grace_s]:
            self.release(digest)


class RegistrySweep:
    """Looks from time to time. When something became a stray is known to this process alone: the next begins anew."""

    def __init__(
        self, images: ImageStore, uploads: Uploads, recent: RecentBlobs, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._images = images
        self._uploads = uploads
        self._recent = recent
        self._now = now
        self._since: dict[Stray, float] = {}

    def renew(self, repository: str, manifest: Digest) -> None:
        """Somebody who pushes has sent this manifest, or was told that it is here: its grace begins anew."""
        self._since.pop((repository, manifest), None)

    async def sweep(self, grace_s: float = GRACE_S) -> None:
        """Give up old uploads, and forget manifests that have been strays for this long; blobs follow by themselves."""
        await self._uploads.expire(grace_s)
        self._recent.expire(grace_s)
        now = self._now()
        self._since = {one: self._since.get(one, now) for one in strays(self._images.table)}
        old = [one for one, since in self._since.items() if now - since >= grace_s]
        if old:
            # one that is renewed while this waits for its turn is no longer known as old
            await self._images.change(lambda table: without_strays(table, self._since.keys() & set(old)))
