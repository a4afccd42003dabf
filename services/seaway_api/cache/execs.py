"""What this process remembers of execs: their commands, and how they ended."""

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

import orjson
from pydantic import ValidationError

from seaway_contracts.execs import ExecInfo, ExecState, container_prefix
from seaway_contracts.lifecycle import EXEC_COMMAND, Envelope
from seaway_docker.event_words import EXEC_ACTIONS

_MOST_ENDED: Final = 1000
_KEPT_S: Final = 60.0
"""Shorter than nodes keep them."""
_MOST_COMMANDS: Final = 4096


class EndedExecs:
    """Results of the last execs that this process has followed: a client that asks next needs no call to the node."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._known: OrderedDict[str, tuple[float, bytes]] = OrderedDict()

    def add(self, identifier: str, info: bytes) -> None:
        """Add an ended exec; `info` is the ExecInfo's JSON from its node."""
        self._known[identifier] = self._now(), info
        if len(self._known) > _MOST_ENDED:
            self._known.popitem(last=False)

    def info(self, identifier: str) -> ExecInfo | None:
        """An ended exec, if known. Removes it: few clients ask twice."""
        when, words = self._known.pop(identifier, (0.0, b""))
        if not words or self._now() - when > _KEPT_S:
            return None
        try:
            info = ExecInfo.model_validate_json(words)
        except ValidationError:
            return None
        return info if info.spec.id == identifier and info.status.state is ExecState.ENDED else None

    def forget(self, prefix: str) -> None:
        """Forget the execs of a removed container; their ids begin with `prefix`."""
        for identifier in [known for known in self._known if container_prefix(known) == prefix]:
            del self._known[identifier]


class ExecCommands:
    """The commands of the last execs, by exec id.

    Agents send them to services only, they are not in the stream of events; readers of /events get them from here.
    """

    def __init__(self) -> None:
        self._commands: OrderedDict[str, str] = OrderedDict()

    def add(self, envelope: Envelope, data: bytes) -> None:
        """Remember the command if this is an exec's event, from its agent."""
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
        if len(self._commands) > _MOST_COMMANDS:
            self._commands.popitem(last=False)

    def get(self, identifier: str) -> str | None:
        """An exec's command, None if unknown."""
        return self._commands.get(identifier)
