"""Keeps a file of nodes that joined and of users of the bus, with their public keys, for the NATS server beside it.

The supervisor is asked to reload the server when the file has changed. Each copy of metadata does it for the NATS
server of its own machine, so that all servers of a cluster let them in.
"""

import asyncio
import json
import logging
from pathlib import Path
from typing import Any, Final

from seaway_bus.transport import TransportError
from seaway_contracts.errors import SeawayError
from seaway_contracts.users import account_of_user
from seaway_kit.failpoints import Failpoint, reach
from seaway_kit.private_files import write_private
from seaway_metadata.kinds.identities import Identities
from seaway_metadata.kinds.users import Users

log = logging.getLogger(__name__)
_PAUSE_S: Final = 0.2
"""Between two reloads: nodes that join at once share one."""
_RETRY_S: Final = 2.0
_ANSWER_S: Final = 10.0
Json = dict[str, Any]


class NodeKeys:
    """The file of one copy of metadata. Without one it does nothing: the server's owner lets nodes and users in."""

    def __init__(self, identities: Identities, users: Users, file: Path | None, supervisor: Path | None) -> None:
        self._identities = identities
        self._users = users
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
        wanted, before, is_new = await self._all(), _read(file), False
        if wanted != before:
            is_new = not _accounts(wanted) <= _accounts(before)
            _unfinished(file).touch()
            part = file.with_name(file.name + ".part")
            write_private(part, json.dumps(wanted, indent=1).encode())
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

    async def _all(self) -> Json:
        """What the file should hold. A key may stand in the server's configuration once: a user's is no node's."""
        users = [user for user in await self._users.all() if user.registry is None]
        taken = {user.public_key for user in users}
        nodes = {one.node: one.public_key for one in await self._identities.all() if one.public_key not in taken}
        return {"nodes": nodes, "users": [user.model_dump(mode="json") for user in users]}


def _accounts(found: Json) -> set[str]:
    return {*found["nodes"], *(account_of_user(user["name"]) for user in found["users"])}


def _unfinished(file: Path) -> Path:
    """There from before the file is changed until NATS has reloaded, so that the next process reloads in any case."""
    return file.with_name(file.name + ".unfinished")


def _read(file: Path) -> Json:
    empty: Json = {"nodes": {}, "users": []}
    try:
        found = json.loads(file.read_bytes())
        _accounts(found)
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return empty
    return found if isinstance(found, dict) else empty


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
