"""A client for registries (OCI distribution spec 1.1): manifests and blobs, with tokens, mirrors and retries."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Final, TypeVar
from urllib.parse import quote, urlencode

import aiohttp

from seaway_contracts.errors import Code, SeawayError
from seaway_docker.references import Reference
from seaway_image.oci.digests import Digest, digest_of, is_digest, parse_digest
from seaway_image.oci.documents import MAX_MANIFEST
from seaway_image.oci.manifests import ACCEPT, Descriptor, parse_manifest
from seaway_image.registry.challenges import (
    MAX_TOKEN,
    Challenge,
    is_scope_refusal,
    parse_challenges,
    parse_token,
    refresh_form,
    token_url,
)
from seaway_image.registry.credentials import Credentials
from seaway_image.registry.endpoints import (
    Endpoint,
    RegistrySettings,
    endpoints_for,
    follow,
    may_carry_credentials,
    origin,
)
from seaway_image.registry.refusals import Refusal, Unauthorized, denied, docker_error, parse_refusal
from seaway_image.registry.remote import MAX_TAG_PAGE, MAX_TAGS, next_page, read_tags
from seaway_image.registry.transport import Body, Broken, HttpTransport, Response, Unreachable
from seaway_image.store.ingest import BlobWriter, DigestMismatch

ATTEMPTS: Final = 5
_BACKOFF_S: Final = 0.5
_LONGEST_WAIT_S: Final = 30.0
_ERROR_BODY: Final = 64 << 10
_CHUNK: Final = 1 << 18
T = TypeVar("T")
Sleep = Callable[[float], Awaitable[None]]
Told = Callable[[Refusal], SeawayError]


def backoff(attempt: int, asked_s: float | None, jitter: float) -> float:
    """Seconds to wait after this failed attempt (from 1); `asked_s` is the registry's Retry-After."""
    growing: float = _BACKOFF_S * 2 ** (attempt - 1) * jitter
    return min(_LONGEST_WAIT_S, growing if asked_s is None else max(asked_s, growing))


@dataclass(frozen=True)
class FetchedManifest:
    """A manifest as it came: exact bytes, their digest, and what the registry called them."""

    data: bytes
    digest: Digest
    media_type: str


@dataclass(frozen=True)
class _Cached:
    authorization: str
    until: float


class RegistrySession:
    """What one pull or push does with one repository: it keeps to the endpoint that answered, and its token."""

    def __init__(
        self,
        transport: HttpTransport,
        repository: Reference,
        settings: RegistrySettings,
        credentials: Credentials | None = None,
        *,
        scope: str = "",
        sleep: Sleep = asyncio.sleep,
        offline: bool = False,
    ) -> None:
        """`scope`: what to ask tokens for, where that is more than the registry's challenge names.

        `offline`: ask the token server for an identity token.
        """
        self.repository = repository
        self.scope = scope
        self._transport = transport
        self._credentials = credentials or Credentials()
        self._sleep = sleep
        self._offline = offline
        self._endpoints = list(endpoints_for(repository.domain, settings))
        self._tokens: dict[str, _Cached] = {}
        self.identity_token = self._credentials.identity_token
        """What a token server has given to be used from now on in place of a password."""
        self._authorizing = asyncio.Lock()

    # --- what a pull needs

    async def manifest(self, reference: str, *, told: Told | None = None) -> FetchedManifest:
        """The manifest or index under a tag or digest, its digest verified; raises SeawayError in Docker's words.

        `told` makes an error of a refusal, where that is not a pull's.
        """

        async def fetch(endpoint: Endpoint) -> FetchedManifest:
            return await self.retrying(lambda: self._fetch_manifest(endpoint, reference))

        return await self.across(fetch, reference, told)

    async def document(self, blob: Descriptor) -> bytes:
        """A small blob, verified; raises SeawayError."""

        async def fetch(endpoint: Endpoint) -> bytes:
            async with self._get(self.url(endpoint, f"blobs/{blob.digest}"), endpoint, {}) as response:
                return await _body(response, blob.size)

        data = await self.across(lambda endpoint: self.retrying(lambda: fetch(endpoint)), blob.digest)
        if digest_of(data) != blob.digest:
            raise SeawayError(Code.INTERNAL, f"blob {blob.digest} is not what the registry has sent for it")
        return data

    async def tags(self) -> list[Reference]:
        """All tags of the repository, in the registry's order; raises SeawayError in Docker's words."""
        found: dict[Reference, None] = {}
        last = ""
        while True:
            page, after = await self._tag_page(last)
            found |= dict.fromkeys(page)
            if len(found) > MAX_TAGS:
                raise SeawayError(Code.TOO_LARGE, f"{self.repository.familiar_name} has more than {MAX_TAGS} tags")
            if not after or after == last or not page:
                return list(found)
            last = after

    async def download(self, blob: Descriptor, writer: BlobWriter, progress: Callable[[int], None]) -> None:
        """Fetch a blob into `writer`, going on where it stands; `progress` is told the bytes there are so far.

        Raises SeawayError; what has come stays with the writer for a later attempt.
        """

        async def fetch(endpoint: Endpoint) -> None:
            await self.retrying(lambda: self._fetch_blob(endpoint, blob, writer, progress))

        async def fetch_verified(endpoint: Endpoint) -> None:
            await fetch(endpoint)
            try:
                await writer.finish()
            except DigestMismatch as mismatch:  # what came from another endpoint, or at another time, may be to blame
                await writer.restart()
                if not mismatch.resumed:
                    raise
                await fetch(endpoint)
                await writer.finish()

        await self.across(fetch_verified, blob.digest)

    async def reach(self) -> Endpoint:
        """The endpoint that answers and is the registry itself, no mirror; whatever it answers. Raises Unreachable."""
        self._endpoints = [one for one in self._endpoints if one.trusted]

        async def ping(endpoint: Endpoint) -> Endpoint:
            async with self._transport.request(endpoint, "GET", f"{endpoint.url}/v2/", {}):
                return endpoint

        return await self.across(lambda endpoint: self.retrying(lambda: ping(endpoint)), "")

    async def enter(self, endpoint: Endpoint) -> None:
        """Ask the registry itself for nothing but to be let in. Raises Refusal, Unauthorized, Unreachable."""
        async with self._get(f"{endpoint.url}/v2/", endpoint, {}):
            return

    async def _tag_page(self, last: str) -> tuple[list[Reference], str]:
        return await self.across(lambda endpoint: self.retrying(lambda: self._fetch_tags(endpoint, last)), "")

    # --- endpoints and attempts

    async def across(self, call: Callable[[Endpoint], Awaitable[T]], reference: str, told: Told | None = None) -> T:
        """What `call` gives at the first endpoint that serves; raises SeawayError."""
        last: Exception | None = None
        for endpoint in list(self._endpoints):
            try:
                found = await call(endpoint)
            except (Refusal, Unreachable) as error:
                last = self._preferred(last, error)
                continue
            except SeawayError as error:  # a mirror that lies is as good as none
                if endpoint.trusted:
                    raise
                last = self._preferred(last, error)
                continue
            self._endpoints.remove(endpoint)
            self._endpoints.insert(0, endpoint)
            return found
        if isinstance(last, Refusal):
            raise (told(last) if told else docker_error(last, self.repository, reference)) from last
        raise last or RuntimeError("a registry without endpoints")

    def _preferred(self, before: Exception | None, error: Exception) -> Exception:
        """What a registry said counts for more than that another of its endpoints was silent."""
        return before if isinstance(before, Refusal) and not isinstance(error, Refusal) else error

    async def retrying(self, call: Callable[[], Awaitable[T]]) -> T:
        """What `call` gives, tried again where that may help."""
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return await call()
            except Refusal as refusal:
                if not refusal.transient or attempt == ATTEMPTS:
                    raise
                wait = refusal.retry_after_s
            except Broken:
                if attempt == ATTEMPTS:
                    raise
                wait = None
            await self._sleep(backoff(attempt, wait, random.uniform(0.75, 1.25)))
        raise RuntimeError("no attempt was made")

    # --- requests

    def url(self, endpoint: Endpoint, what: str) -> str:
        """Of something in the repository."""
        return f"{endpoint.url}/v2/{quote(self.repository.path)}/{quote(what, safe='/:@')}"

    async def _fetch_manifest(self, endpoint: Endpoint, reference: str) -> FetchedManifest:
        url, headers = self.url(endpoint, f"manifests/{reference}"), {"Accept": ", ".join(ACCEPT)}
        async with self._get(url, endpoint, headers) as response:
            data = await _body(response, MAX_MANIFEST)
            digest = digest_of(data)
            stated = reference if is_digest(reference) else response.headers.get("Docker-Content-Digest", "")
            if stated.startswith("sha256:") and parse_digest(stated) != digest:
                raise SeawayError(Code.INTERNAL, f"manifest verification failed for digest {stated}: received {digest}")
            media_type = response.headers.get("Content-Type", "")
            if not endpoint.trusted:
                parse_manifest(data, media_type)  # raises SeawayError, so that the next endpoint is asked
            return FetchedManifest(data, digest, media_type)

    async def _fetch_tags(self, endpoint: Endpoint, last: str) -> tuple[list[Reference], str]:
        url = self.url(endpoint, "tags/list") + (f"?{urlencode({'last': last})}" if last else "")
        async with self._get(url, endpoint, {}) as response:
            links = response.headers.getall("Link", [])
            return read_tags(await _body(response, MAX_TAG_PAGE), self.repository), next_page(links)

    async def _fetch_blob(
        self, endpoint: Endpoint, blob: Descriptor, writer: BlobWriter, progress: Callable[[int], None]
    ) -> None:
        if writer.offset >= blob.size > 0:
            return
        headers = {"Range": f"bytes={writer.offset}-"} if writer.offset else {}
        try:
            async with self._get(self.url(endpoint, f"blobs/{blob.digest}"), endpoint, headers) as response:
                if not _continues(response, writer.offset):
                    await writer.restart()
                await _copy(response, writer, progress)
        except Refusal as refusal:
            if refusal.status != 416:
                raise
            await writer.restart()
            raise Broken(str(refusal)) from refusal
        if writer.offset < blob.size:
            raise Broken(f"blob {blob.digest}: unexpected EOF after {writer.offset} of {blob.size} bytes")

    def _get(self, url: str, endpoint: Endpoint, headers: dict[str, str]) -> AbstractAsyncContextManager[Response]:
        return self.exchange(endpoint, "GET", url, headers, good=(200, 206))

    @asynccontextmanager
    async def exchange(
        self,
        endpoint: Endpoint,
        method: str,
        url: str,
        headers: dict[str, str],
        *,
        good: Collection[int],
        body: Body | None = None,
        patience: float | None = None,
    ) -> AsyncIterator[Response]:
        """A response of a `good` status; raises Refusal, Unreachable, or Broken if the connection fails on the way.

        Another host, to which the registry has sent us, sees no credentials, and its wish for some is a refusal.
        """
        own = origin(url) == origin(endpoint.url)
        for again in (True, False):
            known = self._tokens.get(endpoint.url)
            fresh = known is not None and known.until > time.monotonic()
            authorization = {"Authorization": known.authorization} if known and fresh and own else {}
            asked = self._transport.request(
                endpoint, method, url, headers | authorization, body=body, patience=patience
            )
            async with asked as response:
                if response.status in good:
                    yield response
                    return
                refusal = await _refusal(response)
                challenges = parse_challenges(response.headers.getall("WWW-Authenticate", []))
            if refusal.status == 401 and not again and is_scope_refusal(challenges):
                raise denied()
            if refusal.status != 401 or not again or not own:
                raise refusal
            asking = f'Get "{url}": ' if method == "GET" else ""
            await self._authorize(endpoint, challenges, known if fresh else None, refusal, asking)

    # --- authorization

    async def _authorize(
        self, endpoint: Endpoint, challenges: Sequence[Challenge], used: _Cached | None, refusal: Refusal, asking: str
    ) -> None:
        async with self._authorizing:
            known = self._tokens.get(endpoint.url)
            if known is not None and known is not used and known.until > time.monotonic():
                return
            credentials = self._credentials if endpoint.trusted else Credentials()
            bearer = next((one for one in challenges if one.scheme == "bearer"), None)
            if bearer is not None:
                self._tokens[endpoint.url] = await self._bearer(endpoint, bearer, credentials, asking)
            elif any(one.scheme == "basic" for one in challenges):
                self._tokens[endpoint.url] = _Cached(_basic(credentials, asking), float("inf"))
            else:
                raise refusal

    async def _bearer(self, endpoint: Endpoint, challenge: Challenge, credentials: Credentials, asking: str) -> _Cached:
        if credentials.registry_token:
            return _Cached(f"Bearer {credentials.registry_token}", float("inf"))
        own = f"repository:{self.repository.path}:pull" if self.repository.path else ""
        scope = self.scope or challenge.parameters.get("scope") or own
        realm = follow(endpoint, endpoint.url, challenge.parameters.get("realm", ""), "token realm")
        form, headers, method = None, {}, "GET"
        identity = self.identity_token if credentials.identity_token else ""
        asked = Challenge("bearer", challenge.parameters | {"realm": realm})
        url = token_url(asked, scope, credentials.username, offline=self._offline)
        if identity:
            form, method, url = refresh_form(challenge, scope, identity), "POST", realm
        elif credentials.basic and may_carry_credentials(realm):
            headers = {"Authorization": credentials.basic}
        async with self._transport.request(endpoint, method, url, headers, form=form) as response:
            if response.status == 401:
                raise Unauthorized(f"{asking}{await _refusal(response)}")
            if response.status != 200:
                raise await _refusal(response)
            data = await _body(response, MAX_TOKEN)
        token = parse_token(data)
        if token.identity_token and (identity or self._offline) and endpoint.trusted:
            self.identity_token = token.identity_token
        return _Cached(f"Bearer {token.value}", time.monotonic() + token.life_s * 0.9)


def _basic(credentials: Credentials, asking: str) -> str:
    if not credentials.basic:
        raise Unauthorized(f"{asking}no basic auth credentials")
    return credentials.basic


def _continues(response: aiohttp.ClientResponse, offset: int) -> bool:
    if offset == 0:
        return True
    return response.status == 206 and response.headers.get("Content-Range", "").startswith(f"bytes {offset}-")


async def _refusal(response: aiohttp.ClientResponse) -> Refusal:
    body = await response.content.read(_ERROR_BODY)
    return parse_refusal(response.status, response.reason or "", body, response.headers.get("Retry-After", ""))


async def _copy(response: aiohttp.ClientResponse, writer: BlobWriter, progress: Callable[[int], None]) -> None:
    async for chunk in response.content.iter_chunked(_CHUNK):
        await writer.write(chunk)
        progress(writer.offset)


async def _body(response: aiohttp.ClientResponse, limit: int) -> bytes:
    data = bytearray()
    async for chunk in response.content.iter_chunked(_CHUNK):
        data += chunk
        if len(data) > limit:
            raise SeawayError(Code.TOO_LARGE, f"registry sent more than {limit} bytes for {response.url.path}")
    return bytes(data)
