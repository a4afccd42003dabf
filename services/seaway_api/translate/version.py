"""The versions that the API tells its clients."""

from typing import Final

API_VERSION: Final = "1.51"
MIN_API_VERSION: Final = "1.24"
_MAXIMUM: Final = (1, 51)
_MINIMUM: Final = (1, 24)

_LONGEST: Final = 16
_LETTERS: Final = frozenset("0123456789.")

ApiVersion = tuple[int, ...]
NEWEST: Final[ApiVersion] = _MAXIMUM


def parse_api_version(text: str) -> ApiVersion | None:
    """`1.45` -> (1, 45); None for what isn't a version. As moby reads it: `1` is 1.0, and 1.45.7 comes after 1.45."""
    if not text or len(text) > _LONGEST or not set(text) <= _LETTERS:
        return None
    major, minor, *rest = (*(int(number or "0") for number in text.split(".")), 0)
    while rest and not rest[-1]:
        rest.pop()
    return major, minor, *rest


def too_new(api: ApiVersion) -> bool:
    """Whether a client asks for more than this server has."""
    return api > _MAXIMUM


def too_old(api: ApiVersion) -> bool:
    """Whether a client asks for an API that is no longer spoken."""
    return api < _MINIMUM
