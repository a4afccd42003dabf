"""Between Docker's JSON and what registries say: credentials, searches, images there. Pure."""

from dataclasses import dataclass
from typing import Any, Final

from seaway_api.translate.registry_auth import parse_registry_auth
from seaway_contracts.images import FoundRepositories, FoundRepository, RegistryAuth, RemoteImage, RemotePlatform
from seaway_docker.errors import InvalidParameter
from seaway_docker.filters import parse_filters
from seaway_docker.numbers import parse_int

_KEYS: Final = frozenset({"is-automated", "is-official", "stars"})
_DEFAULT_LIMIT: Final = 25
_MOST: Final = 100


def lenient_auth(header: str) -> RegistryAuth | None:
    """Credentials in the header; as in Docker, one that can't be read is none."""
    try:
        return parse_registry_auth(header)
    except InvalidParameter:
        return None


def read_limit(text: str) -> int:
    """How many results to ask for; raises InvalidParameter in Docker's words."""
    try:
        limit = parse_int(text) if text else 0
    except InvalidParameter as error:
        raise InvalidParameter(f"invalid limit specified: {error}") from None
    limit = limit or _DEFAULT_LIMIT
    if not 1 <= limit <= _MOST:
        raise InvalidParameter(f"limit {limit} is outside the range of [1, {_MOST}]")
    return limit


@dataclass(frozen=True)
class SearchFilters:
    """Which results are wanted. `nothing`: none can be, as no repository is automated any longer."""

    stars: int = 0
    official: bool | None = None
    nothing: bool = False

    def takes(self, found: FoundRepository) -> bool:
        """Whether a result is wanted."""
        return found.star_count >= self.stars and self.official in (None, found.is_official)


def read_search_filters(text: str) -> SearchFilters:
    """The filters of a search; raises InvalidParameter in Docker's words."""
    filters = parse_filters(text, _KEYS)
    official = filters.boolean("is-official", False) if "is-official" in filters else None
    return SearchFilters(
        stars=max((_stars(one) for one in filters.get("stars")), default=0),
        official=official,
        nothing=filters.boolean("is-automated", False),
    )


def _stars(text: str) -> int:
    try:
        return parse_int(text)
    except InvalidParameter as error:
        raise InvalidParameter(f"invalid filter 'stars={text}': {error}") from None


def search_json(found: FoundRepositories, wanted: SearchFilters) -> list[dict[str, Any]]:
    """GET /images/search"""
    return [
        {
            "star_count": one.star_count,
            "is_official": one.is_official,
            "name": one.name,
            "is_automated": one.is_automated,
            "description": one.description,
        }
        for one in found.results
        if wanted.takes(one)
    ]


def remote_image_json(image: RemoteImage) -> dict[str, Any]:
    """GET /distribution/{name}/json"""
    descriptor = {"mediaType": image.media_type, "digest": image.digest, "size": image.size}
    return {"Descriptor": descriptor, "Platforms": [_platform(one) for one in image.platforms] or None}


def _platform(platform: RemotePlatform) -> dict[str, Any]:
    shown: dict[str, Any] = {"architecture": platform.architecture, "os": platform.os}
    shown |= {"os.version": platform.os_version} if platform.os_version else {}
    shown |= {"os.features": list(platform.os_features)} if platform.os_features else {}
    return shown | ({"variant": platform.variant} if platform.variant else {})
