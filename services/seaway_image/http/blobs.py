"""Blobs at `/v2/`: pulled whole or by ranges, and deleted."""

from typing import Final

from aiohttp import web

from seaway_image.http.bodies import CHUNK
from seaway_image.http.names import digest_in
from seaway_image.http.rights import NAME, deletable_in, repository_in, rights_of
from seaway_image.http.spec_errors import SpecError
from seaway_image.store.received import RegistryStore
from seaway_image.store.registry_sweep import RecentBlobs

_OCTETS: Final = "application/octet-stream"


class BlobRoutes:
    """Reading blobs."""

    def __init__(self, registry: RegistryStore, recent: RecentBlobs) -> None:
        """`recent` takes the blobs on whose being here somebody who pushes may rely."""
        self._registry = registry
        self._blobs = registry.images.blobs
        self._recent = recent

    def routes(self) -> list[web.RouteDef]:
        """Its routes."""
        path = f"/v2/{NAME}/blobs/{{digest}}"
        return [web.get(path, self._get), web.delete(path, self._delete)]

    async def _get(self, request: web.Request) -> web.StreamResponse:
        """GET, HEAD, with Range; sent by the kernel straight from the file."""
        repository = repository_in(request)
        digest = digest_in(request.match_info["digest"])
        if rights_of(request).may_write(repository.name) and self._blobs.size(digest) is not None:
            self._recent.hold(digest)
        self._blobs.require(digest)
        headers = {"Docker-Content-Digest": digest, "Content-Type": _OCTETS, "ETag": f'"{digest}"'}
        return web.FileResponse(self._blobs.path(digest), headers=headers, chunk_size=CHUNK)

    async def _delete(self, request: web.Request) -> web.StreamResponse:
        deletable_in(request)
        digest = digest_in(request.match_info["digest"])
        self._recent.release(digest)
        if not await self._registry.delete_blob(digest):
            text = f"blob {digest} is part of an image or artifact here: delete its manifests first"
            raise SpecError(405, "UNSUPPORTED", text)
        return web.Response(status=202)
