"""Blobs at `/v2/`: pulled whole or by ranges, and pushed, in one piece or many (distribution spec 1.1, "Push")."""

import re
from collections.abc import AsyncIterator
from typing import Final

from aiohttp import web

from seaway_docker.references import Reference
from seaway_image.http.names import digest_in
from seaway_image.http.rights import NAME, repository_in, rights_of, writable_in
from seaway_image.http.spec_errors import SpecError
from seaway_image.oci.digests import Digest
from seaway_image.store.blobs import BlobStore, Lease
from seaway_image.store.uploads import OutOfOrder, TooManyUploads, Upload, Uploads, WrongDigest

CHUNK: Final = 1 << 18
_OCTETS: Final = "application/octet-stream"
_RANGE: Final = re.compile(r"(?:bytes[ =])?(\d{1,18})-(\d{1,18})(?:/(?:\d+|\*))?")


class BlobRoutes:
    """Reading blobs."""

    def __init__(self, blobs: BlobStore, lease: Lease) -> None:
        """`lease` takes the blobs on whose being here somebody who pushes may rely."""
        self._blobs = blobs
        self._lease = lease

    def routes(self) -> list[web.RouteDef]:
        """Its routes."""
        return [web.get(f"/v2/{NAME}/blobs/{{digest}}", self._get)]

    async def _get(self, request: web.Request) -> web.StreamResponse:
        """GET, HEAD, with Range; sent by the kernel straight from the file."""
        repository = repository_in(request)
        digest = digest_in(request.match_info["digest"])
        if rights_of(request).may_write(repository.name) and self._blobs.size(digest) is not None:
            self._lease.hold(digest)
        self._blobs.require(digest)
        headers = {"Docker-Content-Digest": digest, "Content-Type": _OCTETS, "ETag": f'"{digest}"'}
        return web.FileResponse(self._blobs.path(digest), headers=headers, chunk_size=CHUNK)


class UploadRoutes:
    """Uploads of blobs."""

    def __init__(self, blobs: BlobStore, uploads: Uploads, lease: Lease) -> None:
        self._blobs = blobs
        self._uploads = uploads
        self._lease = lease

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
                self._lease.hold(digest)
                return _created(repository, digest, request.match_info["name"])
        whole = digest_in(request.query["digest"]) if "digest" in request.query else None
        try:
            upload = await self._uploads.begin(repository.name, rights_of(request).user)
        except TooManyUploads as error:
            raise SpecError(429, "TOOMANYREQUESTS", error.message, {"Retry-After": "5"}) from None
        if whole is None:
            return self._accepted(request, upload)
        return await self._take_last(request, repository, upload, whole)

    async def _status(self, request: web.Request) -> web.StreamResponse:
        """How far it has come."""
        return self._answer(request, self._find(request), 204)

    async def _patch(self, request: web.Request) -> web.StreamResponse:
        """The next bytes."""
        upload = self._find(request)
        async with upload.turn:
            await self._take(request, upload)
        return self._accepted(request, upload)

    async def _finish(self, request: web.Request) -> web.StreamResponse:
        """The last bytes, if any, and the blob's digest."""
        repository = writable_in(request)
        upload = self._find(request)
        if "digest" not in request.query:
            raise SpecError(400, "DIGEST_INVALID", "digest: the blob's digest is missing in the query")
        return await self._take_last(request, repository, upload, digest_in(request.query["digest"]))

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
        await upload.take(_body(request), length=length)

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

    async def _take_last(
        self, request: web.Request, repository: Reference, upload: Upload, digest: Digest
    ) -> web.StreamResponse:
        async with upload.turn:
            await self._take(request, upload)
            self._uploads.close(upload)
            try:
                await upload.finish(digest)
            except WrongDigest as error:
                raise SpecError(400, "DIGEST_INVALID", error.message) from None
        return _created(repository, digest, request.match_info["name"])

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


def _created(repository: Reference, digest: Digest, name: str) -> web.Response:
    headers = {"Location": f"/v2/{name}/blobs/{digest}", "Docker-Content-Digest": digest}
    return web.Response(status=201, headers=headers)


async def _body(request: web.Request) -> AsyncIterator[bytes]:
    async for piece in request.content.iter_chunked(CHUNK):
        yield piece
