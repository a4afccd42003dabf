"""The networks that every Docker host has, and how a create request names them."""

from typing import Final

DRIVERS: Final = {"bridge": "bridge", "host": "host", "none": "null"}
"""The driver of each."""
PREDEFINED: Final = tuple(DRIVERS)


def network_mode(asked: str) -> str:
    """HostConfig's NetworkMode, with the default one's name where none is given."""
    return "bridge" if asked in ("", "default") else asked
