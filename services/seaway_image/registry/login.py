"""`docker login`: whether a registry takes these credentials (moby 26.1 `registry/auth.go`, loginV2)."""

import json
import re
from typing import Final
from urllib.parse import urlsplit

from seaway_bus.bus import Bus, Command
from seaway_contracts import catalogue
from seaway_contracts.base import Empty
from seaway_contracts.errors import Code, SeawayError, bad_request, internal
from seaway_contracts.images import LoggedIn, Registries, RegistryLogin
from seaway_docker.references import DEFAULT_DOMAIN, Reference
from seaway_image.registry.credentials import Credentials, credentials_from
from seaway_image.registry.endpoints import RegistrySettings, endpoints_for, mirrors_by_registry
from seaway_image.registry.refusals import Refusal, Unauthorized
from seaway_image.registry.session import RegistrySession
from seaway_image.registry.transport import HttpTransport, Unreachable

_PORT: Final = re.compile(r"(?<=\])[^\]]+$|:[^:\]]*$")
_ESCAPE: Final = re.compile(r"%(?:..?|$)")
"""A host has none, but for the zone of an IPv6 address, which no registry needs."""
_NOT_IN_HOST: Final = re.compile(r"[ \\^`{|}\x00-\x1f\x7f]")
_SHOWN: Final = 200
_HUB: Final = frozenset({"", "docker.io", "index.docker.io", "registry-1.docker.io"})


def registry_domain(address: str) -> str:
    """The registry that a client's `serveraddress` names, as a host or a URL. Raises SeawayError (400)."""
    if wrong := _wrong_url(address if "://" in address else f"https://{address}"):
        raise bad_request(f"unable to parse server address: {wrong}")
    try:
        parts = urlsplit(address if "://" in address else f"//{address}")
        host, name = parts.netloc, parts.hostname
    except ValueError:
        host, name = "", None
    if host in _HUB and (name or not address):
        return DEFAULT_DOMAIN
    if not name or "@" in host:
        raise bad_request(f"invalid registry address {address[:200]!r}")
    return host


def _wrong_url(url: str) -> str:
    """What Go's parser of URLs says is wrong with the host; empty where nothing is."""
    place = re.split(r"[/?#]", url.partition("://")[2], maxsplit=1)[0].rpartition("@")[2]
    reason = ""
    if place.startswith("[") and "]" not in place:
        reason = "missing ']' in host"
    elif (port := _PORT.search(place)) and not re.fullmatch(":[0-9]*", port[0]):
        reason = f"invalid port {_quoted(port[0])} after host"
    elif escape := _ESCAPE.search(place):
        reason = f"invalid URL escape {_quoted(escape[0])}"
    elif character := _NOT_IN_HOST.search(place):
        reason = f"invalid character {_quoted(character[0])} in host name"
    return f"parse {_quoted(url[:_SHOWN])}: {reason}" if reason else ""


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


class RegistryCalls:
    """The calls about registries as such."""

    def __init__(self, transport: HttpTransport, settings: RegistrySettings) -> None:
        self._transport = transport
        self._settings = settings
        self._mirrors = mirrors_by_registry(settings.mirrors)

    async def serve(self, bus: Bus) -> None:
        """Answer on the bus from now on."""
        await bus.serve(catalogue.LOGIN, self._login)
        await bus.serve(catalogue.REGISTRIES, self._registries)

    async def _login(self, request: RegistryLogin, _: Command) -> LoggedIn:
        auth = request.auth
        identity = await login(self._transport, self._settings, auth.server_address, credentials_from(auth))
        return LoggedIn(identity_token=identity)

    async def _registries(self, _: Empty, __: Command) -> Registries:
        proxies, mirrors = self._transport.proxies.masked(), dict(self._mirrors)
        return Registries(
            mirrors=mirrors.pop(DEFAULT_DOMAIN, ()),
            insecure=self._settings.insecure,
            mirrors_of_others=mirrors,
            http_proxy=proxies.http,
            https_proxy=proxies.https,
            no_proxy=proxies.no_proxy,
        )


async def login(transport: HttpTransport, settings: RegistrySettings, address: str, credentials: Credentials) -> str:
    """The identity token that the registry's token server gives, empty where it gives none.

    Raises SeawayError: UNAUTHORIZED where the registry refuses the credentials, INTERNAL where it can't be asked.
    """
    domain = registry_domain(address)
    session = RegistrySession(transport, Reference(domain, ""), settings, credentials, offline=True)
    failure = internal(f"no endpoint of {domain} takes credentials")
    for endpoint in endpoints_for(domain, settings):
        if not endpoint.trusted:
            continue
        try:
            await session.enter(endpoint)
            return session.identity_token
        except Unauthorized as error:
            raise SeawayError(Code.UNAUTHORIZED, error.message) from error
        except Refusal as refusal:
            code = Code.UNAUTHORIZED if refusal.status == 401 else Code.INTERNAL
            raise SeawayError(code, f'Get "{endpoint.url}/v2/": {refusal}') from refusal
        except Unreachable as error:
            failure = internal(error.message)
    raise failure
