"""Where a registry is reached, and where a request may be led from there. Pure.

A registry may have mirrors, which are asked before it and never get its credentials. Both are strangers: they may send
us to another host (redirect, token realm), so each such URL is judged here: never from the outside to this machine or
to link-local addresses, never down from HTTPS to HTTP, never with the credentials that were meant for another host, and
never with credentials over plain HTTP beyond the loopback.
"""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import SplitResult, urljoin, urlsplit

from seaway_contracts.errors import Code, SeawayError, bad_request
from seaway_docker.references import DEFAULT_DOMAIN
from seaway_kit.addresses import ip_of, is_loopback

_HUB_HOST: Final = "registry-1.docker.io"
_HUB_NAMES: Final = frozenset({DEFAULT_DOMAIN, "index.docker.io", _HUB_HOST})
_PORTS: Final = {"https": 443, "http": 80}


@dataclass(frozen=True)
class RegistrySettings:
    """What the operator configured. `mirrors`: `REGISTRY=URL`, or a URL alone, which is for Docker Hub;
    `insecure`: `host`, `host:port` or a CIDR.
    """

    mirrors: tuple[str, ...] = ()
    insecure: tuple[str, ...] = ()


@dataclass(frozen=True)
class Endpoint:
    """One base URL of a registry. `verify`: whether its certificate must be good; `trusted`: it may see credentials."""

    url: str
    verify: bool = True
    trusted: bool = True

    @property
    def local(self) -> bool:
        """Whether the endpoint is on this machine."""
        return is_loopback(urlsplit(self.url).hostname or "")


def endpoints_for(domain: str, settings: RegistrySettings) -> Sequence[Endpoint]:
    """The endpoints to try for `domain`, in order: its mirrors, then itself. Raises as `mirrors_by_registry`."""
    mirrors = [_mirror(url, settings) for url in mirrors_by_registry(settings.mirrors).get(domain, ())]
    if domain == DEFAULT_DOMAIN:
        return [*mirrors, Endpoint(f"https://{_HUB_HOST}")]
    if is_insecure(domain, settings):
        return [*mirrors, Endpoint(f"https://{domain}", verify=False), Endpoint(f"http://{domain}")]
    return [*mirrors, Endpoint(f"https://{domain}")]


def mirrors_by_registry(given: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Base URLs of the mirrors of each registry, in their order. Raises SeawayError(BAD_REQUEST) for no mirror."""
    found: dict[str, list[str]] = {}
    for text in given:
        registry, url = _of_mirror(text)
        found.setdefault(registry, []).append(url)
    return {registry: tuple(urls) for registry, urls in found.items()}


def _of_mirror(text: str) -> tuple[str, str]:
    """The registry and the mirror's base URL."""
    name, equals, url = text.partition("=")
    if not equals or "://" in name:
        name, url = DEFAULT_DOMAIN, text
    wrong = bad_request(f"registry mirror {text!r}: write URL, or REGISTRY=URL, such as quay.io=https://mirror.example")
    try:
        place, registry = urlsplit(url), urlsplit(f"//{name}")
        origin(url)
        sound = registry.netloc == name and bool(registry.hostname) and "@" not in name
    except ValueError:
        raise wrong from None
    if not sound:
        raise wrong
    if place.scheme not in _PORTS or not place.hostname or place.query or place.fragment or "@" in place.netloc:
        raise bad_request(f"registry mirror {text!r}: {url!r} is no http(s) URL without user and query")
    return DEFAULT_DOMAIN if name in _HUB_NAMES else name, url.rstrip("/")


def _mirror(url: str, settings: RegistrySettings) -> Endpoint:
    return Endpoint(url, verify=not is_insecure(urlsplit(url).netloc, settings), trusted=False)


def is_insecure(domain: str, settings: RegistrySettings) -> bool:
    """Whether plain HTTP and unverified certificates are allowed: on the loopback, and where configured."""
    host = urlsplit(f"//{domain}").hostname or ""
    return is_loopback(host) or any(_covers(rule, domain, host) for rule in settings.insecure)


def _covers(rule: str, domain: str, host: str) -> bool:
    if rule in (domain, host):
        return True
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(rule, strict=False)
    except ValueError:
        return False


def is_forbidden_address(host: str) -> bool:
    """Whether no registry may ever be there: link-local (cloud metadata), multicast, unspecified."""
    address = ip_of(host)
    return address is not None and (address.is_link_local or address.is_multicast or address.is_unspecified)


def origin(url: str) -> tuple[str, str, int]:
    """Scheme, host and port: equal for URLs to which the same credentials may go."""
    parts = urlsplit(url)
    return parts.scheme, (parts.hostname or "").lower(), parts.port or _PORTS.get(parts.scheme, 0)


def follow(endpoint: Endpoint, base: str, target: str, what: str) -> str:
    """Where `target`, which may be relative to `base`, leads; raises as `check_hop`."""
    try:
        joined = urljoin(base, target)
    except ValueError:
        raise _refused(endpoint, target, what, "it is no URL") from None
    return check_hop(endpoint, joined, what)


def is_same_host(first: str, second: str) -> bool:
    """Whether two URLs are at one host, whatever their ports."""
    one, other = (urlsplit(url).hostname or "" for url in (first, second))
    return one.lower() == other.lower()


def check_hop(endpoint: Endpoint, target: str, what: str) -> str:
    """`target`, if a registry at `endpoint` may lead us there; raises SeawayError(FORBIDDEN) with the reason."""
    try:
        parts = urlsplit(target)
        origin(target)
    except ValueError:
        raise _refused(endpoint, target, what, "it is no URL") from None
    if parts.scheme not in _PORTS or not parts.hostname:
        raise _refused(endpoint, target, what, "only http and https are followed")
    if parts.username is not None:
        raise _refused(endpoint, target, what, "it holds credentials")
    _check_place(endpoint, parts, target, what)
    return target


def _check_place(endpoint: Endpoint, parts: SplitResult, target: str, what: str) -> None:
    host = parts.hostname or ""
    if is_forbidden_address(host):
        raise _refused(endpoint, target, what, "its address is link-local or no host's")
    if is_loopback(host) and not endpoint.local:
        raise _refused(endpoint, target, what, "it points at this machine")
    secure = endpoint.url.startswith("https:") and endpoint.verify
    if parts.scheme == "http" and secure:
        raise _refused(endpoint, target, what, "it leaves HTTPS")


def _refused(endpoint: Endpoint, target: str, what: str, why: str) -> SeawayError:
    return SeawayError(Code.FORBIDDEN, f"registry {endpoint.url}: {what} to {target[:200]!r} is refused: {why}")


def may_carry_credentials(url: str) -> bool:
    """Whether credentials may go to `url`: over HTTPS, or on the loopback."""
    parts = urlsplit(url)
    return parts.scheme == "https" or is_loopback(parts.hostname or "")
