"""HTTP to registries: connections, certificates, redirects and proxies, and the words for what fails there."""

import asyncio
import errno
import os
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit
from urllib.request import getproxies_environment, proxy_bypass

import aiohttp
from aiohttp.abc import ResolveResult
from aiohttp.resolver import ThreadedResolver
from yarl import URL

from seaway_contracts.errors import Code, SeawayError
from seaway_image.registry.endpoints import Endpoint, follow, is_forbidden_address, may_carry_credentials, origin
from seaway_kit.addresses import is_loopback

MAX_REDIRECTS: Final = 5
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_SECRETS: Final = ("Authorization",)
Response = aiohttp.ClientResponse
Body = Callable[[], AsyncIterator[bytes]]
"""Gives a request's body, from its beginning, each time that the request is sent."""


class Unreachable(SeawayError):
    """The registry did not answer; another attempt, or another endpoint, may help."""

    def __init__(self, message: str) -> None:
        super().__init__(Code.UNAVAILABLE, message)


class Broken(Unreachable):
    """The connection failed on the way; the same request may go on where it stopped."""


class _Resolver(ThreadedResolver):
    """Refuses link-local addresses, and this machine's for hosts that a registry named and not the user."""

    def __init__(self) -> None:
        super().__init__()
        self.named: set[str] = set()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await super().resolve(host, port, family)
        local = is_loopback(host) or host in self.named
        allowed = [
            one for one in found if not is_forbidden_address(one["host"]) and (local or not is_loopback(one["host"]))
        ]
        if not allowed:
            raise OSError(errno.EACCES, f"{host} resolves only to addresses where no registry may be")
        return allowed


@dataclass(frozen=True)
class Timeouts:
    """Bounds in seconds: `connect` for TCP and TLS, `silence` between two reads."""

    connect: float = 15.0
    silence: float = 60.0


class HttpTransport:
    """Requests to registries. `certificates` is laid out as Docker's `certs.d`: `<host[:port]>/*.crt`."""

    def __init__(self, *, certificates: Path | None = None, timeouts: Timeouts | None = None) -> None:
        self._certificates = certificates
        self._timeouts = timeouts or Timeouts()
        self._session: aiohttp.ClientSession | None = None
        self._foreign: aiohttp.ClientSession | None = None
        self._resolver = _Resolver()

    async def open(self) -> None:
        """Make the connection pools: one for hosts that users name, one for those that only registries name."""
        self._resolver = _Resolver()
        self._session, self._foreign = self._pool(self._resolver), self._pool(_Resolver())

    def _pool(self, resolver: _Resolver) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(resolver=resolver, limit=128, limit_per_host=16),
            timeout=self._limits(self._timeouts.silence),
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": "seaway/0.1", "Accept-Encoding": "identity"},
        )

    def _limits(self, silence: float) -> aiohttp.ClientTimeout:
        return aiohttp.ClientTimeout(total=None, sock_connect=self._timeouts.connect, sock_read=silence)

    async def close(self) -> None:
        """Close all connections."""
        for session in (self._session, self._foreign):
            if session is not None:
                await session.close()
        self._session = self._foreign = None

    @asynccontextmanager
    async def request(
        self,
        endpoint: Endpoint,
        method: str,
        url: str,
        headers: dict[str, str],
        *,
        form: dict[str, str] | None = None,
        body: Body | None = None,
        patience: float | None = None,
    ) -> AsyncIterator[Response]:
        """The final response, redirects followed as `check_hop` allows; Authorization stays with its own host.

        `patience`: how long the registry may be silent, in seconds, where that is not the usual time.

        Raises Unreachable, Broken if the connection fails on the way (also while the caller reads), and
        SeawayError(FORBIDDEN) for a redirect that isn't followed.
        """
        start = url
        self._resolver.named.add(urlsplit(endpoint.url).hostname or "")
        for _ in range(MAX_REDIRECTS + 1):
            response = await self._send(endpoint, method, url, headers, form if form is not None else body, patience)
            try:
                location = response.headers.get("Location", "")
                if response.status not in _REDIRECTS or not location:
                    yield response
                    return
            except (aiohttp.ClientError, ConnectionError, TimeoutError) as error:
                raise Broken(f'{method.capitalize()} "{url}": {describe(error, url)}') from error
            finally:
                response.release()
            target = follow(endpoint, url, location, "redirect")
            if origin(target) != origin(url) or form is not None:
                headers = {key: text for key, text in headers.items() if key not in _SECRETS}
                method, form = ("GET", None) if form is not None else (method, form)
            url = target
        raise Unreachable(f'Get "{start}": stopped after {MAX_REDIRECTS} redirects')

    async def _send(
        self,
        endpoint: Endpoint,
        method: str,
        url: str,
        headers: dict[str, str],
        data: dict[str, str] | Body | None,
        patience: float | None,
    ) -> Response:
        own = urlsplit(url).hostname == urlsplit(endpoint.url).hostname
        session = self._session if own else self._foreign
        if session is None:
            raise RuntimeError("the HTTP transport is not open")
        is_secret = isinstance(data, dict) or any(key in headers for key in _SECRETS)
        if is_secret and not may_carry_credentials(url):
            text = f"refusing to send credentials to {url} over plain HTTP: give the registry a certificate"
            raise SeawayError(Code.FORBIDDEN, text)
        content = data() if callable(data) else data
        options: dict[str, Any] = {"proxy": _proxy(url), "data": content, "ssl": await self._tls(endpoint, url)}
        if patience is not None:
            options["timeout"] = self._limits(patience)
        try:
            return await session.request(
                method, URL(url, encoded=True), headers=headers, allow_redirects=False, **options
            )
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            if isinstance(error, aiohttp.ClientConnectorError):
                shown = f"{endpoint.url}/v2/" if url.startswith(endpoint.url) else url
                raise Unreachable(f'Get "{shown}": {describe(error, url)}') from error
            raise Broken(f'{method.capitalize()} "{url}": {describe(error, url)}') from error

    async def _tls(self, endpoint: Endpoint, url: str) -> ssl.SSLContext | bool:
        if not endpoint.verify:
            return False
        if self._certificates is None:
            return True
        return await asyncio.to_thread(_context, self._certificates / urlsplit(url).netloc)


def _context(directory: Path) -> ssl.SSLContext | bool:
    files = sorted(directory.glob("*.crt")) if directory.is_dir() else []
    return _trusting(tuple((file, file.stat().st_mtime_ns) for file in files)) if files else True


@lru_cache(maxsize=64)
def _trusting(files: tuple[tuple[Path, int], ...]) -> ssl.SSLContext:
    """The same for the same files, as connections are shared only below one context."""
    context = ssl.create_default_context()
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT  # CAs made by hand seldom state their key usage; Docker takes them
    for file, _ in files:
        context.load_verify_locations(file)
    return context


def _proxy(url: str) -> str | None:
    parts = urlsplit(url)
    host = parts.hostname or ""
    if is_loopback(host) or proxy_bypass(parts.netloc):
        return None
    return getproxies_environment().get(parts.scheme)


def describe(error: BaseException, url: str) -> str:
    """Why a request failed, in the words of Docker's HTTP client where it has some."""
    parts = urlsplit(url)
    address = f"{parts.hostname}:{parts.port or (443 if parts.scheme == 'https' else 80)}"
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return f"tls: failed to verify certificate: x509: {error.certificate_error}"
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return f"dial tcp: lookup {parts.hostname}: {_strerror(error.os_error) or 'no such host'}"
    if isinstance(error, aiohttp.ClientConnectorSSLError):
        return f"tls: handshake with {address} failed: {error.os_error}"
    if isinstance(error, aiohttp.ServerTimeoutError | TimeoutError):
        return f"dial tcp {address}: i/o timeout"
    if isinstance(error, aiohttp.ClientOSError | OSError):
        code = error.errno or 0
        what = {errno.ECONNREFUSED: "connect: ", errno.EHOSTUNREACH: "connect: ", errno.ENETUNREACH: "connect: "}
        return f"dial tcp {address}: {what.get(code, '')}{_strerror(error).lower() or error}"
    return f"{error or type(error).__name__}"


def _strerror(error: OSError) -> str:
    if isinstance(error, socket.gaierror):
        return "no such host" if error.errno in (socket.EAI_NONAME, socket.EAI_NODATA) else str(error.strerror)
    return os.strerror(error.errno) if error.errno and error.errno > 0 else ""
