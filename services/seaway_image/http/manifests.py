"""Manifests at `/v2/`: pulled by tag or digest, from their own registry if they aren't here, and pushed."""

from dataclasses import replace

from aiohttp import web

from seaway_docker.references import Reference
from seaway_image.http.bodies import whole_body
from seaway_image.http.names import manifest_in
from seaway_image.http.pull_through import PullThrough
from seaway_image.http.rights import NAME, deletable_in, repository_in, rights_of, writable_in
from seaway_image.http.spec_errors import SpecError
from seaway_image.oci.digests import Digest
from seaway_image.oci.documents import MAX_MANIFEST
from seaway_image.oci.manifests import MAX_ENTRIES
from seaway_image.store.pushed_records import UnknownContent
from seaway_image.store.received import Push, Received, RegistryStore
from seaway_image.store.registry_sweep import RegistrySweep
from seaway_image.store.uploads import WrongDigest


class ManifestRoutes:
    """The handlers."""

    def __init__(self, registry: RegistryStore, beyond: PullThrough, sweep: RegistrySweep) -> None:
        self._registry = registry
        self._beyond = beyond
        self._sweep = sweep

    def routes(self) -> list[web.RouteDef]:
        """Their routes."""
        path = f"/v2/{NAME}/manifests/{{reference}}"
        return [web.get(path, self._get), web.put(path, self._put), web.delete(path, self._delete)]

    async def _get(self, request: web.Request) -> web.StreamResponse:
        """GET, HEAD. A HEAD of who may push there asks only what is here: so pushing asks no other registry."""
        try:
            reference = manifest_in(repository_in(request), request.match_info["reference"])
        except SpecError as error:
            raise (
                SpecError(404, "MANIFEST_UNKNOWN", error.message) if error.code == "MANIFEST_INVALID" else error
            ) from None
        digest = self._registry.find(reference)
        if digest is None:
            digest = await self._from_beyond(request, reference)
        if rights_of(request).may_write(reference.name):
            self._sweep.renew(reference.name, digest)
        data, media_type = await self._registry.manifest(digest)
        headers = {"Docker-Content-Digest": digest, "Content-Type": media_type, "ETag": f'"{digest}"'}
        return web.Response(body=data, headers=headers)

    async def _from_beyond(self, request: web.Request, reference: Reference) -> Digest:
        rights = rights_of(request)
        why = "it is not here"
        if request.method != "HEAD" or not rights.may_write(reference.name):
            why = await self._beyond.pull(reference, rights, lambda: request.transport is None)
        digest = self._registry.find(reference)
        if digest is None:
            raise SpecError(404, "MANIFEST_UNKNOWN", f"manifest {reference.familiar} is unknown: {why}")
        return digest

    async def _put(self, request: web.Request) -> web.StreamResponse:
        repository, rights = writable_in(request), rights_of(request)
        reference = manifest_in(repository, request.match_info["reference"])
        data = await whole_body(request, MAX_MANIFEST, "manifest")
        push = Push(reference, data, request.headers.get("Content-Type", ""), rights.by, built=rights.build)
        done = await self._receive(request, push, repository)
        self._sweep.renew(repository.name, done.digest)
        name = request.match_info["name"]
        headers = {"Location": f"/v2/{name}/manifests/{done.digest}", "Docker-Content-Digest": done.digest}
        if done.subject:
            headers["OCI-Subject"] = done.subject
        if done.warning:
            headers["Warning"] = f'299 - "{_quotable(done.warning)}"'
        return web.Response(status=201, headers=headers)

    async def _delete(self, request: web.Request) -> web.StreamResponse:
        """A tag alone, or a manifest with all its tags."""
        reference = manifest_in(deletable_in(request), request.match_info["reference"])
        await self._registry.delete(reference, rights_of(request).by)
        return web.Response(status=202)

    async def _receive(self, request: web.Request, push: Push, repository: Reference) -> Received:
        """Keep it. The manifests of an index that aren't here are pulled, each once."""
        tried: set[Digest] = set()
        for _ in range(MAX_ENTRIES + 1):
            try:
                return await self._registry.receive(push)
            except UnknownContent as error:
                if error.blob or error.digest in tried:
                    raise SpecError(404, "MANIFEST_BLOB_UNKNOWN", error.message) from None
                tried.add(error.digest)
                wanted = replace(repository, digest=error.digest)
                why = await self._beyond.pull(wanted, rights_of(request), lambda: request.transport is None)
                if why:
                    raise SpecError(404, "MANIFEST_BLOB_UNKNOWN", f"{error.message} ({why})") from None
            except WrongDigest as error:
                raise SpecError(400, "DIGEST_INVALID", error.message) from None
        raise SpecError(400, "MANIFEST_INVALID", "the index names too many manifests that are not here")


def _quotable(text: str) -> str:
    """As the content of a quoted string in a header."""
    return "".join(sign for sign in text if sign.isprintable() and sign.isascii() and sign not in '"\\')[:500]
