"""Execs and attached containers under load, each with an output and an exit code that its client knows beforehand.

A stream that breaks off says so, or its API has died. Then the client asks again, and must get all.
"""

import http.client
import itertools
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

from e2e_rig.api import Api, frames
from e2e_rig.busy import Busy
from e2e_rig.processes import alive
from e2e_rig.waits import eventually

from chaos_rig.attached import Attached, NotTaken
from chaos_rig.client import Client

_PATIENCE_S = 60.0
_IDLE = "trap 'exit 0' TERM; while :; do sleep 0.1; done"
_EXEC = "echo begun; read word; sleep 0.1; echo $word {number}; exit {code}"
_ATTACHED = "read word; echo $word {number}; until [ -e /place/{number} ]; do sleep 0.02; done; echo bye; exit {code}"


class Talks(Busy):
    """Clients of execs and one of attached containers, until the block ends. `place` is mounted into those."""

    def __init__(self, api: Api, place: Path, execs_at_once: int = 2) -> None:
        self._api, self._place = api, place
        self._numbers = itertools.count()
        runs = [*[self._execs] * execs_at_once, self._attaches]
        super().__init__(*(partial(self._until_enough, run) for run in runs))
        self.done: Counter[str] = Counter()
        self.broken: Counter[str] = Counter()
        """How many streams broke off, and were asked for again."""
        self.failures: list[str] = []

    def go_on(self) -> None:
        """Wait until one more of each kind has begun and is over."""
        for kind, at_once in (("exec", len(self._threads) - 1), ("attach", 1)):
            wanted = self.done[kind] + at_once + 1
            eventually(lambda kind=kind, wanted=wanted: self.failures or self.done[kind] >= wanted, f"an {kind}", 60)  # type: ignore[misc]
        assert self.failures == [], self.failures

    def _until_enough(self, run: Callable[[Client], None]) -> None:
        try:
            run(Client(self._api, _PATIENCE_S))
        except Exception as error:
            self.failures.append(repr(error))

    def _execs(self, client: Client) -> None:
        container = client.create(f"talk-{next(self._numbers)}", _IDLE)
        client.start(container)
        while not self._enough.is_set():
            self._exec(client, container, next(self._numbers))
            self.done["exec"] += 1
        client.remove(container)

    def _exec(self, client: Client, container: str, number: int) -> None:
        code = number % 120 + 1
        command = ["sh", "-c", _EXEC.format(number=number, code=code)]
        body = {"Cmd": command, "AttachStdin": True, "AttachStdout": True}
        wanted = f"begun\ngo {number}\n".encode()
        while True:
            made = client.steadily("POST", f"/containers/{container}/exec", body)
            assert made.status == 201, made
            one = self._attached(f"/exec/{made.json()['Id']}/start")
            if one is not None:
                one.say(b"go\n")
                one.end()
                if self._whole("exec", one, wanted):
                    break
        path = f"/exec/{made.json()['Id']}/json"
        shown = eventually(lambda: self._ended(client.steadily("GET", path).json()), "the exec's end")
        assert shown["ExitCode"] == code, (number, shown)

    def _attaches(self, client: Client) -> None:
        while not self._enough.is_set():
            self._attach(client, next(self._numbers))
            self.done["attach"] += 1

    def _attach(self, client: Client, number: int) -> None:
        code = number % 120 + 1
        command = ["sh", "-c", _ATTACHED.format(number=number, code=code)]
        host = {"NetworkMode": "none", "Binds": [f"{self._place}:/place"]}
        body = {"Image": "busybox", "Cmd": command, "OpenStdin": True, "HostConfig": host}
        container = client.make(f"talk-{number}", body)
        first = f"go {number}\n".encode()
        one = self._answered(container, first, lambda: client.start(container))
        (self._place / str(number)).touch()
        one.end()
        self._whole("attach", one, first + b"bye\n")
        assert client.wait(container) == code
        logs = client.steadily("GET", f"/containers/{container}/logs?stdout=1")
        assert frames(logs.body) == {1: first + b"bye\n"}, logs
        client.remove(container)

    def _answered(self, container: str, answer: bytes, start: Callable[[], object]) -> Attached:
        """A client that was answered what it has said: it or one before, whose stream broke off."""
        while True:
            one = self._attached(f"/containers/{container}/attach?stream=1&logs=1&stdin=1&stdout=1")
            if one is None:
                continue
            start()
            one.say(b"go\n")
            eventually(lambda one=one: one.over or answer in one.output, "an answer", _PATIENCE_S)  # type: ignore[misc]
            if answer in one.output:
                return one
            assert not self._whole("attach", one, answer)

    def _attached(self, path: str) -> Attached | None:
        """None where it was refused for now."""
        try:
            return Attached(self._api, path)
        except NotTaken as error:
            assert error.status >= 500, error
        except (OSError, http.client.HTTPException):
            pass
        self._enough.wait(0.05)
        return None

    def _whole(self, kind: str, one: Attached, wanted: bytes) -> bool:
        """Whether it has shown all; if not, it said why, or its API is gone."""
        if one.output == wanted and not one.last_words:
            return True
        assert wanted.startswith(one.output), (kind, one.output, wanted)
        if b"try again" not in one.last_words:
            eventually(lambda: not alive(one.server), f"{kind}: why {one.output!r}, {one.last_words!r} is not whole")
        self.broken[kind] += 1
        return False

    @staticmethod
    def _ended(shown: dict[str, object]) -> dict[str, object]:
        return shown if shown.get("Running") is False else {}
