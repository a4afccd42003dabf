"""Answers with what each version of Docker's API shows, by moby's own history of versions (1.48 to 1.51). Pure."""

from collections.abc import Mapping
from typing import Any, Final

import orjson

from seaway_api.translate.version import ApiVersion
from seaway_contracts.errors import not_found
from seaway_contracts.images import ImageRecord
from seaway_docker.errors import InvalidParameter

PLATFORM_OF_HISTORY_SINCE: Final[ApiVersion] = (1, 48)
PLATFORM_OF_INSPECT_SINCE: Final[ApiVersion] = (1, 49)
CONTAINERS_OF_IMAGES_SINCE: Final[ApiVersion] = (1, 51)
_FIREWALL_SINCE: Final[ApiVersion] = (1, 49)
_NO_CONTAINER_FIELDS_SINCE: Final[ApiVersion] = (1, 50)
_OF_CONTAINERS: Final = frozenset(
    ("Hostname", "Domainname", "AttachStdin", "AttachStdout", "AttachStderr", "Tty", "OpenStdin", "StdinOnce", "Image")
)
_BRIDGE_FILTERS: Final = frozenset(("BridgeNfIptables", "BridgeNfIp6tables"))
_COMMITS: Final = ("ContainerdCommit", "RuncCommit", "InitCommit")
_NONDISTRIBUTABLE: Final = frozenset(("AllowNondistributableArtifactsCIDRs", "AllowNondistributableArtifactsHostnames"))


def info_shown(version: ApiVersion, info: Mapping[str, Any]) -> dict[str, Any]:
    """`GET /info`: from 1.49 the firewall and no expected commits, from 1.50 nothing of the bridge's filters."""
    if version < _FIREWALL_SINCE:
        return dict(info)
    shown = {key: value for key, value in info.items() if not (version >= (1, 50) and key in _BRIDGE_FILTERS)}
    shown["RegistryConfig"] = _without(info["RegistryConfig"], _NONDISTRIBUTABLE)
    shown |= {name: {"ID": info[name]["ID"]} for name in _COMMITS}
    return shown | {"FirewallBackend": {"Driver": "nftables"}}


def image_shown(version: ApiVersion, image: Mapping[str, Any]) -> dict[str, Any]:
    """`GET /images/{name}/json`: from 1.50 its config has no fields that only containers have."""
    if version < _NO_CONTAINER_FIELDS_SINCE:
        return dict(image)
    return {**image, "Config": _without(image["Config"], _OF_CONTAINERS)}


def _without(fields: Mapping[str, Any], names: frozenset[str]) -> dict[str, Any]:
    return {key: value for key, value in fields.items() if key not in names}


def check_image_platform(text: str, ref: str, image: ImageRecord) -> None:
    """Refuse an image of another platform than the JSON of a `platform` parameter asks for.

    Raises InvalidParameter for what is no platform, SeawayError (404).
    """
    if not text:
        return
    wanted = _platform(text)
    own = {"os": image.os, "architecture": image.architecture, "variant": image.variant}
    if any(value != own[key] for key, value in wanted.items() if value):
        asked = "/".join(value for value in wanted.values() if value)
        raise not_found(f"image with reference {ref} was found but does not provide the specified platform ({asked})")


def _platform(text: str) -> dict[str, str]:
    try:
        given = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise InvalidParameter(f"failed to parse platform: {error}") from error
    if not isinstance(given, dict):
        raise InvalidParameter("failed to parse platform: it is no JSON object")
    wanted = {key: str(given.get(key) or "") for key in ("os", "architecture", "variant")}
    if not wanted["os"] or not wanted["architecture"]:
        raise InvalidParameter("both OS and Architecture must be provided")
    return wanted
