"""Whether shims have taken up who has just connected to them.

A connection stands before its listener knows of it. What conmon reads meanwhile it writes to the log, and to nobody
else: so a client that gets the log up to a mark and all that comes after it must be taken up before the mark is set.
"""

import asyncio
from pathlib import Path
from typing import Final

_SOCKETS: Final = Path("/proc/net/unix")
_POLL_S: Final = 0.001
_PATIENCE_S: Final = 2.0


async def taken_up() -> bool:
    """Wait until no connection to a shim's streams waits to be accepted; whether that came in time."""
    loop = asyncio.get_running_loop()
    limit = loop.time() + _PATIENCE_S
    while some_wait(_SOCKETS.read_bytes()):
        if loop.time() > limit:
            return False
        await asyncio.sleep(_POLL_S)
    return True


def some_wait(sockets: bytes) -> bool:
    """Whether /proc/net/unix (`Num RefCount Protocol Flags Type St Inode Path`) tells of a sequential-packet connection
    to a socket called attach that belongs to no process yet: then it has no inode.
    """
    for line in sockets.splitlines():
        if line.endswith(b"/attach"):
            fields = line.split()
            if fields[4] == b"0005" and fields[5] == b"02" and fields[6] == b"0":
                return True
    return False
