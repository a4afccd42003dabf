"""A client that does what the specification says, one request at a time."""

from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urljoin

import aiohttp
from tests.conformance.registry.content import Content

from seaway_image.oci.digests import digest_of


@dataclass(frozen=True)
class Answer:
    """A response, read to its end."""

    status: int
    headers: Any
    body: bytes
    json: Any = field(default=None)

    @property
    def codes(self) -> list[str]:
        """The codes of its errors."""
        return [error["code"] for error in self.json["errors"]]


@dataclass
class Client:
    """`lacks`: the parts of the specification that this registry hasn't."""

    session: aiohttp.ClientSession
    url: str
    lacks: frozenset[str] = frozenset()

    async def ask(self, method: str, path: str, **options: Any) -> Answer:
        """One request, without following redirects; `path` may be a Location."""
        url = urljoin(self.url, path)
        async with self.session.request(method, url, allow_redirects=False, **options) as response:
            body = await response.read()
            is_json = "json" in response.headers.get("Content-Type", "") and body
            return Answer(
                response.status, response.headers, body, await response.json(content_type=None) if is_json else None
            )

    async def begin(self, name: str) -> str:
        """A new upload's location."""
        started = await self.ask("POST", f"/v2/{name}/blobs/uploads/")
        assert started.status == 202
        return str(started.headers["Location"])

    async def push_blob(self, name: str, data: bytes) -> None:
        """POST and PUT."""
        done = await self.finish(await self.begin(name), digest_of(data), data)
        assert done.status == 201, done

    async def finish(self, location: str, digest: str, data: bytes = b"", **headers: str) -> Answer:
        """The PUT that closes an upload; the location's own query is kept."""
        joint = "&" if "?" in location else "?"
        kind = {"Content-Type": "application/octet-stream"} | headers
        return await self.ask("PUT", f"{location}{joint}digest={digest}", data=data, headers=kind)

    async def push(self, name: str, content: Content, *tags: str) -> Answer:
        """All blobs, and the manifest: by its digest if no tag is given."""
        for blob in content.blobs:
            await self.push_blob(name, blob)
        for reference in tags or (content.digest,):
            done = await self.put(name, reference, content)
            assert done.status == 201, done
        return done

    async def put(self, name: str, reference: str, content: Content) -> Answer:
        """The manifest alone."""
        headers = {"Content-Type": content.media_type}
        return await self.ask("PUT", f"/v2/{name}/manifests/{reference}", data=content.manifest, headers=headers)

    async def manifest(self, name: str, reference: str, method: str = "GET") -> Answer:
        """One manifest."""
        accept = {"Accept": "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json"}
        return await self.ask(method, f"/v2/{name}/manifests/{reference}", headers=accept)

    async def blob(self, name: str, digest: str, method: str = "GET", **headers: str) -> Answer:
        """One blob."""
        return await self.ask(method, f"/v2/{name}/blobs/{digest}", headers=headers)
