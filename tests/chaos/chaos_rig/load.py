"""Containers with known exit codes, many in flight, and what must be true of them afterwards."""

import itertools
import threading
import time
from collections import Counter
from dataclasses import dataclass, field

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


@dataclass
class Load:
    """`count` lives, `in_flight` at a time. `script` may name `{code}`."""

    api: Api
    count: int
    in_flight: int
    script: str = "exit {code}"
    network: str = "none"
    patience_s: float = 60.0
    outcomes: list[Outcome] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    longest_s: float = 0.0
    since: float = field(default_factory=time.time)
    refused: int = 0

    def __post_init__(self) -> None:
        self._left = iter(range(self.count))
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._lives, daemon=True) for _ in range(self.in_flight)]

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.join()

    @property
    def running(self) -> bool:
        """Whether some are still to come to their end."""
        return any(thread.is_alive() for thread in self._threads)

    @property
    def done(self) -> int:
        """How many lives are over."""
        return len(self.outcomes)

    def join(self) -> None:
        """Wait until all lives are over."""
        for thread in self._threads:
            thread.join()

    def _lives(self) -> None:
        client = Client(self.api, self.patience_s)
        while True:
            with self._lock:
                number = next(self._left, None)
            if number is None:
                break
            began = time.monotonic()
            try:
                self.outcomes.append(self._life(client, number))
            except Exception as error:
                self.failures.append(f"{number}: {error!r}")
            self.longest_s = max(self.longest_s, time.monotonic() - began)
        with self._lock:
            self.refused += len(client.refused)

    def _life(self, client: Client, number: int) -> Outcome:
        code = number % 120 + 1
        name = f"load-{next(_numbers)}"
        container = client.create(name, self.script.format(code=code), NetworkMode=self.network)
        client.start(container)
        got = client.wait(container)
        client.remove(container)
        return Outcome(container, code, got)

    def check(self) -> None:
        """Every exit code right, every event there, once and in order."""
        assert self.failures == [], self.failures[:5]
        assert [(one.container, one.got) for one in self.outcomes] == [
            (one.container, one.wanted) for one in self.outcomes
        ]
        assert len(self.outcomes) == self.count
        mine = {one.container for one in self.outcomes}
        client = Client(self.api)

        def ended() -> bool:
            destroyed = Counter(row["Actor"]["ID"] for row in client.history(self.since, event="destroy"))
            return mine <= destroyed.keys()

        eventually(ended, "all destroy events", 30)
        wrong = {ident: told for ident, told in lives(client, self.since).items() if ident in mine and told != LIFE}
        assert wrong == {}, wrong


def lives(client: Client, since: float) -> dict[str, tuple[str, ...]]:
    """The events of every container, in order."""
    found: dict[str, list[str]] = {}
    for row in client.history(since):
        found.setdefault(row["Actor"]["ID"], []).append(row["Action"])
    return {container: tuple(actions) for container, actions in found.items()}
