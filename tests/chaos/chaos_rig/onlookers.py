"""Clients that look on while the agent is killed, and what the agent does of itself for containers meanwhile."""

import itertools
import time
from collections import Counter
from pathlib import Path

from e2e_rig.waits import eventually

from chaos_rig.attached import Attached, Follower, Waiting
from chaos_rig.client import Client
from chaos_rig.suite import ChaosSuite

_COUNT = "n=0; until [ -e /place/{gate} ]; do n=$((n+1)); echo $n; sleep 0.02; done; exit {code}"
_CHECK = {"Test": ["CMD", "true"], "Interval": 200_000_000, "Timeout": 5_000_000_000, "Retries": 1}
_CODE = 5


class Onlookers:
    """Of one container that counts aloud, under a health check: attach, `logs -f`, `wait` and an exec. And one that is
    restarted again and again.
    """

    def __init__(self, suite: ChaosSuite, client: Client, place: Path) -> None:
        self._suite, self._client, self._place = suite, client, place
        self._since = time.time()
        host = {"NetworkMode": "none", "Binds": [f"{place}:/place"]}
        command = ["sh", "-c", _COUNT.format(gate="over", code=_CODE)]
        body = {"Image": "busybox", "Cmd": command, "Healthcheck": _CHECK, "HostConfig": host}
        self.counts = client.make("r1-counts", body)
        policy = {"Name": "always"}
        script = "echo >> /place/runs; sleep 0.1; exit 1"
        self.again = client.create("r1-again", script, Binds=host["Binds"], RestartPolicy=policy)
        for container in (self.counts, self.again):
            client.start(container)
        self._waiting = Waiting(suite.api, self.counts)
        self._execs: dict[str, int] = {}
        self.told_so = 0
        """How many streams were broken off with an error."""
        self._join()
        eventually(self._healthy, "the first probe")

    def _join(self) -> None:
        api = self._suite.api
        self._attached = Attached(api, f"/containers/{self.counts}/attach?stream=1&stdout=1")
        self._follower = Follower(api, self.counts)
        code = len(self._execs) + 1
        script = _COUNT.format(gate=f"exec-{code}", code=code)
        body = {"Cmd": ["sh", "-c", script], "AttachStdout": True}
        exec_id = str(self._client.steadily("POST", f"/containers/{self.counts}/exec", body).json()["Id"])
        self._exec = Attached(api, f"/exec/{exec_id}/start", {})
        self._execs[exec_id] = code
        eventually(lambda: self._attached.output and self._follower.output and self._exec.output, "output")

    def after_a_kill(self) -> None:
        """Whose stream came from the dead agent is told so; what it showed has no hole. All goes on under the next."""
        words = f"the agent of node {self._suite.node} has gone; try again when it is back"
        for one in (self._attached, self._exec):
            one.end()
            assert one.last_words.decode() == words
            _numbers(one.output)
        self._follower.end()
        assert not self._follower.whole
        assert _numbers(self._follower.output)[0] == 1
        self.told_so += 3
        self._exec_ends(*next(reversed(self._execs.items())))
        self._timers_go_on()
        self._join()

    def _exec_ends(self, exec_id: str, code: int) -> None:
        """One whose client is gone has gone on; its end is told by the next agent."""
        assert self._shown(exec_id) == (True, None)
        (self._place / f"exec-{code}").touch()
        eventually(lambda: self._shown(exec_id) == (False, code), f"exec {code}'s end")

    def _shown(self, exec_id: str) -> tuple[bool, int | None]:
        body = self._client.steadily("GET", f"/exec/{exec_id}/json").json()
        return body["Running"], body["ExitCode"]

    def _timers_go_on(self) -> None:
        probe, runs = self._probe(), self._runs()
        eventually(lambda: self._probe() != probe, "the next probe", 10)
        eventually(lambda: self._runs() > runs, "the next restart", 60)
        assert self._healthy()

    def end(self) -> None:
        """All end; what was seen and told of it all is right."""
        (self._place / f"exec-{len(self._execs)}").touch()
        self._exec.end()
        (self._place / "over").touch()
        assert self._waiting.code() == _CODE
        self._attached.end()
        self._follower.end()
        assert self._exec.last_words == self._attached.last_words == b""
        assert self._follower.whole
        seen = _numbers(self._follower.output)
        assert seen[0] == 1 and _numbers(self._attached.output)[-1] == seen[-1]
        assert self._client.steadily("POST", f"/containers/{self.again}/stop?t=0").status in (204, 304)
        self._check_told()

    def _check_told(self) -> None:
        rows = self._client.history(self._since, container=self.counts)
        told = Counter(row["Action"] for row in rows)
        codes = {
            row["Actor"]["Attributes"]["execID"]: int(row["Actor"]["Attributes"]["exitCode"])
            for row in rows
            if row["Action"] == "exec_die"
        }
        assert {exec_id: codes.get(exec_id) for exec_id in self._execs} == self._execs
        assert told["exec_die"] == len(codes)
        assert (told["health_status: healthy"], told["health_status: unhealthy"], told["die"]) == (1, 0, 1), told
        runs = [word for word in self._client.told(self._since, self.again) if word in ("start", "die")]
        assert runs == ["start", "die"] * (len(runs) // 2)
        assert runs.count("start") - self._runs() in (0, 1)  # the last one may have been stopped before its first word

    def _healthy(self) -> bool:
        return str(self._client.state(self.counts)["Health"]["Status"]) == "healthy"

    def _probe(self) -> str:
        return str(self._client.state(self.counts)["Health"]["Log"][-1]["Start"])

    def _runs(self) -> int:
        return len((self._place / "runs").read_text())


def _numbers(output: bytes) -> list[int]:
    """The whole lines of it, of which each is one more than the one before."""
    numbers = [int(line) for line in output.split(b"\n")[:-1]]
    assert numbers and all(after == before + 1 for before, after in itertools.pairwise(numbers)), numbers
    return numbers
