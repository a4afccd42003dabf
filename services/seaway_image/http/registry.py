"""The registry at `/v2/`: its handlers together, and what they share."""

from aiohttp import web

from seaway_image.http.access import Access
from seaway_image.http.blobs import BlobRoutes, UploadRoutes
from seaway_image.http.manifests import ManifestRoutes
from seaway_image.http.pull_through import PullThrough
from seaway_image.registry.pull import Pulls
from seaway_image.store.blobs import Lease
from seaway_image.store.image_store import ImageStore
from seaway_image.store.received import RegistryStore
from seaway_image.store.uploads import Uploads


class Registry:
    """All of it. `lease` lives as long as the process, and keeps what was pushed until a manifest names it."""

    def __init__(self, store: ImageStore, pulls: Pulls, access: Access, lease: Lease) -> None:
        self.store = RegistryStore(store)
        self.uploads = Uploads(store.blobs, lease)
        self._access = access
        self._handlers = (
            UploadRoutes(store.blobs, self.uploads, lease),
            BlobRoutes(store.blobs, lease),
            ManifestRoutes(self.store, PullThrough(pulls)),
        )

    def routes(self) -> list[web.RouteDef]:
        """All routes."""
        return [web.get("/v2/", _version), web.get("/v2", _version), *(r for h in self._handlers for r in h.routes())]

    async def end_build(self, token: str) -> None:
        """Take a build's token away, and what it was uploading."""
        rights = self._access.revoke(token)
        if rights is not None:
            await self.uploads.cancel_of(rights.user)


async def _version(_: web.Request) -> web.StreamResponse:
    return web.json_response({}, headers={"Docker-Distribution-Api-Version": "registry/2.0"})
