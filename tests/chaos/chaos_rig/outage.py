"""What goes on while a node or the bus is away, and what must be told of it afterwards."""

import os
import time
from pathlib import Path
from typing import Protocol

from e2e_rig.processes import alive
from e2e_rig.waits import eventually

from chaos_rig.client import Client
from chaos_rig.load import lives

_RESTARTS = 3


class Make(Protocol):
    """Makes a container that runs a script."""

    def __call__(self, name: str, script: str, /, **host: object) -> str: ...


class Outage:
    """Containers that end at a word, one that is restarted again and again, and commands all the time."""

    def __init__(self, client: Client, place: Path, count: int, make: Make | None = None) -> None:
        """`make` makes the containers, if not the client itself."""
        self.client, self._place = client, place
        self.since = time.time()
        make = make or client.create
        os.mkfifo(place / "go")
        binds = [f"{place}:/place"]
        self.ends = [
            make(f"r5-{number}", f"read word < /place/go; exit {number}", Binds=binds) for number in range(count)
        ]
        script = "echo >> /place/runs; sleep 0.2; exit 1"
        self.again = make("r5-again", script, Binds=binds, RestartPolicy={"Name": "always"})
        for container in [*self.ends, self.again]:
            self.client.start(container)
        self._pids = [int(self.client.state(container)["Pid"]) for container in self.ends]

    def let_end(self) -> None:
        """All end now; returns when their processes are gone."""
        (self._place / "go").write_text("\n" * len(self.ends))
        eventually(lambda: not any(map(alive, self._pids)), "all ends", 30)

    def goes_on(self) -> int:
        """It is restarted further, with nobody's help; how often it has run by then."""
        before = self.runs()
        eventually(lambda: self.runs() >= before + _RESTARTS, "restarts", 60)
        return self.runs()

    def runs(self) -> int:
        """How often the restarted one has run."""
        return len((self._place / "runs").read_text())

    def all_told(self) -> bool:
        """Whether each die event can be read."""
        return set(self.ends) <= {row["Actor"]["ID"] for row in self.client.history(self.since, event="die")}

    def check(self) -> None:
        """Every event once and in order, every code right."""
        told = lives(self.client, self.since)
        assert {told[container] for container in self.ends} == {("create", "start", "die")}
        codes = range(len(self.ends))
        assert [self.client.wait(container) for container in self.ends] == list(codes)
        died = {row["Actor"]["ID"]: row["Actor"]["Attributes"] for row in self.client.history(self.since, event="die")}
        assert [int(died[container]["exitCode"]) for container in self.ends] == list(codes)
        runs = [word for word in told[self.again] if word in ("start", "die")]
        assert runs == ["start", "die"] * (len(runs) // 2) + ["start"] * (len(runs) % 2)
