"""One agent per directory, and per node's name: two would both carry out each command, and clear away each other's."""

import fcntl
import os
import time
from pathlib import Path
from typing import Final

from seaway_bus.bus import Bus
from seaway_contracts.catalogue import INVENTORY
from seaway_contracts.commands import ListInventory
from seaway_contracts.errors import Code, SeawayError, conflict

_WAIT_S: Final = 2.0
_POLL_S: Final = 0.02
_ASK_S: Final = 0.5
_BEHIND_ALL_IDS: Final = "z"
_NOBODY: Final = frozenset({Code.UNAVAILABLE, Code.TIMEOUT})


def hold(directory: Path, wait_s: float = _WAIT_S) -> int:
    """Lock a directory, made if it isn't there, for as long as the descriptor is open or the process lives.

    A former agent that is about to end is waited for. Raises SeawayError (CONFLICT) if another lives there, OSError.
    """
    directory.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    directory.mkdir(exist_ok=True, mode=0o700)
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
    """Raise SeawayError (CONFLICT) if an agent somewhere answers for this node; ours doesn't serve yet.

    One that is cut off doesn't answer, and is no reason to wait.
    """
    try:
        await bus.call(INVENTORY, ListInventory(after=_BEHIND_ALL_IDS), node=node, timeout_s=_ASK_S)
    except SeawayError as error:
        if error.code in _NOBODY:
            return
    raise conflict(f"another agent already answers for node {node}: stop it, or give this one another --node")
