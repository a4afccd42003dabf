"""`docker search`: the v1 search of Docker Hub and of registries that have one (moby 26.1 registry/search.go)."""

from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode

from seaway_contracts.errors import Code, SeawayError, bad_request, internal
from seaway_contracts.images import FoundRepositories, FoundRepository
from seaway_docker.references import DEFAULT_DOMAIN
from seaway_image.oci.documents import parse_document
from seaway_image.registry.credentials import Credentials
from seaway_image.registry.endpoints import Endpoint, RegistrySettings, endpoints_for, may_carry_credentials
from seaway_image.registry.transport import HttpTransport, Unreachable

_INDEX: Final = Endpoint("https://index.docker.io")
_HUB_NAMES: Final = frozenset({"docker.io", "index.docker.io"})
_OFFICIAL: Final = "library/"
_MAX_ANSWER: Final = 4 << 20
_MOST: Final = 100


@dataclass(frozen=True)
class SearchTerm:
    """What to look for, in which registry."""

    domain: str
    text: str


def parse_term(term: str) -> SearchTerm:
    """Split a registry's host from the term; raises SeawayError(BAD_REQUEST)."""
    if "://" in term:
        why = f"repository name ({term[:200]}) should not have a scheme"
        raise bad_request(f"invalid repository name: {why}")
    head, slash, rest = term.partition("/")
    if not slash or not (any(sign in head for sign in ".:") or head == "localhost"):
        return SearchTerm(DEFAULT_DOMAIN, term.removeprefix(_OFFICIAL))
    if head in _HUB_NAMES:
        return SearchTerm(DEFAULT_DOMAIN, rest.removeprefix(_OFFICIAL))
    if head.startswith("-") or head.endswith("-"):
        raise bad_request(f"invalid index name ({head[:200]}). Cannot begin or end with a hyphen")
    if any(sign in head for sign in "@?#\\") or not head.isprintable() or " " in head:
        raise bad_request(f"invalid index name ({head[:200]}): it is no host")
    return SearchTerm(head, rest)


def read_results(data: bytes) -> FoundRepositories:
    """The results in a registry's answer. Nothing is automated any longer, as in Docker."""
    results: Any = parse_document(data, "search result", limit=_MAX_ANSWER).get("results") or []
    if not isinstance(results, list) or not all(isinstance(one, dict) for one in results):
        raise internal("registry: the search result is no list")
    return FoundRepositories(results=tuple(_result(one) for one in results[:_MOST]))


def _result(found: dict[str, Any]) -> FoundRepository:
    stars = found.get("star_count")
    return FoundRepository(
        name=_text(found.get("name")),
        description=_text(found.get("description")),
        star_count=stars if type(stars) is int and 0 <= stars < 1 << 53 else 0,
        is_official=found.get("is_official") is True,
    )


def _text(value: Any) -> str:
    return value[:4096] if isinstance(value, str) else ""


async def search(
    transport: HttpTransport, settings: RegistrySettings, term: SearchTerm, limit: int, credentials: Credentials
) -> FoundRepositories:
    """Ask the registry; raises SeawayError in Docker's words."""
    endpoint = await _endpoint(transport, settings, term.domain)
    url = f"{endpoint.url}/v1/search?{urlencode({'q': term.text, 'n': limit})}"
    headers = {"X-Docker-Token": "true"}
    if credentials.basic and may_carry_credentials(url):
        headers["Authorization"] = credentials.basic
    try:
        async with transport.request(endpoint, "GET", url, headers) as response:
            if response.status != 200:
                raise internal(f"Unexpected status code {response.status}")
            data = bytearray()
            async for piece in response.content.iter_chunked(1 << 16):
                data += piece
                if len(data) > _MAX_ANSWER:
                    raise SeawayError(Code.TOO_LARGE, f"registry sent more than {_MAX_ANSWER} bytes of search results")
    except Unreachable as error:
        raise internal(f'Get "{url}": {error.message.partition(": ")[2]}') from error
    return read_results(bytes(data))


async def _endpoint(transport: HttpTransport, settings: RegistrySettings, domain: str) -> Endpoint:
    """The endpoint that answers at all."""
    if domain == DEFAULT_DOMAIN:
        return _INDEX
    failures: list[str] = []
    endpoints = endpoints_for(domain, settings)
    for endpoint in endpoints:
        ping = f"{endpoint.url}/v1/_ping"
        try:
            async with transport.request(endpoint, "GET", ping, {}):
                return endpoint
        except Unreachable as error:
            failures.append(f'Get "{ping}": {error.message.partition(": ")[2]}')
    raise bad_request(_unusable(endpoints[-1], domain, failures))


def _unusable(endpoint: Endpoint, domain: str, failures: list[str]) -> str:
    if len(failures) > 1:
        tried = f"HTTPS attempt: {failures[0]}. HTTP attempt: {failures[1]}"
        return f'invalid registry endpoint "{endpoint.url}/v1/". {tried}'
    return (
        f"invalid registry endpoint {endpoint.url}/v1/: {failures[0]}. If this private registry supports only HTTP or "
        f"HTTPS with an unknown CA certificate, add `--insecure-registry {domain}`; if you have the CA's certificate, "
        f"place it at /etc/docker/certs.d/{domain}/ca.crt instead"
    )
