"""Uploads of blobs at `/v2/`: in one piece or many, mounted, resumed, cancelled (distribution spec 1.1, "Push")."""

import re
from typing import Final

from aiohttp import web

from seaway_image.http.bodies import pieces_of
from seaway_image.http.names import digest_in
from seaway_image.http.rights import NAME, rights_of, writable_in
from seaway_image.http.spec_errors import SpecError
from seaway_image.oci.digests import Digest
from seaway_image.store.blobs import BlobStore
from seaway_image.store.registry_sweep import RecentBlobs
from seaway_image.store.uploads import OutOfOrder, TooManyUploads, Upload, Uploads, WrongDigest

_RANGE: Final = re.compile(r"(?:bytes[ =])?(\d{1,18})-(\d{1,18})(?:/(?:\d+|\*))?", re.ASCII)


class UploadRoutes:
    """Uploads of blobs."""

    def __init__(self, blobs: BlobStore, uploads: Uploads, recent: RecentBlobs) -> None:
        self._blobs = blobs
        self._uploads = uploads
        self._recent = recent

    def routes(self) -> list[web.RouteDef]:
        """Their routes."""
        one = f"/v2/{NAME}/blobs/uploads/{{upload}}"
        return [
            web.post(f"/v2/{NAME}/blobs/uploads/", self._begin),
            web.post(f"/v2/{NAME}/blobs/uploads", self._begin),
            web.get(one, self._status, allow_head=False),
            web.patch(one, self._patch),
            web.put(one, self._finish),
            web.delete(one, self._cancel),
        ]

    async def _begin(self, request: web.Request) -> web.StreamResponse:
        """A new upload; with `digest` the body is the blob, with `mount` it may be here already."""
        repository = writable_in(request)
        if mount := request.query.get("mount"):
            digest = digest_in(mount)
            if self._blobs.size(digest) is not None:
                self._recent.hold(digest)
                return _created(digest, request.match_info["name"])
        whole = digest_in(request.query["digest"]) if "digest" in request.query else None
        try:
            upload = await self._uploads.begin(repository.name, rights_of(request).user)
        except TooManyUploads as error:
            raise SpecError(429, "TOOMANYREQUESTS", error.message, {"Retry-After": "5"}) from None
        if whole is None:
            return self._accepted(request, upload)
        try:
            return await self._take_last(request, upload, whole)
        except BaseException:  # nobody knows of this upload who could go on with it
            await self._uploads.cancel(upload)
            raise

    async def _status(self, request: web.Request) -> web.StreamResponse:
        """How far it has come."""
        return self._answer(request, self._find(request), 204)

    async def _patch(self, request: web.Request) -> web.StreamResponse:
        """The next bytes."""
        upload = self._find(request)
        async with self._uploads.using(upload):
            await self._take(request, upload)
        return self._accepted(request, upload)

    async def _finish(self, request: web.Request) -> web.StreamResponse:
        """The last bytes, if any, and the blob's digest."""
        upload = self._find(request)
        if "digest" not in request.query:
            raise SpecError(400, "DIGEST_INVALID", "digest: the blob's digest is missing in the query")
        return await self._take_last(request, upload, digest_in(request.query["digest"]))

    async def _cancel(self, request: web.Request) -> web.StreamResponse:
        upload = self._find(request)
        if upload.turn.locked():
            raise SpecError(409, "BLOB_UPLOAD_INVALID", "the upload is receiving just now: end that request first")
        await self._uploads.cancel(upload)
        return web.Response(status=204)

    def _find(self, request: web.Request) -> Upload:
        repository = writable_in(request)
        return self._uploads.find(request.match_info["upload"], repository.name, rights_of(request).user)

    async def _take(self, request: web.Request, upload: Upload) -> None:
        length = self._announced(request, upload)
        await upload.take(pieces_of(request), length=length)

    def _announced(self, request: web.Request, upload: Upload) -> int | None:
        """The length in Content-Range, which must begin where the upload stands."""
        stated = request.headers.get("Content-Range")
        if stated is None:
            return None
        found = _RANGE.fullmatch(stated.strip())
        if found is None or int(found[2]) < int(found[1]):
            raise SpecError(400, "BLOB_UPLOAD_INVALID", f"Content-Range {stated[:100]!r} is not <start>-<end>")
        start, length = int(found[1]), int(found[2]) - int(found[1]) + 1
        if start != upload.offset:
            error = OutOfOrder(upload.offset, start)
            raise SpecError(416, "BLOB_UPLOAD_INVALID", error.message, self._where(request, upload))
        if request.content_length is not None and request.content_length != length:
            text = f"Content-Range announces {length} bytes, Content-Length {request.content_length}"
            raise SpecError(400, "SIZE_INVALID", text)
        return length

    async def _take_last(self, request: web.Request, upload: Upload, digest: Digest) -> web.StreamResponse:
        async with self._uploads.using(upload):
            await self._take(request, upload)
            self._uploads.close(upload)
            try:
                await upload.finish(digest)
            except WrongDigest as error:
                raise SpecError(400, "DIGEST_INVALID", error.message) from None
        self._recent.hold(digest)
        return _created(digest, request.match_info["name"])

    def _accepted(self, request: web.Request, upload: Upload) -> web.Response:
        return self._answer(request, upload, 202)

    def _answer(self, request: web.Request, upload: Upload, status: int) -> web.Response:
        return web.Response(status=status, headers=self._where(request, upload))

    def _where(self, request: web.Request, upload: Upload) -> dict[str, str]:
        return {
            "Location": f"/v2/{request.match_info['name']}/blobs/uploads/{upload.id}",
            "Range": f"0-{max(0, upload.offset - 1)}",
            "Docker-Upload-UUID": upload.id,
        }


def _created(digest: Digest, name: str) -> web.Response:
    headers = {"Location": f"/v2/{name}/blobs/{digest}", "Docker-Content-Digest": digest}
    return web.Response(status=201, headers=headers)
