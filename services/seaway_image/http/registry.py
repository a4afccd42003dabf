"""The registry at `/v2/`: its handlers together, and what they share."""

from collections.abc import Iterator
from contextlib import contextmanager

from aiohttp import web

from seaway_image.http.access import Access
from seaway_image.http.blobs import BlobRoutes
from seaway_image.http.listings import ListingRoutes
from seaway_image.http.manifests import ManifestRoutes
from seaway_image.http.pull_through import PullThrough
from seaway_image.http.uploads import UploadRoutes
from seaway_image.registry.pull import Pulls
from seaway_image.store.image_store import ImageStore
from seaway_image.store.received import RegistryStore
from seaway_image.store.registry_sweep import GRACE_S, RecentBlobs, RegistrySweep
from seaway_image.store.uploads import Uploads


class Registry:
    """All of it."""

    def __init__(self, store: ImageStore, pulls: Pulls, access: Access) -> None:
        self.store = RegistryStore(store)
        self._access = access
        self._recent = RecentBlobs()
        self._uploads = Uploads(store.blobs, self._recent)
        self._sweep = RegistrySweep(store, self._uploads, self._recent)
        self._handlers = (
            UploadRoutes(store.blobs, self._uploads, self._recent),
            BlobRoutes(self.store, self._recent),
            ManifestRoutes(self.store, PullThrough(pulls), self._sweep),
            ListingRoutes(self.store),
        )

    @contextmanager
    def open(self) -> Iterator[None]:
        """Keep what is pushed until a manifest names it, or nobody has for a time."""
        with self.store.images.blobs.lease(self._recent):
            yield

    async def sweep(self, grace_s: float = GRACE_S) -> None:
        """Give up what pushes have left behind for this long."""
        await self._sweep.sweep(grace_s)

    def routes(self) -> list[web.RouteDef]:
        """All routes."""
        return [web.get("/v2/", _version), web.get("/v2", _version), *(r for h in self._handlers for r in h.routes())]

    async def end_build(self, token: str) -> None:
        """Take a build's token away, and what it was uploading."""
        rights = self._access.revoke(token)
        if rights is not None:
            await self._uploads.cancel_of(rights.user)


async def _version(_: web.Request) -> web.StreamResponse:
    return web.json_response({}, headers={"Docker-Distribution-Api-Version": "registry/2.0"})
