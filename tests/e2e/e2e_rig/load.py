"""Clients that make and start containers all the time, and what became of each container."""

import http.client
import re
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from deploy.lab import Lab

from e2e_rig.api import Api, Reply
from e2e_rig.waits import eventually

PATIENCE_S: Final = 90
_PAUSE_S: Final = 0.15
_FIRST: Final = 100_000
"""Each container sleeps for a number of seconds of its own: its process is known by that on each host."""
_PROGRAM: Final = re.compile(r"sleep 1\d{5}")


@dataclass
class Attempt:
    """One container that a client asked for. `refusal`: why it was not made, or not started."""

    number: int
    container: str = ""
    started: bool = False
    refusal: str = ""

    @property
    def program(self) -> str:
        """Its command line."""
        return f"sleep {_FIRST + self.number}"


@dataclass
class Load:
    """`with Load([api, …]) as load: …`; the clients take the APIs in turn."""

    apis: Sequence[Api]
    clients: int = 3
    attempts: list[Attempt] = field(default_factory=list)
    """Those that were answered."""
    asked: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __enter__(self) -> "Load":
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._ask) for _ in range(self.clients)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Returns when each client has its last answer."""
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _ask(self) -> None:
        while not self._stop.wait(_PAUSE_S):
            attempt = self._next()
            try:
                self._make(self.apis[attempt.number % len(self.apis)], attempt)
            except (OSError, http.client.HTTPException) as error:
                attempt.refusal = f"no answer: {error!r}"
            self.attempts.append(attempt)

    def _next(self) -> Attempt:
        with self._lock:
            self.asked += 1
            return Attempt(self.asked - 1)

    def _make(self, api: Api, attempt: Attempt) -> None:
        body = {"Image": "busybox", "Cmd": attempt.program.split(), "HostConfig": {"NetworkMode": "none"}}
        body["StopSignal"] = "SIGKILL"
        made = api.request("POST", f"/containers/create?name=load-{attempt.number}", body, timeout=PATIENCE_S)
        if made.status != 201:
            attempt.refusal = _said("create", made)
            return
        attempt.container = made.json()["Id"]
        started = api.request("POST", f"/containers/{attempt.container}/start", timeout=PATIENCE_S)
        attempt.started = started.status == 204
        attempt.refusal = "" if attempt.started else _said("start", started)

    # --- what came of it

    @property
    def started(self) -> list[Attempt]:
        """Those that were made and started."""
        return [attempt for attempt in self.attempts if attempt.started]

    @property
    def refusals(self) -> list[str]:
        """What the clients were refused with, each once."""
        return sorted({attempt.refusal for attempt in self.attempts if attempt.refusal})

    def more(self, number: int, on: Callable[[Attempt], bool] = lambda attempt: True) -> None:
        """Wait until so many more are started, of those for which `on` holds."""
        before = self.asked
        eventually(
            lambda: sum(one.started and on(one) for one in self.attempts if one.number >= before) >= number,
            f"{number} more containers; refused: {self.refusals}",
            PATIENCE_S,
        )


def _said(what: str, reply: Reply) -> str:
    return f"{what} {reply.status}: {reply.message}"


def expect_each_once(lab: Lab, api: Api, load: Load, *, lost: Sequence[str] = ()) -> dict[str, str]:
    """Wait until each container that was made is known once, and runs on its node and nowhere else, or doesn't run.

    `lost`: the ids of those that may be gone. Returns the nodes of all, by id.
    """
    made = {attempt.container: attempt for attempt in load.attempts if attempt.container}

    def nodes() -> dict[str, str]:
        return {one: api.get(f"/containers/{one}/json")["Node"]["Name"] for one in states}

    def known() -> bool:
        states.clear()
        rows = api.get("/containers/json?all=1")
        states.update({row["Id"]: row["State"] for row in rows if row["Names"][0].startswith("/load-")})
        assert len(states) == len({row["Names"][0] for row in rows}), rows
        return made.keys() - set(lost) <= states.keys() <= made.keys()

    states: dict[str, str] = {}
    eventually(known, "the containers that were made, and no others,", PATIENCE_S)
    where = nodes()

    def told() -> set[tuple[str, str]]:
        return {(where[one], made[one].program) for one, state in states.items() if state == "running"}

    eventually(lambda: known() and told() == programs(lab), "to run once what is said to run", PATIENCE_S)
    return where


def programs(lab: Lab) -> set[tuple[str, str]]:
    """The programs of the load that run, with the host of each; raises AssertionError for one that runs twice."""
    found = [(name, line) for name in lab.names for line in programs_on(lab, name)]
    assert len({line for _, line in found}) == len(found), sorted(found)
    return set(found)


def programs_on(lab: Lab, name: str) -> list[str]:
    """The programs of the load that run on one host."""
    return [line for line in lab.host(name).machine.run("ps", "-eo", "args").splitlines() if _PROGRAM.fullmatch(line)]
