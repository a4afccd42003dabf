"""HTTP to registries: connections, certificates, redirects and proxies."""

import asyncio
import errno
import os
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp
from aiohttp.abc import ResolveResult
from aiohttp.resolver import ThreadedResolver
from yarl import URL

from seaway_contracts.errors import Code, SeawayError
from seaway_image.registry.certificates import host_context
from seaway_image.registry.endpoints import (
    Endpoint,
    RegistrySettings,
    follow,
    is_forbidden_address,
    is_insecure,
    is_same_host,
    may_carry_credentials,
    origin,
)
from seaway_image.registry.network_errors import describe, is_final
from seaway_image.registry.proxies import ProxySettings
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


class _Pool:
    """Connections, none of which another pool shares. `named`: hosts that may be on this machine."""

    def __init__(self, timeouts: Timeouts, named: set[str]) -> None:
        self._resolver = _Resolver()
        self._resolver.named = named
        self.session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(resolver=self._resolver, limit=128, limit_per_host=16),
            timeout=_limits(timeouts, timeouts.silence),
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": "seaway/0.1", "Accept-Encoding": "identity"},
        )


def _limits(timeouts: Timeouts, silence: float) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(total=None, sock_connect=timeouts.connect, sock_read=silence)


class HttpTransport:
    """Requests to registries. `certificates` is laid out as Docker's `certs.d`: `certificates.py`.

    There are two pools of connections: one for the registries that users name, one for the hosts that registries name
    (redirects, token realms). The second presents no client certificates, and reaches nothing on this machine.
    """

    def __init__(
        self,
        *,
        certificates: Path | None = None,
        timeouts: Timeouts | None = None,
        proxies: ProxySettings | None = None,
        insecure: tuple[str, ...] = (),
    ) -> None:
        """`proxies`: those of this process's environment, if none are given. `insecure`: as RegistrySettings'."""
        self._certificates = certificates
        self._settings = RegistrySettings(insecure=insecure)
        self._timeouts = timeouts or Timeouts()
        self.proxies = proxies or ProxySettings.of(os.environ)
        self._named: set[str] = set()
        self._of_users: _Pool | None = None
        self._of_registries: _Pool | None = None

    async def open(self) -> None:
        """Make the connection pools."""
        proxies = {proxy for text in (self.proxies.http, self.proxies.https) if (proxy := _host_of(text))}
        self._named = set(proxies)
        self._of_users = _Pool(self._timeouts, self._named)
        self._of_registries = _Pool(self._timeouts, proxies)

    async def close(self) -> None:
        """Close all connections."""
        pools, self._of_users, self._of_registries = (self._of_users, self._of_registries), None, None
        for pool in pools:
            if pool is not None:
                await pool.session.close()

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
        session = self._session(endpoint, url)
        is_secret = isinstance(data, dict) or any(key in headers for key in _SECRETS)
        if is_secret and not may_carry_credentials(url):
            text = f"refusing to send credentials to {url} over plain HTTP: give the registry a certificate"
            raise SeawayError(Code.FORBIDDEN, text)
        content = data() if callable(data) else data
        options: dict[str, Any] = {"data": content, "ssl": await self._tls(endpoint, url), **self._proxy(url)}
        if patience is not None:
            options["timeout"] = _limits(self._timeouts, patience)
        headers = headers | options.pop("headers", {})
        try:
            return await session.request(
                method, URL(url, encoded=True), headers=headers, allow_redirects=False, **options
            )
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            if isinstance(error, aiohttp.ClientConnectorError) or is_final(error):
                shown = f"{endpoint.url}/v2/" if url.startswith(endpoint.url) else url
                raise Unreachable(f'Get "{shown}": {describe(error, url)}') from error
            raise Broken(f'{method.capitalize()} "{url}": {describe(error, url)}') from error

    def _session(self, endpoint: Endpoint, url: str) -> aiohttp.ClientSession:
        """The pool for `url`, to which a user or the registry at `endpoint` has led."""
        if self._of_users is None or self._of_registries is None:
            raise RuntimeError("the HTTP transport is not open")
        if not is_same_host(endpoint.url, url):
            return self._of_registries.session
        self._named.add(urlsplit(endpoint.url).hostname or "")
        return self._of_users.session

    async def _tls(self, endpoint: Endpoint, url: str) -> ssl.SSLContext | bool:
        parts = urlsplit(url)
        if not endpoint.verify and (is_same_host(endpoint.url, url) or is_insecure(parts.netloc, self._settings)):
            return False
        if self._certificates is None or parts.scheme != "https":
            return True
        client = origin(url) == origin(endpoint.url)
        directory = self._certificates / parts.netloc.rpartition("@")[2]
        return await asyncio.to_thread(host_context, directory, client=client) or True

    def _proxy(self, url: str) -> dict[str, Any]:
        """How to send a request by its proxy. A tunnel's head tells who asks, not the request that goes through it."""
        proxy = self.proxies.proxy_for(url)
        if proxy is None:
            return {}
        tunnel = url.startswith("https:")
        return {"proxy": proxy.url} | ({"proxy_headers": proxy.headers} if tunnel else {"headers": proxy.headers})


def _host_of(proxy: str) -> str:
    """The host name of a proxy of the environment; empty where it is unusable, which a request will report."""
    try:
        found = ProxySettings(https=proxy).proxy_for("https://registry.invalid")
    except SeawayError:
        return ""
    return found.host if found is not None else ""
