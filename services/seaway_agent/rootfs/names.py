"""Chain ids of layers, names of layer entries relative to the root, and names of whiteouts. Pure.

OCI image spec: config.md, "Layer ChainID"; layer.md, "Whiteouts".
"""

import hashlib
from collections.abc import Iterable
from typing import Final

from seaway_agent.rootfs.errors import LayerRejected, LayerTooLarge
from seaway_agent.rootfs.limits import Limits
from seaway_archive.errors import shown

WHITEOUT: Final = b".wh."
AUFS_META: Final = b".wh..wh."
OPAQUE: Final = b".wh..wh..opq"
_LONGEST_COMPONENT: Final = 255


def chain_ids(diff_ids: Iterable[str]) -> list[str]:
    """The chain id of each layer; both lists have the bottom layer first."""
    chain: list[str] = []
    for diff_id in diff_ids:
        chain.append(f"sha256:{hashlib.sha256(f'{chain[-1]} {diff_id}'.encode()).hexdigest()}" if chain else diff_id)
    return chain


def parts_of(name: bytes, limits: Limits) -> list[bytes]:
    """The components of `name`, seen from the root: absolute names are relative to it, `..` stops at it."""
    if len(name) > limits.path:
        raise LayerTooLarge(f"the layer has a name of {len(name)} bytes: {shown(name)}")
    parts: list[bytes] = []
    for part in name.split(b"/"):
        if part == b"..":
            del parts[-1:]
        elif part not in (b"", b"."):
            parts.append(part)
    if len(parts) > limits.depth:
        raise LayerTooLarge(f"the layer has a name that is {len(parts)} directories deep: {shown(name)}")
    if any(len(part) > _LONGEST_COMPONENT for part in parts):
        raise LayerRejected(f"the layer has a file name of more than {_LONGEST_COMPONENT} bytes: {shown(name)}")
    return parts


def beneath(name: bytes, limits: Limits) -> list[bytes]:
    """Like `parts_of`, but raises `LayerRejected` for a name that leads out of the root."""
    depth = 0
    for part in name.split(b"/"):
        depth += -1 if part == b".." else part not in (b"", b".")
        if depth < 0:
            raise LayerRejected(f"the layer has a hard link to {shown(name)!r}, outside of its root")
    return parts_of(name, limits)


def hidden_name(name: bytes) -> bytes:
    """The name that the whiteout file `name` hides."""
    target = name[len(WHITEOUT) :]
    if target in (b"", b".", b".."):
        raise LayerRejected(f"the layer has the whiteout {shown(name)!r}, which names no file")
    return target
