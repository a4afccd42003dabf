"""R1 and R2: `kill -9` of the agent under many containers, and ends that it did not live to see."""

import calendar
import os
import signal
import statistics
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from chaos_rig import stream
from chaos_rig.client import PORT, Client
from chaos_rig.figures import Figures
from chaos_rig.load import lives
from chaos_rig.onlookers import Onlookers
from chaos_rig.scale import FULL, scaled
from chaos_rig.suite import ChaosSuite, struck
from e2e_rig.processes import alive
from e2e_rig.waits import eventually

pytestmark = [pytest.mark.root, pytest.mark.timeout(600)]
_HOG = "head -c 400000000 /dev/zero | tail"
_NETWORKED = 5
_USUALLY_S, _MOST_S = 2.0, 5.0
_LATE_S = 1.0


class Crowd:
    """Containers with known codes that wait for a word each. Every fifth one serves a page on a published port."""

    def __init__(self, client: Client, place: Path, count: int) -> None:
        self._client = client
        self._gates = [place / str(number) for number in range(count)]
        for gate in self._gates:
            os.mkfifo(gate)
        (place / "page").write_text("served")
        self.networked = list(range(0, count, _NETWORKED))
        self.ids = [self._made(place, number) for number in range(count)]
        for container in self.ids:
            client.start(container)
        self.before = self.seen()
        self._ports = [self.before[number][1][PORT][0]["HostPort"] for number in self.networked]

    def _made(self, place: Path, number: int) -> str:
        host: dict[str, object] = {"Binds": [f"{place}:/gates"]}
        script = f"read line < /gates/{number}; exit {number}"
        if number in self.networked:
            host |= {"NetworkMode": "bridge", "PortBindings": {PORT: [{"HostPort": ""}]}}
            script = f"httpd -p 80 -h /gates; {script}"
        return self._client.create(f"r1-{number}", script, **host)

    def seen(self) -> list[tuple[int, dict[str, Any], str]]:
        """Of each: its pid, ports and address."""
        found = []
        for container in self.ids:
            body = self._client.inspect(container)
            network = body["NetworkSettings"]
            found.append((int(body["State"]["Pid"]), network["Ports"], network["IPAddress"]))
        return found

    def serves(self) -> None:
        """Those with a network answer at their ports."""
        for port in self._ports:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/page", timeout=5) as reply:
                assert reply.read() == b"served"

    def end(self) -> None:
        """All end, with their numbers as codes."""
        for gate in self._gates:
            gate.write_text("\n")
        assert [self._client.wait(container) for container in self.ids] == list(range(len(self.ids)))


def test_r1_containers_go_on(suite: ChaosSuite, client: Client, figures: Figures, tmp_path: Path) -> None:
    count, kills = scaled(100, 20), scaled(6, 3)
    since = time.time()
    crowd = Crowd(client, tmp_path, count)
    onlookers = Onlookers(suite, client, tmp_path)
    back = []
    for _ in range(kills):
        old = suite.kill("agent")
        began = time.monotonic()
        crowd.serves()
        suite.restarted("agent", old)
        back.append(time.monotonic() - began)
        crowd.serves()
        assert crowd.seen() == crowd.before
        onlookers.after_a_kill()
    onlookers.end()
    crowd.end()
    told = lives(client, since)
    assert {told[container] for container in crowd.ids} == {("create", "start", "die")}
    assert stream.check(suite, since, crowd.ids) == 3 * count
    assert max(back) < _MOST_S and (not FULL or statistics.median(back) < _USUALLY_S), back
    figures.show(
        "R1",
        f"{count} containers, {len(crowd.networked)} of them with a network; {kills} kills: 0 stopped, same pids and "
        f"ports, {count} codes right, {3 * count} events without gap or double; ready again in "
        f"{statistics.median(back):.2f} s (median), {max(back):.2f} s (most); {onlookers.told_so} streams broke off "
        "and said so, execs, probes, restarts and a waiting client went on",
    )


def test_r2_ends_while_the_agent_is_dead(suite: ChaosSuite, client: Client, figures: Figures, tmp_path: Path) -> None:
    since = time.time()
    go = tmp_path / "go"
    os.mkfifo(go)
    scripts = {"exit 0": 0, "exit 7": 7, _HOG: 137, "sleep 1000; exit $?": 143}
    made = {}
    for number, (script, code) in enumerate(scripts.items()):
        binds = [f"{tmp_path}:/gate"]
        container = client.create(f"r2-{number}", f"read word < /gate/go; {script}", Memory=32 << 20, Binds=binds)
        client.start(container)
        made[container] = code
    pids = {container: int(client.state(container)["Pid"]) for container in made}
    agent = int(suite.row("agent")["pid"])
    os.kill(suite.supervisor_pid, signal.SIGSTOP)  # it starts no other
    try:
        assert struck(agent)
        go.write_text("\n")
        ended = _ends(pids)
    finally:
        os.kill(suite.supervisor_pid, signal.SIGCONT)
    suite.restarted("agent", agent)
    late = {}
    for container, code in made.items():
        assert client.wait(container) == code
        state = client.state(container)
        assert (state["ExitCode"], state["OOMKilled"]) == (code, code == 137)
        late[code] = abs(_unix(state["FinishedAt"]) - ended[container])
    assert max(late.values()) < _LATE_S, late
    told = lives(client, since)
    for container, code in made.items():
        assert told[container] == ("create", "start", *(["oom"] if code == 137 else []), "die")
    stream.check(suite, since, made)
    figures.show(
        "R2",
        f"exit 0, 7, OOM, SIGTERM with a dead agent: {list(late)}; FinishedAt right to {max(late.values()):.2f} s",
    )


def _ends(pids: dict[str, int]) -> dict[str, float]:
    """When each of these processes ended; the last one is helped by SIGTERM to its child."""
    *_, patient = pids
    eventually(lambda: _terminated(pids[patient]), "the sleeper")
    ended: dict[str, float] = {}

    def all_ended() -> bool:
        for container, pid in pids.items():
            if container not in ended and not alive(pid):
                ended[container] = time.time()
        return len(ended) == len(pids)

    eventually(all_ended, "all ends", 20)
    return ended


def _terminated(init: int) -> bool:
    """Send SIGTERM to the long sleeper below a container's shell, once it is there."""
    for pid in Path(f"/proc/{init}/task/{init}/children").read_text().split():
        if b"1000" in Path(f"/proc/{pid}/cmdline").read_bytes():
            os.kill(int(pid), signal.SIGTERM)
            return True
    return False


def _unix(stamp: str) -> float:
    """An RFC 3339 time in UTC as seconds."""
    whole, _, fraction = stamp.removesuffix("Z").partition(".")
    return calendar.timegm(time.strptime(whole, "%Y-%m-%dT%H:%M:%S")) + float(f"0.{fraction or 0}")
