"""What is remembered of execs: how those ended that this process has followed, and what they run.

Whoever asks for an ended one next need not go to its node. What an exec runs only the services hear, from its agent:
the stream of events does not have it. Clients of /events get it for as long as it is remembered here.
"""

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

import orjson
from pydantic import ValidationError

from seaway_api.translate.events import EXEC_ACTIONS
from seaway_contracts.execs import ExecInfo, ExecState, container_prefix
from seaway_contracts.lifecycle import EXEC_COMMAND, Envelope

_MOST: Final = 1000
_COMMANDS: Final = 4096
_KEPT_S: Final = 60.0
"""Less than nodes keep them."""


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
        if len(self._commands) > _COMMANDS:
            self._commands.popitem(last=False)

    def get(self, identifier: str) -> str | None:
        """What an exec runs."""
        return self._commands.get(identifier)


class EndedExecs:
    """The last ones. What has ended changes no more; it is gone with its container, and some minutes later."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._known: OrderedDict[str, tuple[float, bytes]] = OrderedDict()

    def add(self, identifier: str, info: bytes) -> None:
        """What its node said at its end: an ExecInfo's JSON."""
        self._known[identifier] = self._now(), info
        if len(self._known) > _MOST:
            self._known.popitem(last=False)

    def info(self, identifier: str) -> ExecInfo | None:
        """All about one, if it is known here; once, as hardly anybody asks twice."""
        when, words = self._known.pop(identifier, (0.0, b""))
        if not words or self._now() - when > _KEPT_S:
            return None
        try:
            info = ExecInfo.model_validate_json(words)
        except ValidationError:
            return None
        return info if info.spec.id == identifier and info.status.state is ExecState.ENDED else None

    def forget(self, prefix: str) -> None:
        """The container is gone whose execs' ids begin so."""
        for identifier in [known for known in self._known if container_prefix(known) == prefix]:
            del self._known[identifier]
