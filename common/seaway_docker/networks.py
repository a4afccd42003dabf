"""The networks that every Docker host has, and how a create request names them."""

from typing import Final

DRIVERS: Final = {"bridge": "bridge", "host": "host", "none": "null"}
"""The driver of each."""
PREDEFINED: Final = tuple(DRIVERS)


def network_mode(asked: str) -> str:
    """HostConfig's NetworkMode, with the default one's name where none is given."""
    return "bridge" if asked in ("", "default") else asked


def is_user_defined(mode: str) -> bool:
    """Whether a NetworkMode, with the default one's name, names a network of users."""
    return mode not in PREDEFINED and not mode.startswith("container:")
