"""Image archives, which go over HTTP to and from the image service."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import aiohttp
import orjson

from seaway_api.http.errors import ApiError
from seaway_bus.bus import ACTOR, COMMAND, Bus, Command
from seaway_contracts import catalogue as cat
from seaway_contracts.base import Empty
from seaway_contracts.errors import unavailable
from seaway_kit import tls

_TIMEOUT: Final = aiohttp.ClientTimeout(total=None, sock_connect=5)
Query = Sequence[tuple[str, str]] | Mapping[str, str]


class ArchiveClient:
    """Sends archives to the image service and fetches them from it."""

    def __init__(self, bus: Bus, ca: Path | None = None) -> None:
        """`ca`: who has signed the image service's certificate, where it has one."""
        self._bus = bus
        self._ca = ca
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Let go of all connections."""
        if self._session is not None:
            await self._session.close()

    @asynccontextmanager
    async def open(
        self,
        method: str,
        path: str,
        query: Query = (),
        body: aiohttp.StreamReader | None = None,
        command: Command | None = None,
    ) -> AsyncIterator[aiohttp.StreamReader]:
        """The bytes of the answer; `body` is sent as it comes in, `command` is told to the image service.

        Raises ApiError with the service's own status and sentence, SeawayError(UNAVAILABLE) if it can't be reached.
        """
        endpoint = await self._bus.call(cat.BLOB_ENDPOINT, Empty())
        headers = {"Authorization": f"Bearer {endpoint.token}"}
        if body is not None:
            headers["Content-Type"] = "application/x-tar"
        if command is not None:
            headers |= {COMMAND: command.id, ACTOR: command.actor}
        data = None if body is None else body.iter_any()
        url = endpoint.url.rstrip("/") + path
        try:
            async with self._client().request(method, url, params=query, data=data, headers=headers) as response:
                if response.status >= 400:
                    raise ApiError(response.status, _message(await response.content.read(65_536)))
                yield response.content
        except aiohttp.ClientError as error:
            raise unavailable(f"the image service can't be reached at {endpoint.url}: {error}; try again") from error

    def _client(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = aiohttp.TCPConnector(ssl=tls.trusting(self._ca) if self._ca else True)
            self._session = aiohttp.ClientSession(connector=connector, timeout=_TIMEOUT, trust_env=False)
        return self._session


def _message(body: bytes) -> str:
    """The sentence of an error: Docker's JSON, or plain text."""
    try:
        fields = orjson.loads(body)
        return str(fields["message"])
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return body.decode("utf-8", "replace").strip() or "the image service refused without a reason"
