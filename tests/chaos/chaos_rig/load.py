"""Containers with known exit codes, many in flight, and what must be true of them afterwards."""

import itertools
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from e2e_rig.api import Api
from e2e_rig.waits import eventually

from chaos_rig.client import Client

LIFE = ("create", "start", "die", "destroy")
_numbers = itertools.count()


@dataclass
class Outcome:
    """One container's life as its client saw it."""

    container: str
    wanted: int
    got: int
    starts: int


@dataclass
class Load:
    """`count` lives, `in_flight` at a time. `script` may name `{code}`; `host` is put into each HostConfig.

    `lasting`: after `count` lives it goes on for as long as the block does. `reads`: what was acknowledged must be
    seen by the next request.
    """

    api: Api
    count: int
    in_flight: int
    script: str = "exit {code}"
    host: dict[str, object] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    patience_s: float = 60.0
    lasting: bool = False
    reads: bool = False
    outcomes: list[Outcome] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    longest_s: float = 0.0
    since: float = field(default_factory=time.time)
    refused: int = 0
    _begun: int = 0

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._enough = threading.Event()
        if not self.lasting:
            self._enough.set()
        self._threads = [threading.Thread(target=self._lives, daemon=True) for _ in range(self.in_flight)]

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, failed: object, *_: object) -> None:
        if failed:
            self.count = 0
        self._enough.set()
        for thread in self._threads:
            thread.join()

    @property
    def in_hand(self) -> int:
        """How many lives have begun and are not over."""
        return self._begun - self.done

    @property
    def done(self) -> int:
        """How many lives are over."""
        return len(self.outcomes) + len(self.failures)

    def goes_on(self, lives: int = 1, timeout: float = 60) -> None:
        """Wait until so many more are over."""
        wanted = self.done + lives
        eventually(lambda: self.done >= wanted, f"{lives} more lives", timeout)

    def _next(self) -> int | None:
        with self._lock:
            if self._begun >= self.count and self._enough.is_set():
                return None
            self._begun += 1
            return self._begun

    def _lives(self) -> None:
        client = Client(self.api, self.patience_s)
        while (number := self._next()) is not None:
            began = time.monotonic()
            try:
                self.outcomes.append(self._life(client, number))
            except Exception as error:
                self.failures.append(f"{number}: {error!r}, tried again: {client.refused[-5:]}")
            self.longest_s = max(self.longest_s, time.monotonic() - began)
        with self._lock:
            self.refused += len(client.refused)

    def _life(self, client: Client, number: int) -> Outcome:
        code = number % 120 + 1
        name = f"load-{next(_numbers)}"
        before = len(client.refused)
        container = client.create(name, self.script.format(code=code), self.labels, **self.host)
        refused = client.refused[before:]
        assert not refused or not refused[0].startswith("create"), f"no other has taken that name: {refused}"
        if not refused:  # else it may be the name only that is there, until the start makes the rest
            self._listed(client, container, there=True)
            self._seen(client, name, lambda body: body.get("Id") == container)
        while not (starts := client.start(container, lapsing=bool(refused))):
            container = client.create(name, self.script.format(code=code), self.labels, **self.host)
        self._seen(client, container, lambda body: bool(body) and not body["State"]["StartedAt"].startswith("0001"))
        got = client.wait(container)
        self._seen(client, container, lambda body: bool(body) and body["State"]["ExitCode"] == got)
        client.remove(container)
        self._listed(client, container, there=False)
        return Outcome(container, code, got, starts)

    def _seen(self, client: Client, ref: str, right: Callable[[dict[str, Any]], bool]) -> None:
        """The next request sees what was acknowledged."""
        if self.reads:
            reply = client.steadily("GET", f"/containers/{ref}/json")
            assert right(reply.json() if reply.status == 200 else {}), f"stale: {reply} {_now()}"

    def _listed(self, client: Client, container: str, *, there: bool) -> None:
        if self.reads:
            reply = client.steadily("GET", "/containers/json?all=1")
            assert reply.status == 200, reply
            listed = container in {row["Id"] for row in reply.json()}
            assert listed == there, f"{container} listed: {listed} {_now()}"

    def check(self) -> None:
        """Every exit code right, every event there, once and in order.

        A start that was asked for again, as its answer was lost, may have been a second one, of what had ended by then.
        """
        assert self.failures == [], self.failures[:5]
        wrong_codes = [one for one in self.outcomes if one.got != one.wanted]
        assert not wrong_codes, wrong_codes
        assert len(self.outcomes) >= self.count
        mine = {one.container for one in self.outcomes}
        client = Client(self.api)

        def ended() -> bool:
            destroyed = Counter(row["Actor"]["ID"] for row in client.history(self.since, event="destroy"))
            return mine <= destroyed.keys()

        eventually(ended, "all destroy events", 30)
        told = lives(client, self.since)
        wrong = {
            one.container: (one.starts, told[one.container])
            for one in self.outcomes
            if told[one.container] not in _lives(one)
        }
        assert wrong == {}, wrong


def _now() -> str:
    return time.strftime("at %H:%M:%S", time.gmtime())


def _lives(one: Outcome) -> list[tuple[str, ...]]:
    """What may be told of a container: a run that an answer's loss has added may be ended by the removal."""
    whole = [("create", *("start", "die") * runs, "destroy") for runs in range(1, one.starts + 1)]
    return whole + [(*life[:-2], "kill", *life[-2:]) for life in whole[1:]]


def lives(client: Client, since: float) -> dict[str, tuple[str, ...]]:
    """The events of every container, in order."""
    found: dict[str, list[str]] = {}
    for row in client.history(since):
        found.setdefault(row["Actor"]["ID"], []).append(row["Action"])
    return {container: tuple(actions) for container, actions in found.items()}
