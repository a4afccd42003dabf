"""What an engine has acknowledged, as its clients wrote it down; afterwards all of it must be found."""

import http.client
import itertools
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from e2e_rig.api import Api, Reply
from e2e_rig.busy import Busy

from chaos_rig.client import Client
from chaos_rig.load import LIFE, lives

_numbers = itertools.count()
_RANK = {action: place for place, action in enumerate(LIFE)}


@dataclass
class Fate:
    """What is known of one container: `done` holds what was acknowledged, `asked` also what was only asked for."""

    code: int
    done: list[str] = field(default_factory=list)
    asked: str = ""


class Journal:
    """A file that only grows: a line per answer, written before the next request is made."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._file = path.open("a", buffering=1)

    def note(self, *words: str) -> None:
        """One line."""
        with self._lock:
            self._file.write(" ".join(words) + "\n")

    def fates(self) -> dict[str, Fate]:
        """What stands in it, by container."""
        found: dict[str, Fate] = {}
        for line in self.path.read_text().splitlines():
            what, container, word = line.split()
            if what == "asked":
                found[container].asked = word
            else:
                found.setdefault(container, Fate(int(word))).done.append(what)
        return found

    def close(self) -> None:
        """No more lines."""
        self._file.close()


class Writers(Busy):
    """Clients that never try again: a life ends with the first request that fails. They go on until the block ends."""

    def __init__(self, api: Api, journal: Journal, at_once: int) -> None:
        self._api = api
        self._journal = journal
        super().__init__(*[self._run] * at_once)
        self.failures: list[str] = []
        self.wrong: list[str] = []
        self.acknowledged = 0

    def _run(self) -> None:
        while not self._enough.is_set():
            try:
                self._life(next(_numbers))
            except (OSError, http.client.HTTPException, Refused) as error:
                self.failures.append(repr(error))
                self._enough.wait(0.05)

    def _life(self, number: int) -> None:
        code = number % 120 + 1
        body = {"Image": "busybox", "Cmd": ["sh", "-c", f"exit {code}"], "HostConfig": {"NetworkMode": "none"}}
        made = self._ask("POST", f"/containers/create?name=j-{number}", body)
        container = str(made.json()["Id"])
        self._note("create", container, code)
        if number % 4 == 0:
            return  # some are never started
        self._step(container, code, "start", lambda: self._ask("POST", f"/containers/{container}/start"))
        reply = self._step(container, code, "die", lambda: self._ask("POST", f"/containers/{container}/wait"))
        if reply.json()["StatusCode"] != code:
            self.wrong.append(f"{container}: {reply.json()} instead of {code}")
        if number % 4 == 1:
            return  # some stay
        self._step(container, code, "destroy", lambda: self._ask("DELETE", f"/containers/{container}"))

    def _step(self, container: str, code: int, what: str, ask: Callable[[], Reply]) -> Reply:
        self._journal.note("asked", container, what)
        reply = ask()
        self._note(what, container, code)
        return reply

    def _note(self, what: str, container: str, code: int) -> None:
        self._journal.note(what, container, str(code))
        self.acknowledged += 1

    def _ask(self, method: str, path: str, body: object = None) -> Reply:
        reply = self._api.request(method, path, body, timeout=60)
        if reply.status >= 300:
            raise Refused(f"{method} {path}: {reply.status} {reply.body.decode()}")
        return reply


class Refused(Exception):
    """An answer other than success."""


def lost(client: Client, fates: dict[str, Fate], since: float) -> list[str]:
    """What was acknowledged and isn't so; what is told twice, out of order, or without having been asked for."""
    told = lives(client, since)
    listed = {row["Id"] for row in client.steadily("GET", "/containers/json?all=1").json()}
    found = []
    for container, fate in fates.items():
        events = told.get(container, ())
        if problem := _problem(fate, events, container in listed):
            found.append(f"{container}: {problem}; acknowledged {fate.done}, asked {fate.asked!r}, told {events}")
    return found


def _problem(fate: Fate, events: tuple[str, ...], listed: bool) -> str:
    if missing := set(fate.done) - set(events):
        return f"no event tells of {missing}"
    if any(number > 1 for number in Counter(events).values()):
        return "told twice"
    if list(events) != sorted(events, key=lambda action: _RANK[action]):
        return "out of order"
    for action in ("start", "destroy"):
        if action in events and action not in (*fate.done, fate.asked):
            return f"{action}, and nobody asked for it"
    if listed == ("destroy" in events):
        return "listed after its end" if listed else "not listed"
    return ""
