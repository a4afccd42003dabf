"""What execs run. Only the services hear it, from an exec's agent: the stream of events does not have it.

Clients of /events get it for as long as it is remembered here.
"""

from collections import OrderedDict
from typing import Final

import orjson

from seaway_api.translate.events import EXEC_ACTIONS
from seaway_contracts.execs import container_prefix
from seaway_contracts.lifecycle import EXEC_COMMAND, Envelope

_MOST: Final = 4096


class ExecCommands:
    """The commands of the last execs, by exec id."""

    def __init__(self) -> None:
        self._commands: OrderedDict[str, str] = OrderedDict()

    def add(self, envelope: Envelope, data: bytes) -> None:
        """An agent has told an event: if it is of an exec, its body has the command."""
        if envelope.action not in EXEC_ACTIONS:
            return
        try:
            attributes = orjson.loads(data)["attributes"]
            identifier, command = attributes["execID"], attributes[EXEC_COMMAND]
        except (ValueError, KeyError, TypeError):
            return
        if container_prefix(identifier) != container_prefix(envelope.subject_id):
            return
        self._commands[identifier] = command
        if len(self._commands) > _MOST:
            self._commands.popitem(last=False)

    def get(self, identifier: str) -> str | None:
        """What an exec runs."""
        return self._commands.get(identifier)
