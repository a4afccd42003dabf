"""Listings at `/v2/`: tags, repositories, and the referrers of a manifest, in pages."""

from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import urlencode

import orjson
from aiohttp import web

from seaway_image.http.names import digest_in
from seaway_image.http.rights import NAME, repository_in
from seaway_image.http.spec_errors import SpecError
from seaway_image.oci.documents import MAX_MANIFEST
from seaway_image.oci.manifests import OCI_INDEX
from seaway_image.oci.pushed import parse_pushed
from seaway_image.store.received import RegistryStore

MOST: Final = 10_000
"""The names in one page where a client asks for more, or doesn't say."""
_PAGE_BYTES: Final = MAX_MANIFEST


class ListingRoutes:
    """The handlers."""

    def __init__(self, registry: RegistryStore) -> None:
        self._registry = registry

    def routes(self) -> list[web.RouteDef]:
        """Their routes."""
        return [
            web.get("/v2/_catalog", self._catalog),
            web.get(f"/v2/{NAME}/tags/list", self._tags),
            web.get(f"/v2/{NAME}/referrers/{{digest}}", self._referrers),
        ]

    async def _catalog(self, request: web.Request) -> web.StreamResponse:
        page, headers = _page(request, self._registry.repositories())
        return web.json_response({"repositories": page}, headers=headers)

    async def _tags(self, request: web.Request) -> web.StreamResponse:
        repository = repository_in(request)
        tags = self._registry.tags(repository)
        if tags is None:
            raise SpecError(404, "NAME_UNKNOWN", f"repository {repository.familiar_name} is not known here")
        page, headers = _page(request, tags)
        return web.json_response({"name": request.match_info["name"], "tags": page}, headers=headers)

    async def _referrers(self, request: web.Request) -> web.StreamResponse:
        """An index of all manifests whose subject this digest is, whether or not there is a manifest with it."""
        repository, subject = repository_in(request), digest_in(request.match_info["digest"])
        wanted, last = request.query.get("artifactType", ""), request.query.get("last", "")
        described: list[dict[str, Any]] = []
        size, headers = 0, {"OCI-Filters-Applied": "artifactType"} if wanted else {}
        for digest in self._registry.referrers(repository, subject, wanted):
            if digest <= last:
                continue
            data, media_type = await self._registry.manifest(digest)
            parsed = parse_pushed(data, media_type)
            one: dict[str, Any] = {"mediaType": media_type, "digest": digest, "size": len(data)}
            one |= {"artifactType": parsed.artifact_type} if parsed.artifact_type else {}
            one |= {"annotations": dict(parsed.annotations)} if parsed.annotations else {}
            size += len(orjson.dumps(one))
            if described and size > _PAGE_BYTES:
                headers["Link"] = _link(request, {"last": described[-1]["digest"]})
                break
            described.append(one)
        index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": described}
        return web.Response(body=orjson.dumps(index), headers=headers | {"Content-Type": OCI_INDEX})


def _page(request: web.Request, names: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """The names behind `last`, at most `n`, and the link to the rest; `names` are in order."""
    asked = request.query.get("n", "")
    if asked and not (asked.isascii() and asked.isdigit() and len(asked) < 10):
        raise SpecError(400, "UNSUPPORTED", f"n={asked[:20]!r} is no number of names")
    count = min(MOST, int(asked)) if asked else MOST
    last = request.query.get("last", "")
    rest = [name for name in names if name > last]
    page = rest[:count]
    if not page or len(page) == len(rest):
        return page, {}
    return page, {"Link": _link(request, {"n": str(count), "last": page[-1]})}


def _link(request: web.Request, changes: dict[str, str]) -> str:
    query = dict(request.query) | changes
    return f'<{request.rel_url.raw_path}?{urlencode(query)}>; rel="next"'
