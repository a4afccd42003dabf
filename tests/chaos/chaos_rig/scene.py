"""One crash of the matrix: what is asked for while a failpoint is armed, and what must be so afterwards."""

import signal
import time
from collections.abc import Callable
from pathlib import Path

from e2e_rig.api import Reply
from e2e_rig.registry import Registry
from e2e_rig.waits import eventually

from chaos_rig import stream
from chaos_rig.client import Client
from chaos_rig.suite import ChaosSuite
from seaway_kit.failpoints import Failpoint

LIFE = ["create", "start", "die", "destroy"]
LOOP = "trap 'exit 9' TERM; while :; do sleep 0.05; done"
REFUSED = frozenset(
    {
        Failpoint.START_DISCONNECTED,
        Failpoint.START_FAILED,
        Failpoint.CREATE_UPPER_UNDONE,
        Failpoint.CREATE_VOLUMES_UNDONE,
        Failpoint.EXEC_FAILED,
        Failpoint.SUPERVISOR_REFUSED,
        Failpoint.REGISTER_REFUSED,
    }
)
"""Passed only where what is asked for can't be done."""


class Scene:
    """Its suite and client, and when it began. At the point `before`, if any, another process has died already."""

    def __init__(
        self,
        suite: ChaosSuite,
        client: Client,
        registry: Registry,
        point: Failpoint,
        *,
        before: Failpoint | None = None,
    ) -> None:
        self.suite, self.client, self.registry, self.point = suite, client, registry, point
        self._points = [point] if before is None else [before, point]
        self.name = "-".join(("c", *self._points)).replace(".", "-")
        self.since = time.time()

    def crash(self, act: Callable[[], object], *, at_once: bool = False) -> None:
        """Do something during which the failpoint kills a process, and wait until the suite is whole again."""
        if not at_once:
            self.suite.settled()
        for point in self._points:
            self.suite.arm(point)
        act()
        for point in self._points:
            eventually(lambda: not self.suite.is_armed(point), f"{point} to be passed")  # noqa: B023 - at once
        self.suite.whole()

    def ask_once(self, method: str, path: str) -> Reply:
        """A request that is answered though a process dies over it: nobody need try again."""
        replies: list[Reply] = []
        self.crash(lambda: replies.append(self.client.steadily(method, path)))
        assert self.client.refused == []
        return replies[0]

    def post(self, path: str, body: object = None) -> None:
        """A command that must be answered with success, or with 304 where an earlier try was carried out."""
        reply = self.client.steadily("POST", path, body)
        assert reply.status in (200, 201, 204, 304), reply

    def running(self, script: str = LOOP, **host: object) -> str:
        """A container that runs, and has set its trap for SIGTERM: before that its first process ignores it."""
        container = self.client.create(self.name, script, **host)
        self.client.start(container)
        pid = self.client.state(container)["Pid"]
        eventually(lambda: _catches(pid, signal.SIGTERM), "its trap")
        return container

    def told(self, container: str, last: str) -> list[str]:
        """The actions of its events, once `last` is among them."""
        eventually(lambda: last in self.client.told(self.since, container), f"{container}: {last}")
        return self.client.told(self.since, container)

    def gone(self, container: str) -> None:
        """Remove it: nothing is left of it, and its name is free."""
        self.client.remove(container)
        assert self.client.steadily("GET", f"/containers/{container}/json").status == 404
        again = self.client.create(self.name, "exit 0")
        assert again != container
        self.client.remove(again)

    def lives_and_dies(self, container: str) -> None:
        """The container is what was asked for, to its end."""
        self.client.start(container)
        assert self.client.wait(container) == 7
        self.client.remove(container)
        assert self.told(container, "destroy") == LIFE

    @property
    def image(self) -> str:
        """One that can be pulled."""
        return f"{self.registry.address}/lib/busybox:1"

    @property
    def volumes(self) -> list[Path]:
        """The directories of all volumes."""
        place = self.suite.root / "agent" / self.suite.node / "volumes"
        return [volume for volume in place.iterdir() if not volume.name.startswith(".")]

    def remove_volumes(self) -> None:
        """All that are left."""
        self.suite.api.remove_all()
        for volume in self.client.steadily("GET", "/volumes").json()["Volumes"]:
            reply = self.client.steadily("DELETE", f"/volumes/{volume['Name']}")
            assert reply.status in (204, 404), reply

    def play(self, scene: Callable[["Scene"], None]) -> None:
        """To its end; then each container that was made meanwhile has told each event once."""
        try:
            scene(self)
        finally:
            self.remove_volumes()
        told = {row["Actor"]["ID"] for row in self.client.history(self.since, event="create")}
        stream.check(self.suite, self.since, told)


def _catches(pid: int, number: signal.Signals) -> bool:
    """Whether a process has a handler for that signal."""
    rows = Path(f"/proc/{pid}/status").read_text().splitlines()
    caught = next(int(row.split()[1], 16) for row in rows if row.startswith("SigCgt:"))
    return bool(caught >> (number - 1) & 1)
