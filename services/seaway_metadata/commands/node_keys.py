"""Keeps a file of the public keys of nodes that joined, and has the supervisor reload the NATS server beside it.

Each copy of metadata does it for the NATS server of its own machine, so that all servers of a cluster let a node in.
"""

import asyncio
import json
import logging
from pathlib import Path
from typing import Final

from seaway_bus.transport import TransportError
from seaway_contracts.errors import SeawayError
from seaway_kit.failpoints import Failpoint, reach
from seaway_kit.private_files import write_private
from seaway_metadata.kinds.identities import Identities

log = logging.getLogger(__name__)
_PAUSE_S: Final = 0.2
"""Between two reloads: nodes that join at once share one."""
_RETRY_S: Final = 2.0
_ANSWER_S: Final = 10.0


class NodeKeys:
    """The file of one copy of metadata. Without one it does nothing: the owner of the NATS server lets nodes in."""

    def __init__(self, identities: Identities, file: Path | None, supervisor: Path | None) -> None:
        self._identities = identities
        self._file = file
        self._supervisor = supervisor
        self._wanted = asyncio.Event()
        self._wanted.set()
        self._reload = False

    def reload(self) -> None:
        """Have the server reload soon, even if the keys are unchanged."""
        self._reload = True
        self._wanted.set()

    async def run(self) -> None:
        """Write the file when it differs from the records, and ask for a reload. Repeat both until they succeed."""
        if self._file is None:
            await asyncio.Event().wait()
            return
        self._reload = _unfinished(self._file).exists()
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            try:
                await self._take_up(self._file)
            except (TransportError, SeawayError, ValueError, OSError, TimeoutError) as error:
                log.warning("the keys of nodes can't be handed to the NATS server just now: %s", error)
                self.reload()
                await asyncio.sleep(_RETRY_S)
            await asyncio.sleep(_PAUSE_S)

    async def _take_up(self, file: Path) -> None:
        keys = {one.node: one.public_key for one in await self._identities.all()}
        before, is_new = _read(file), False
        if keys != before:
            is_new = not keys.keys() <= before.keys()
            _unfinished(file).touch()
            part = file.with_name(file.name + ".part")
            write_private(part, json.dumps(keys, indent=1).encode())
            part.replace(file)
            reach(Failpoint.ADMIT_KEYS_WRITTEN)
            self._reload = True
        is_due, self._reload = self._reload, False
        if is_due and self._supervisor is not None:
            await _ask(self._supervisor, "reload")
        if is_new:  # nats-server 2.10 connects a new account to the others only at the next reload
            self.reload()
        else:
            _unfinished(file).unlink(missing_ok=True)


def _unfinished(file: Path) -> Path:
    """There from before the file is changed until NATS has reloaded, so that the next process reloads in any case."""
    return file.with_name(file.name + ".unfinished")


def _read(file: Path) -> dict[str, str]:
    try:
        found = json.loads(file.read_bytes())
    except (FileNotFoundError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


async def _ask(socket: Path, command: str) -> None:
    """Ask the supervisor for something. Raises OSError, also where it can't do it."""
    async with asyncio.timeout(_ANSWER_S):
        reader, writer = await asyncio.open_unix_connection(str(socket))
        try:
            writer.write(json.dumps({"command": command}).encode() + b"\n")
            answer = json.loads(await reader.readline())
        finally:
            writer.close()
    if "error" in answer:
        raise OSError(str(answer["error"]))
