"""One agent per directory and per node's name: two would run each command twice, and remove each other's containers."""

import fcntl
import os
import time
from pathlib import Path
from typing import Final

from seaway_bus.bus import Bus
from seaway_contracts.catalogue import INVENTORY
from seaway_contracts.commands import ListInventory
from seaway_contracts.errors import Code, SeawayError, conflict
from seaway_kit.private_files import make_private_directory

_WAIT_S: Final = 2.0
_POLL_S: Final = 0.02
_ASK_S: Final = 0.5
_BEHIND_ALL_IDS: Final = "z"
_NOBODY: Final = frozenset({Code.UNAVAILABLE, Code.TIMEOUT})


def hold(directory: Path, wait_s: float = _WAIT_S) -> int:
    """Lock a directory, made if it is missing, until the returned descriptor is closed or the process ends.

    Waits for a former agent that is about to end. Raises SeawayError (CONFLICT) if another one runs there, OSError.
    """
    make_private_directory(directory)
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    deadline = time.monotonic() + wait_s
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return fd
        except BlockingIOError:
            if time.monotonic() > deadline:
                os.close(fd)
                raise conflict(
                    f"another agent already runs in {directory}: stop it, or give this one a --root, a --run and a "
                    "--node of its own"
                ) from None
            time.sleep(_POLL_S)


async def check_name(bus: Bus, node: str) -> None:
    """Raise SeawayError (CONFLICT) if another agent answers for this node. Call it before this one serves.

    An agent without a connection to the bus is not found.
    """
    try:
        await bus.call(INVENTORY, ListInventory(after=_BEHIND_ALL_IDS), node=node, timeout_s=_ASK_S)
    except SeawayError as error:
        if error.code in _NOBODY:
            return
    raise conflict(f"another agent already answers for node {node}: stop it, or give this one another --node")
