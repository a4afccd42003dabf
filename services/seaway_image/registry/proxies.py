"""Which proxy a request takes, from the environment. Pure.

The rules are Go's (`golang.org/x/net/http/httpproxy`), as dockerd has them: HTTP_PROXY, HTTPS_PROXY and NO_PROXY, each
also in lower case; NO_PROXY lists domains, addresses and CIDRs, with a port or without, or `*`; never to the loopback.
"""

import base64
import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import SplitResult, unquote, urlsplit

from seaway_contracts.errors import Code, SeawayError
from seaway_kit.addresses import is_loopback, join_address

_PORTS: Final = {"https": 443, "http": 80}
_KNOWN: Final = ("http", "https", "socks5")
_MASK: Final = "xxxxx:xxxxx"
IpNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True)
class Proxy:
    """A proxy: its URL without credentials, and those that it gets (empty: none)."""

    url: str
    username: str = ""
    password: str = field(default="", repr=False)

    @property
    def host(self) -> str:
        """Its host name or address."""
        return urlsplit(self.url).hostname or ""

    @property
    def headers(self) -> dict[str, str]:
        """What it is told of who asks."""
        if not self.username:
            return {}
        login = base64.b64encode(f"{self.username}:{self.password}".encode()).decode()
        return {"Proxy-Authorization": f"Basic {login}"}


@dataclass(frozen=True)
class _Rule:
    """One entry of NO_PROXY: a network, or a domain with a leading dot. `port` empty: all; `itself`: the domain too."""

    network: IpNetwork | None = None
    domain: str = ""
    port: str = ""
    itself: bool = True

    def covers(self, host: str, port: str) -> bool:
        """Whether requests to `host` go without a proxy."""
        if self.port not in ("", port):
            return False
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            return bool(self.domain) and (host.endswith(self.domain) or (self.itself and host == self.domain[1:]))
        return self.network is not None and _plain(address) in self.network


@dataclass(frozen=True)
class ProxySettings:
    """The three variables, as they were given. They may hold credentials: `masked` is for showing."""

    http: str = field(default="", repr=False)
    https: str = field(default="", repr=False)
    no_proxy: str = ""

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> "ProxySettings":
        """Those of an environment; the first name that isn't empty counts."""
        return cls(*(_first(environment, name) for name in ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")))

    def masked(self) -> "ProxySettings":
        """The same without user names and passwords."""
        return ProxySettings(mask_credentials(self.http), mask_credentials(self.https), self.no_proxy)

    def proxy_for(self, url: str) -> Proxy | None:
        """The proxy for a request to `url`. Raises SeawayError(UNAVAILABLE) for one that can't be used."""
        parts = urlsplit(url)
        given = self.https if parts.scheme == "https" else self.http if parts.scheme == "http" else ""
        host = (parts.hostname or "").lower()
        if not given or is_loopback(host):
            return None
        port = str(parts.port or _PORTS[parts.scheme])
        if self.no_proxy and any(rule is None or rule.covers(host, port) for rule in _rules(self.no_proxy)):
            return None
        return _proxy(given)


def mask_credentials(url: str) -> str:
    """A proxy's URL as `docker info` shows it."""
    head, at, rest = url.rpartition("@")
    if not at:
        return url
    scheme, slashes, _ = head.partition("://")
    return f"{scheme}{slashes}{_MASK}@{rest}" if slashes else f"{_MASK}@{rest}"


def _first(environment: Mapping[str, str], name: str) -> str:
    return environment.get(name, "") or environment.get(name.lower(), "")


def _proxy(text: str) -> Proxy:
    try:
        parts = _split(text)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise _unusable(text, "it is no URL") from None
    if parts.scheme not in _PORTS:
        raise _unusable(text, "only http and https proxies can be used")
    if not host:
        raise _unusable(text, "it names no host")
    url = f"{parts.scheme}://{join_address(host, port or _PORTS[parts.scheme])}"
    return Proxy(url, unquote(parts.username or ""), unquote(parts.password or ""))


def _split(text: str) -> SplitResult:
    """As Go does: what has no scheme that is known is an HTTP proxy."""
    parts = urlsplit(text)
    return parts if parts.scheme in _KNOWN else urlsplit(f"http://{text}")


def _unusable(text: str, why: str) -> SeawayError:
    return SeawayError(Code.UNAVAILABLE, f"the proxy {mask_credentials(text)!r} of the environment is unusable: {why}")


def _rules(text: str) -> list[_Rule | None]:
    """The entries of NO_PROXY; None stands for `*`, which is everything."""
    entries = [one.strip().lower() for one in text.split(",")]
    return [None] if "*" in entries else [rule for one in entries if (rule := _rule(one)) is not None]


def _rule(entry: str) -> _Rule | None:
    if "/" in entry and (network := _network(entry)) is not None:
        return _Rule(network)
    host, port = _host_and_port(entry)
    if not host:
        return None
    if (network := _network(host)) is not None:
        return _Rule(network, port=port)
    host = host.removeprefix("*") if host.startswith("*.") else host
    itself = not host.startswith(".")
    return _Rule(domain=f".{host}" if itself else host, port=port, itself=itself)


def _host_and_port(entry: str) -> tuple[str, str]:
    host, colon, port = entry.rpartition(":")
    if colon and host.startswith("[") and host.endswith("]"):
        return host[1:-1], port
    if colon and ":" not in host:
        return host, port
    return entry.removeprefix("[").removesuffix("]"), ""


def _network(text: str) -> IpNetwork | None:
    try:
        found = ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None
    mapped = found.network_address.ipv4_mapped if isinstance(found, ipaddress.IPv6Network) else None
    if mapped is None:
        return found
    return ipaddress.ip_network(f"{mapped}/{max(0, found.prefixlen - 96)}", strict=False)


def _plain(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address
