"""Ids, and their use as subject tokens. Names that a user gave never stand in subjects."""

import re
from functools import lru_cache
from typing import Final

TOKEN: Final = re.compile(r"[A-Za-z0-9_-]{1,128}")
CONTAINER_ID: Final = re.compile(r"[0-9a-f]{64}")


class BadToken(ValueError):
    """A text that can't be a subject token."""

    def __init__(self, text: str) -> None:
        super().__init__(f"{text!r} is no subject token: use 1 to 128 of A-Z a-z 0-9 _ -")
        self.text = text


@lru_cache(maxsize=4096)
def check_token(text: str) -> str:
    """Return `text` if it can be one token of a subject; raise `BadToken` otherwise.

    nats-py sends `a..b`, `*` and `>` unchecked, so this is the only check.
    """
    if not TOKEN.fullmatch(text):
        raise BadToken(text)
    return text


RESERVED_NODES: Final = frozenset(
    {"all", "cluster", "SEAWAY", "SYS", "JOIN", "api", "image", "metadata", "scheduler", "agent", "cli", "join"}
)
"""Names with another meaning in subjects, events or accounts."""


def check_node(name: str) -> str:
    """Return `name` if a node may have it; raise ValueError otherwise."""
    if not TOKEN.fullmatch(name):
        raise ValueError(f"no node may be called {name!r}: use 1 to 128 of A-Z a-z 0-9 _ -")
    if name in RESERVED_NODES:
        raise ValueError(f"no node may be called {name!r}: the name is reserved")
    return name


def is_container_id(text: str) -> bool:
    """Whether `text` is a whole container id (64 lower-case hex digits)."""
    return CONTAINER_ID.fullmatch(text) is not None


def is_network_id(text: str) -> bool:
    """Whether `text` is a whole network id (64 lower-case hex digits)."""
    return CONTAINER_ID.fullmatch(text) is not None


def is_volume_id(text: str) -> bool:
    """Whether `text` is a whole volume id, or the name of an anonymous volume (64 lower-case hex digits)."""
    return CONTAINER_ID.fullmatch(text) is not None


def short_id(identifier: str) -> str:
    """The first twelve digits, as Docker shows ids, without a `sha256:` prefix."""
    return identifier.removeprefix("sha256:")[:12]
