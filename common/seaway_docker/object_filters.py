"""Which images, networks and volumes the list endpoints show (moby daemon, by behaviour)."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from seaway_docker.errors import InvalidParameter
from seaway_docker.filters import Filters
from seaway_docker.glob import path_match
from seaway_docker.networks import PREDEFINED
from seaway_docker.references import parse_reference


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """`references` in their familiar form, tags and digests."""

    references: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    created_ns: int = 0


@dataclass(frozen=True, slots=True)
class NetworkFacts:
    id: str
    name: str
    driver: str = "bridge"
    scope: str = "local"
    labels: Mapping[str, str] = field(default_factory=dict)
    in_use: bool = False


@dataclass(frozen=True, slots=True)
class VolumeFacts:
    """`in_use`: a container has it."""

    name: str
    driver: str = "local"
    labels: Mapping[str, str] = field(default_factory=dict)
    in_use: bool = False


def matching_references(filters: Filters, references: tuple[str, ...]) -> tuple[str, ...]:
    """The references that a `reference` filter leaves; all without one. Raises InvalidParameter for a bad glob."""
    patterns = filters.get("reference")
    if not patterns:
        return references
    return tuple(text for text in references if any(_familiar_match(pattern, text) for pattern in patterns))


def image_matches(
    filters: Filters,
    image: ImageFacts,
    *,
    before_ns: int | None = None,
    since_ns: int | None = None,
    until_ns: int | None = None,
) -> bool:
    """`before_ns` and `since_ns` are the creation times of the images that the filters name (the caller looks them
    up), `until_ns` comes from `filters.until_ns`. Raises InvalidParameter."""
    if "dangling" in filters and filters.boolean("dangling", False) == bool(image.references):
        return False
    upper = [bound for bound in (before_ns, until_ns) if bound is not None]
    if any(image.created_ns >= bound for bound in upper):
        return False
    if since_ns is not None and image.created_ns <= since_ns:
        return False
    if not filters.labels(image.labels):
        return False
    return not filters.get("reference") or bool(matching_references(filters, image.references))


def network_matches(filters: Filters, network: NetworkFacts) -> bool:
    """Raises InvalidParameter for bad values of `type` and `dangling`."""
    return (
        filters.exact("driver", network.driver)
        and filters.pattern("name", network.name)
        and filters.pattern("id", network.id)
        and filters.labels(network.labels)
        and filters.exact("scope", network.scope)
        and _network_type_matches(filters, network)
        and _network_use_matches(filters, network)
    )


def volume_matches(filters: Filters, volume: VolumeFacts) -> bool:
    """Raises InvalidParameter for a bad value of `dangling`."""
    return (
        filters.exact("driver", volume.driver)
        and filters.pattern("name", volume.name)
        and filters.labels(volume.labels)
        and ("dangling" not in filters or filters.boolean("dangling", False) != volume.in_use)
    )


def check_network_filters(filters: Filters) -> None:
    """Raise InvalidParameter for values that `network_matches` would refuse, also when there is no network."""
    _network_types(filters)
    _dangling_networks(filters)


def _familiar_match(pattern: str, text: str) -> bool:
    if path_match(pattern, text):
        return True
    return path_match(pattern, parse_reference(text).familiar_name)


def _network_type_matches(filters: Filters, network: NetworkFacts) -> bool:
    types = _network_types(filters)
    return not types or ("builtin" if network.name in PREDEFINED else "custom") in types


def _network_types(filters: Filters) -> tuple[str, ...]:
    types = filters.get("type")
    for value in types:
        if value not in ("builtin", "custom"):
            raise InvalidParameter(f"invalid filter: 'type'='{value}'")
    return types


def _network_use_matches(filters: Filters, network: NetworkFacts) -> bool:
    wanted = _dangling_networks(filters)
    is_dangling = not network.in_use and network.name not in PREDEFINED
    return wanted is None or wanted == is_dangling


def _dangling_networks(filters: Filters) -> bool | None:
    values = filters.get("dangling")
    if not values:
        return None
    if len(values) > 1:
        raise InvalidParameter('got more than one value for filter key "dangling"')
    if values[0] not in ("true", "1", "false", "0"):
        raise InvalidParameter('invalid value for filter \'dangling\', must be "true" (or "1"), or "false" (or "0")')
    return values[0] in ("true", "1")
