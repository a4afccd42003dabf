"""Containers with reservations on many nodes: each is asked for once, and what came of it is written down."""

import random
import threading
from collections import Counter
from dataclasses import dataclass

from e2e_rig.api import Reply

from chaos_rig.client import Client
from chaos_rig.lab_cluster import UNIT, LabCluster

_PATIENCE_S = 180.0
_LACKING = ("not enough memory", "too little memory")
_REMOVED_AT_ONCE = 3
_FATES = {"keep": 4, "grow": 3, "run": 4, "end": 3, "remove": 1}


@dataclass
class Attempt:
    """A create. `container`: its id, if it was answered with success; `gone`: a removal was answered with success."""

    name: str
    units: int
    status: int = 0
    message: str = ""
    container: str = ""
    gone: bool = False
    starts: int = 0


class LabLoad:
    """`count` creates, `in_flight` at a time, of which `permit` lets some begin.

    Where the cluster is full, a few of those that were kept are removed. The API is never hit: each create is answered.
    """

    def __init__(self, cluster: LabCluster, count: int, in_flight: int, chance: random.Random) -> None:
        self._cluster, self._count, self._chance = cluster, count, chance
        self._lock = threading.Lock()
        self._permits = threading.Semaphore(0)
        self._begun = 0
        self._stopped = False
        self._kept: list[Attempt] = []
        self.attempts: list[Attempt] = []
        self.errors: list[str] = []
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(in_flight)]

    def __enter__(self) -> "LabLoad":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, failed: object, *_: object) -> None:
        self._stopped = self._stopped or bool(failed)
        self.permit(self._count + len(self._threads))
        for thread in self._threads:
            thread.join()

    def permit(self, number: int) -> None:
        """Let so many more begin."""
        self._permits.release(number)

    @property
    def refusals(self) -> Counter[int]:
        """How many creates failed, by status."""
        return Counter(one.status for one in self.attempts if not one.container)

    @property
    def made(self) -> list[Attempt]:
        """The creates that were answered with success."""
        return [one for one in self.attempts if one.container]

    def _next(self) -> Attempt | None:
        self._permits.acquire()
        with self._lock:
            if self._stopped or self._begun >= self._count:
                return None
            self._begun += 1
            attempt = Attempt(f"r16-{self._begun}", self._chance.randint(1, 3))
            self.attempts.append(attempt)
            return attempt

    def _run(self) -> None:
        client = Client(self._cluster.api, _PATIENCE_S)
        while (attempt := self._next()) is not None:
            try:
                self._create(client, attempt)
            except Exception as error:
                self.errors.append(f"{attempt}: {error!r}, tried again: {client.refused[-5:]}")

    def _create(self, client: Client, attempt: Attempt) -> None:
        with self._lock:
            fate = self._chance.choices(list(_FATES), list(_FATES.values()))[0]
            code = self._chance.randint(1, 100)
        script = f"sleep 0.2; exit {code}" if fate == "end" else "sleep 1000"
        body = {
            "Image": "busybox",
            "Cmd": ["sh", "-c", script],
            "HostConfig": {"NetworkMode": "none", "MemoryReservation": attempt.units * UNIT},
        }
        reply = self._cluster.api.request("POST", f"/containers/create?name={attempt.name}", body, timeout=_PATIENCE_S)
        attempt.status = reply.status
        if reply.status != 201:
            self._refused(client, attempt, reply)
            return
        attempt.container = str(reply.json()["Id"])
        if fate in ("run", "grow", "end"):
            attempt.starts = client.start(attempt.container)
        if fate == "grow":
            self._grow(client, attempt)
        if fate == "end":
            got = client.wait(attempt.container)
            assert got in (code, 255), f"{attempt} ended with {got}, not {code}: 255 is that of a power cut"
        if fate in ("end", "remove"):
            self._remove(client, attempt)
        else:
            with self._lock:
                self._kept.append(attempt)

    def _refused(self, client: Client, attempt: Attempt, reply: Reply) -> None:
        """Make room where there is none."""
        attempt.message = reply.message
        assert reply.status in (409, 500, 503, 504), reply
        lacking = any(words in reply.message for words in _LACKING)
        assert lacking or reply.status in (503, 504), f"only room and nodes may be lacking: {reply}"
        if not lacking:
            return
        with self._lock:
            self._chance.shuffle(self._kept)
            leaving, self._kept = self._kept[:_REMOVED_AT_ONCE], self._kept[_REMOVED_AT_ONCE:]
        for one in leaving:
            self._remove(client, one)

    def _grow(self, client: Client, attempt: Attempt) -> None:
        """Reserve one unit more, if the node has it."""
        limits = {"MemoryReservation": (attempt.units + 1) * UNIT}
        reply = client.steadily("POST", f"/containers/{attempt.container}/update", limits)
        assert reply.status == 200 or any(words in reply.message for words in _LACKING), reply

    def _remove(self, client: Client, attempt: Attempt) -> None:
        client.remove(attempt.container)
        attempt.gone = True
