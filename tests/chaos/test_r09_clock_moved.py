"""R9: the clock of the services, of NATS, or of both moved by an hour and a day, both ways.

Nothing restarts, nobody is lost, times stay sane.
"""

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from chaos_rig import stream
from chaos_rig.client import Client
from chaos_rig.figures import Figures
from chaos_rig.scale import FULL, scaled
from chaos_rig.shifted_clock import ShiftedClock, shifted
from chaos_rig.shifted_nats import ShiftedNats
from chaos_rig.suite import ChaosSuite
from e2e_rig.api import filters
from e2e_rig.waits import eventually

pytestmark = [pytest.mark.root, pytest.mark.timeout(300)]
_HOUR, _DAY = 3600, 86400
_MOVES = (_HOUR, -_HOUR, _DAY, -_DAY, 0)
_CLOSE_S = 600
_TAR = {"Content-Type": "application/x-tar"}
_CHECK = {"Test": ["CMD", "true"], "Interval": 1_000_000_000, "Timeout": 2_000_000_000, "Retries": 1}


@pytest.fixture(scope="module")
def moved(chaos_directory: Path) -> Iterator[tuple[ChaosSuite, ShiftedClock]]:
    """A suite with a clock of its own."""
    suite = ChaosSuite(chaos_directory / "k")
    clock = ShiftedClock(suite.root.parent)
    before = dict(os.environ)
    os.environ.update(clock.environment)
    try:
        suite.start()
    finally:
        os.environ.clear()
        os.environ.update(before)
    try:
        assert all(shifted(pid) for name, pid in suite.processes().items() if name != "nats")
        suite.warm()
        yield suite, clock
    finally:
        suite.purge()


class Scene:
    """What must go on: a container with a health check, one that restarts, one with a client that waits for it."""

    def __init__(self, suite: ChaosSuite, clock: ShiftedClock) -> None:
        self.suite, self.clock, self.client = suite, clock, Client(suite.api)
        body = {"Image": "busybox", "Cmd": ["sleep", "1000"], "Healthcheck": _CHECK}
        self.steady = str(self.client.steadily("POST", "/containers/create?name=steady", body).json()["Id"])
        self.client.start(self.steady)
        self.again = ""
        self.processes = suite.processes()
        self.state = self.client.state(self.steady)

    def healthy(self) -> bool:
        """What the last probe of the health check said."""
        return str(self.client.state(self.steady)["Health"]["Status"]) == "healthy"

    def probes(self) -> str:
        """When the last probe began."""
        return str(self.client.state(self.steady)["Health"]["Log"][-1]["Start"])

    def another_restarts(self, name: str) -> None:
        """A new container in place of the one that restarts, whose waits have become long."""
        if self.again:
            self.client.remove(self.again)
        self.again = self.client.create(name, "sleep 0.2; exit 1", RestartPolicy={"Name": "always"})
        self.client.start(self.again)
        eventually(lambda: self.restarts() >= 3, "waits of almost a second")

    def restarts(self) -> int:
        """How often the restarting container was restarted."""
        return int(self.client.inspect(self.again)["RestartCount"])

    def goes_on(self) -> None:
        """Nothing was restarted, nobody was lost, all timers run."""
        self.is_undisturbed()
        probe, restarts = self.probes(), self.restarts()
        eventually(lambda: self.probes() != probe, "the next health probe", 10)
        eventually(lambda: self.restarts() > restarts, "the next restart", 20)
        assert self.healthy()

    def is_undisturbed(self) -> None:
        """Nothing was restarted, nobody was lost."""
        assert self.suite.processes() == self.processes
        state = self.client.state(self.steady)
        assert (state["Pid"], state["Running"]) == (self.state["Pid"], True)
        assert ": down" not in (self.suite.run / "log" / "metadata.log").read_text()

    def life(self, name: str) -> str:
        """A container's life, its commands and times under the moved clock; its id."""
        client, began = self.client, self.clock.now()
        container = client.create(name, "trap 'exit 6' TERM; echo said; while :; do sleep 0.05; done")
        client.start(container)
        logs = f"/containers/{container}/logs?stdout=1"
        eventually(lambda: client.steadily("GET", logs).body, "its trap to be set")
        started = time.monotonic()
        reply = client.steadily("POST", f"/containers/{container}/stop?t=30")
        assert reply.status == 204 and time.monotonic() - started < 10, reply
        assert client.wait(container) == 6
        assert self._told(container, f"since={began - 1:.3f}") == ["create", "start", "kill", "stop", "die"]
        assert sorted(self._told(container, "since=60s")) == sorted(["create", "start", "kill", "stop", "die"])
        assert self._told(container, f"since={began - 600:.3f}", until=began - 500) == []
        assert self.client.steadily("GET", f"/containers/{container}/logs?stdout=1").body
        client.remove(container)
        return container

    def _told(self, container: str, since: str, until: float = 0.0) -> list[str]:
        query = f"{since}&until={until or self.clock.now() + 0.5:.3f}&{filters(container=container, type='container')}"
        reply = self.client.steadily("GET", f"/events?{query}")
        rows: list[dict[str, Any]] = [json.loads(line) for line in reply.body.splitlines()]
        told = [row["Action"] for row in rows if not row["Action"].startswith("exec_")]
        if told[-2:] == ["die", "stop"]:  # either order is Docker's
            told[-2:] = ["stop", "die"]
        return told


def test_r9_clock_moved(moved: tuple[ChaosSuite, ShiftedClock], figures: Figures) -> None:
    suite, clock = moved
    scene = Scene(suite, clock)
    eventually(scene.healthy, "the first health probe", 20)
    moves = _MOVES * scaled(2, 1)
    for number, seconds in enumerate(moves):
        scene.another_restarts(f"again-{number}")
        clock.move(seconds)
        scene.life(f"life-{number}")
        scene.goes_on()
    suite.api.remove_all()
    clock.move(0)
    figures.show(
        "R9",
        f"clock moved {len(moves)} times, by up to two days at once: no restart, no node lost, health checks, restart "
        "policies, stop time-outs and since/until right",
    )


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the clock of nats-server can be moved on x86-64 only")
def test_r9_clock_of_nats_moved(moved: tuple[ChaosSuite, ShiftedClock], figures: Figures) -> None:
    """Alone, and with the services'. At the end NATS is killed, and finds in its store what it stored tomorrow."""
    suite, clock = moved
    scene, nats = Scene(suite, clock), ShiftedNats(suite.processes()["nats"])
    moves = [(seconds, False) for seconds in _MOVES]
    moves += [(seconds, True) for seconds in (_MOVES if FULL else _MOVES[2:4])]
    lives = []
    for number, (seconds, together) in enumerate([*moves, (_DAY, False)]):
        clock.move(seconds if together else 0)
        nats.move(seconds)
        assert abs(stream.clock(suite) - time.time() - seconds) < _CLOSE_S
        lives.append(scene.life(f"nats-life-{number}"))
        scene.is_undisturbed()
    suite.restarted("nats", suite.kill("nats"))
    suite.whole()
    assert abs(stream.clock(suite) - time.time()) < _CLOSE_S
    lives.append(scene.life("nats-life-after"))
    suite.api.remove_all()
    events = stream.check(suite, 0, lives)
    figures.show(
        "R9",
        f"NATS's clock moved {len(moves) + 2} times, with the services' and without: the same, and {events} events "
        "without gap or double",
    )
