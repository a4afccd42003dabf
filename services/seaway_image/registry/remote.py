"""What a registry says of an image and of a repository's tags, read from its answers. Pure."""

import re
from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

from seaway_contracts.errors import Code, SeawayError
from seaway_contracts.images import RemotePlatform
from seaway_docker.references import Reference
from seaway_image.oci.documents import MAX_CONFIG, parse_document
from seaway_image.registry.refusals import Refusal

MAX_TAGS: Final = 10_000
MAX_TAG_PAGE: Final = 4 << 20
_TAG: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_NEXT: Final = re.compile(r'<([^>]{1,4096})>\s*;\s*rel="?next"?', re.IGNORECASE)
_MOST_PLATFORMS: Final = 1000
_CODES: Final = {401: Code.UNAUTHORIZED, 403: Code.FORBIDDEN, 404: Code.NOT_FOUND}


def read_tags(data: bytes, repository: Reference) -> list[Reference]:
    """The tags on one page of a list (distribution spec 1.1, listing tags); raises SeawayError for what is none."""
    tags: Any = parse_document(data, "list of tags", limit=MAX_TAG_PAGE).get("tags") or []
    if not isinstance(tags, list) or not all(isinstance(tag, str) and _TAG.fullmatch(tag) for tag in tags):
        raise SeawayError(Code.INTERNAL, f"registry: the list of tags of {repository.familiar_name} holds what is none")
    return [Reference(repository.domain, repository.path, tag) for tag in tags]


def next_page(links: Sequence[str]) -> str:
    """The query for the page after, from the `Link` headers (RFC 5988); empty on the last page."""
    for link in links:
        if found := _NEXT.search(link):
            query = dict(parse_qsl(urlsplit(found[1]).query))
            return query.get("last", "")
    return ""


def platforms_in_index(document: dict[str, Any]) -> tuple[RemotePlatform, ...]:
    """The platforms that an index offers, as it writes them."""
    entries = document.get("manifests")
    given = [entry.get("platform") for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []
    return tuple(_platform(one) for one in given[:_MOST_PLATFORMS] if isinstance(one, dict))


def platform_in_config(data: bytes) -> tuple[RemotePlatform, ...]:
    """The platform that an image's config names; none if it names none."""
    found = _platform(parse_document(data, "image config", limit=MAX_CONFIG))
    return (found,) if found.os or found.architecture else ()


def _platform(document: dict[str, Any]) -> RemotePlatform:
    texts = {name: _text(document.get(name)) for name in ("os", "architecture", "variant", "os.version")}
    features = document.get("os.features")
    return RemotePlatform(
        os=texts["os"],
        architecture=texts["architecture"],
        variant=texts["variant"],
        os_version=texts["os.version"],
        os_features=tuple(_text(one) for one in features[:100]) if isinstance(features, list) else (),
    )


def _text(value: Any) -> str:
    return value[:256] if isinstance(value, str) else ""


def inspection_error(refusal: Refusal) -> SeawayError:
    """A registry's refusal to describe an image: Docker gives the registry's own status."""
    code = _CODES.get(refusal.status, Code.INTERNAL)
    if refusal.status == 404 and not refusal.code:
        return SeawayError(code, "manifest unknown: manifest unknown")
    return SeawayError(code, refusal.words if refusal.bare else str(refusal))
