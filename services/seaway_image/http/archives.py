"""Image archives over HTTP: load, save, import, and the layers of commits."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Final

from aiohttp import web

from seaway_bus.bus import ACTOR, COMMAND
from seaway_contracts.archives import Committed
from seaway_contracts.errors import SeawayError, bad_request
from seaway_docker.streams import JSON_STREAM, error_line, stream_line
from seaway_image.archives.commit import commit_image
from seaway_image.archives.import_ import ImportOrder, import_image
from seaway_image.archives.load import load
from seaway_image.archives.save import choose, save
from seaway_image.http.access import Access
from seaway_image.oci.platforms import parse_own_platform, parse_platform
from seaway_image.store.image_changes import Cause, image_change
from seaway_image.store.image_store import ImageStore
from seaway_image.store.names import read_target
from seaway_image.store.progress import Progress

_CHUNK: Final = 1 << 18
_MAX_QUERY: Final = 256
COMMIT_PATH: Final = "/commit"


class ArchiveRoutes:
    """The handlers for the API and, for a commit, for the node that was granted it."""

    def __init__(self, store: ImageStore, access: Access) -> None:
        self._store = store
        self._access = access

    def routes(self) -> list[web.RouteDef]:
        """Their routes."""
        return [
            web.post("/load", self._load),
            web.get("/save", self._save),
            web.post("/import", self._import),
            web.post(COMMIT_PATH, self._commit),
        ]

    async def _load(self, request: web.Request) -> web.StreamResponse:
        """The body is the archive. Answers with Docker's JSON lines; `quiet=0` asks for layers as they come."""
        platform = request.query.get("platform", "")
        order = parse_platform(platform) if platform else None
        lines = JsonLines(request)
        with_lines = {} if request.query.get("quiet", "1") != "0" else {"say": lines.progress}
        try:
            pieces = request.content.iter_chunked(_CHUNK)
            loaded = await load(self._store, pieces, platform=order, by=_by(request), **with_lines)
        except SeawayError as error:
            if not lines.begun:
                raise
            return await lines.end(error_line(error.message))
        return await lines.end(*(stream_line(f"{line}\n") for line in loaded.lines))

    async def _save(self, request: web.Request) -> web.StreamResponse:
        """The archive of the images `?names=…&names=…`."""
        names = request.query.getall("names", [])
        if len(names) > _MAX_QUERY:
            raise bad_request(f"names: give at most {_MAX_QUERY} images to save")
        by = _by(request)
        saved = choose(self._store.table, names)
        self._store.publish([image_change("save", one.image.id, by=by) for one in saved])
        return await _stream(request, save(self._store, names))

    async def _import(self, request: web.Request) -> web.StreamResponse:
        """The body is the tar; `repo`, `tag`, `message`, `change` (repeated) and `platform`. Answers `{"id"}`."""
        order = _import_order(request)
        image = await import_image(self._store, request.content.iter_chunked(_CHUNK), order)
        return web.json_response({"id": image})

    async def _commit(self, request: web.Request) -> web.StreamResponse:
        """The body is the layer's tar; what image is made of it was said when this was granted. Answers `Committed`.

        Sent again, as after a lost answer, it makes no second image.
        """
        upload = self._access.granted(request.headers.get("Authorization", ""))
        assert upload is not None  # the guard has seen to that
        layer = request.content.iter_chunked(_CHUNK)
        async with upload.turn:
            try:
                if upload.made is None:
                    made = await commit_image(self._store, layer, upload.order)
                    upload.made = Committed(id=made.id, ref=made.tag.familiar if made.tag else "")
            finally:
                async for _ in layer:  # the sender listens when it has sent all
                    pass
        return web.json_response(upload.made.model_dump())


def _by(request: web.Request) -> Cause:
    """By which command, and in whose name, the archive came."""
    return Cause(request.headers.get(COMMAND, ""), request.headers.get(ACTOR, ""))


def _import_order(request: web.Request) -> ImportOrder:
    query = request.query
    repo, tag, platform = query.get("repo", ""), query.get("tag", ""), query.get("platform", "")
    changes = query.getall("change", [])
    if len(changes) > _MAX_QUERY:
        raise bad_request(f"change: at most {_MAX_QUERY} instructions are taken")
    order = ImportOrder(
        target=read_target(f"{repo}:{tag}" if tag else repo) if repo else None,
        changes=tuple(changes),
        message=query.get("message", ""),
        source=query.get("source", "-"),
        by=_by(request),
    )
    return replace(order, platform=parse_own_platform(platform)) if platform else order


class JsonLines:
    """An answer of JSON lines, whose head is sent with the first of them."""

    def __init__(self, request: web.Request) -> None:
        self._request = request
        self._response = web.StreamResponse(headers={"Content-Type": JSON_STREAM})

    @property
    def begun(self) -> bool:
        """Whether it is too late for another status."""
        return self._response.prepared

    async def progress(self, progress: Progress) -> None:
        """How it goes."""
        await self._write(progress.line())

    async def end(self, *lines: bytes) -> web.StreamResponse:
        """The last lines."""
        await self._write(b"".join(lines))
        await self._response.write_eof()
        return self._response

    async def _write(self, data: bytes) -> None:
        if not self.begun:
            await self._response.prepare(self._request)
        await self._response.write(data)


async def _stream(request: web.Request, pieces: AsyncIterator[bytes]) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "application/x-tar"})
    await response.prepare(request)
    async for piece in pieces:
        await response.write(piece)
    await response.write_eof()
    return response
