"""Who is at the other end: a name, and from where."""

import asyncio
import os
import socket
from typing import Any

import pytest

from seaway_api.http.actors import actor_of
from seaway_kit.settings import default_node


class Peer(asyncio.BaseTransport):
    """A connection of which this is known."""

    def __init__(self, **info: Any) -> None:
        super().__init__(info)


def named(name: str) -> dict[str, Any]:
    return {"subject": ((("organizationName", "x"),), (("commonName", name),))}


@pytest.mark.parametrize(
    ("info", "actor"),
    [
        ({"peercert": named("alice"), "peername": ("10.0.0.5", 4711)}, "cn:alice@10.0.0.5"),
        ({"peercert": named("a\r\nce-node: x"), "peername": ("::1", 1, 0, 0)}, "cn:a??ce-node: x@::1"),
        ({"peercert": {}, "peername": ("10.0.0.5", 4711)}, "ip:10.0.0.5"),
        ({}, ""),
    ],
)
def test_of_tcp(info: dict[str, Any], actor: str) -> None:
    assert actor_of(Peer(**info)) == actor


def test_of_a_local_process() -> None:
    near, far = socket.socketpair()
    with near, far:
        assert actor_of(Peer(peername="", socket=near)) == f"uid:{os.getuid()}@{default_node()}"
