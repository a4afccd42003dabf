"""Volumes: the body of a create request, and which options Docker's local driver takes (moby 26.1, volume/local)."""

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from pydantic import Field

from seaway_docker.errors import InvalidParameter
from seaway_docker.go_json import GoModel
from seaway_docker.log_options import parse_size

LOCAL: Final = "local"
"""The only driver: there are no volume plugins."""
_OPTIONS: Final = ("type", "o", "device", "size")
_NEEDED: Final = {"device": ("type",), "type": ("device",), "o": ("device", "type")}


class VolumeCreate(GoModel):
    """`POST /volumes/create`. `cluster_spec` makes it a volume of Swarm."""

    name: str = Field("", alias="Name")
    driver: str = Field("", alias="Driver")
    driver_options: dict[str, str] | None = Field(None, alias="DriverOpts")
    labels: dict[str, str] | None = Field(None, alias="Labels")
    cluster_spec: dict[str, Any] | None = Field(None, alias="ClusterVolumeSpec")


_LONGEST: Final = 4095
"""So many bytes of `o` reach the kernel's file system; it cuts off the rest without a word."""


def check_local_options(options: Mapping[str, str]) -> None:
    """Raise InvalidParameter for options that the local driver refuses, or that the kernel would cut off.

    Quotas need a file system that has them.
    """
    for option in options:
        if option not in _OPTIONS:
            raise InvalidParameter(f'invalid option: "{option}"')
    for option, needed in _NEEDED.items():
        for other in needed:
            if option in options and other not in options:
                raise InvalidParameter(f'missing required option: "{other}"')
    if options.get("type") == "cifs" and _has_port(options.get("device", "")):
        raise InvalidParameter("port not allowed in CIFS device URL, include 'port' in 'o='")
    if any("\0" in value for value in options.values()):
        raise InvalidParameter("an option has a NUL character")
    if len(options.get("o", "").encode(errors="surrogatepass")) > _LONGEST:
        raise InvalidParameter(f"option o is longer than {_LONGEST} bytes, of which the kernel takes no more")
    try:
        size = parse_size(options.get("size", "0"), 1024)
    except ValueError as error:
        raise InvalidParameter(str(error)) from None
    if size > 0:
        raise InvalidParameter("quota size requested but no quota support")


def _has_port(device: str) -> bool:
    try:
        found = urlsplit(device)
    except ValueError:
        raise InvalidParameter(f"error parsing mount device url: {device!r} has no valid host") from None
    try:
        return found.port is not None
    except ValueError:
        return True
