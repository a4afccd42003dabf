"""The versions that the API tells its clients."""

from typing import Final

from seaway_contracts.version import VERSION

API_VERSION: Final = "1.47"
MIN_API_VERSION: Final = "1.24"
_MAXIMUM: Final = (1, 47)
_MINIMUM: Final = (1, 24)

ApiVersion = tuple[int, int]
NEWEST: Final[ApiVersion] = _MAXIMUM

SERVER_VERSION: Final = VERSION


def parse_api_version(text: str) -> ApiVersion | None:
    """`1.45` -> (1, 45); None for what isn't a version."""
    major, dot, minor = text.partition(".")
    if not dot or not (major.isascii() and major.isdigit() and minor.isascii() and minor.isdigit()):
        return None
    return (int(major), int(minor)) if len(text) <= 16 else None


def too_new(api: ApiVersion) -> bool:
    """Whether a client asks for more than this server has."""
    return api > _MAXIMUM


def too_old(api: ApiVersion) -> bool:
    """Whether a client asks for an API that is no longer spoken."""
    return api < _MINIMUM
