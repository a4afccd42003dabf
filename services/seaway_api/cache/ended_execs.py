"""How those execs ended that this process has followed: whoever asks for one next need not go to its node."""

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from pydantic import ValidationError

from seaway_contracts.execs import ExecInfo, ExecState, container_prefix

_MOST: Final = 1000
_KEPT_S: Final = 60.0
"""Less than nodes keep them."""


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
