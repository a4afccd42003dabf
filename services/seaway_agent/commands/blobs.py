"""Fetches layer blobs over HTTP from the image service, at the endpoint that the bus gives."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import aiohttp
import orjson

from seaway_bus.bus import Bus
from seaway_contracts.archives import Committed
from seaway_contracts.base import Empty
from seaway_contracts.catalogue import NODE_BLOB_ENDPOINT
from seaway_contracts.errors import Code, SeawayError, not_found, unavailable
from seaway_contracts.images import BlobEndpoint
from seaway_kit import tls

_CHUNK: Final = 1 << 20
_PATIENCE_S: Final = 5.0
_PACE_S: Final = 0.05
_CODES: Final = {400: Code.BAD_REQUEST, 401: Code.UNAVAILABLE, 404: Code.NOT_FOUND, 413: Code.TOO_LARGE}


class BlobClient:
    """One connection pool to the image service. It asks for the endpoint anew after a failure."""

    def __init__(self, bus: Bus, node: str, ca: Path | None = None) -> None:
        """`ca`: the certificate of the authority that signed the image service's; None where that has none."""
        self._bus = bus
        self._node = node
        self._ca = ca
        self._endpoint: BlobEndpoint | None = None
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()

    async def fetch(self, digest: str, size: int) -> AsyncIterator[bytes]:
        """The bytes of a blob, unverified. If the image service restarts meanwhile, the next one sends the rest.

        Raises SeawayError.
        """
        had, patience = 0, _Patience()
        while True:
            try:
                async for chunk in self._rest(digest, had):
                    had += len(chunk)
                    patience = _Patience()
                    yield chunk
                return
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                self._endpoint = None
                if had >= size:
                    return
                if patience.over:
                    raise unavailable(f"blob {digest} can't be fetched from the image service: {error}") from error
            await patience.rest()

    async def _rest(self, digest: str, had: int) -> AsyncIterator[bytes]:
        endpoint = await self._locate()
        headers = {"Authorization": f"Bearer {endpoint.token}"}
        if had:
            headers["Range"] = f"bytes={had}-"
        async with self._connected().get(f"{endpoint.url}/v2/seaway/blobs/{digest}", headers=headers) as response:
            if response.status == 404:
                raise not_found(f"the image service has no blob {digest} any more; pull the image again")
            if response.status == 401:  # the token has expired
                raise aiohttp.ClientConnectionError("the image service wants a new token")
            if response.status != (206 if had else 200):
                self._endpoint = None
                raise unavailable(f"the image service answered {response.status} for blob {digest}")
            async for chunk in response.content.iter_chunked(_CHUNK):
                yield chunk

    async def commit(self, upload: BlobEndpoint, layer: AsyncIterator[bytes]) -> Committed:
        """Have the granted image made of a layer's tar. Raises SeawayError with the image service's message.

        An image service that was restarted doesn't know the grant any more.
        """
        headers = {"Authorization": f"Bearer {upload.token}", "Content-Type": "application/octet-stream"}
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=5)
        url = f"{upload.url}/commit"
        try:
            async with self._connected().post(url, data=layer, headers=headers, timeout=timeout) as response:
                data = await response.read()
                if response.status != 200:
                    raise _refusal(response.status, data)
                return Committed.model_validate_json(data)
        except (aiohttp.ClientError, TimeoutError) as error:
            raise unavailable(f"the layer can't be sent to the image service: {error}") from error

    def _connected(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(ssl=tls.trusting(self._ca) if self._ca else True),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=5, sock_read=60),
            )
        return self._session

    async def _locate(self) -> BlobEndpoint:
        if self._endpoint is None:
            self._endpoint = await self._bus.call(NODE_BLOB_ENDPOINT, Empty(), node=self._node)
        return self._endpoint


class _Patience:
    """Retries while the image service restarts, mostly within a second and at another port."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._until = self._loop.time() + _PATIENCE_S

    @property
    def over(self) -> bool:
        return self._loop.time() >= self._until

    async def rest(self) -> None:
        await asyncio.sleep(_PACE_S)


def _refusal(status: int, body: bytes) -> SeawayError:
    try:
        text = str(orjson.loads(body)["message"])
    except (orjson.JSONDecodeError, KeyError, TypeError):
        text = f"the image service answered {status}"
    return SeawayError(_CODES.get(status, Code.INTERNAL), text)
