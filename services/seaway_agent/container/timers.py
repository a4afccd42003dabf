"""The timers of one container."""

import asyncio
from collections.abc import Callable
from typing import Protocol


class Timer(Protocol):
    """What `Later` returns."""

    def cancel(self) -> None:
        """Cancel the timer."""


Later = Callable[[float, Callable[[str], None], str], Timer]
"""Calls a function with a text after so many seconds, as an event loop's `call_later` does."""


class Timers:
    """At most one of each name. `ran_out` is called with the name of one whose time is up."""

    def __init__(self, ran_out: Callable[[str], None], later: Later | None = None) -> None:
        self._ran_out = ran_out
        self._later = later
        self._set: dict[str, Timer] = {}

    def set(self, name: str, after_s: float | None) -> None:
        """Set it, instead of one of that name before; None: there is none from now on."""
        former = self._set.pop(name, None)
        if former is not None:
            former.cancel()
        if after_s is not None:
            later = self._later or asyncio.get_running_loop().call_later
            self._set[name] = later(after_s, self._up, name)

    def close(self) -> None:
        """Cancel all."""
        for timer in self._set.values():
            timer.cancel()
        self._set.clear()

    def _up(self, name: str) -> None:
        self._set.pop(name, None)
        self._ran_out(name)
