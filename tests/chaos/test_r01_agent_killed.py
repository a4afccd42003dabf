"""R1 and R2: `kill -9` of the agent under many containers, and ends that it did not live to see."""

import calendar
import os
import signal
import time
from pathlib import Path

import pytest
from chaos_rig.client import Client
from chaos_rig.figures import Figures
from chaos_rig.load import lives
from chaos_rig.scale import scaled
from chaos_rig.suite import ChaosSuite
from e2e_rig.waits import eventually

pytestmark = pytest.mark.root
_HOG = "head -c 400000000 /dev/zero | tail"


def test_r1_containers_go_on(suite: ChaosSuite, client: Client, figures: Figures, tmp_path: Path) -> None:
    count, kills = scaled(100, 20), scaled(6, 2)
    since = time.time()
    gates = [tmp_path / str(number) for number in range(count)]
    for gate in gates:
        os.mkfifo(gate)
    made = [
        client.create(f"r1-{number}", f"read line < /gates/{number}; exit {number}", Binds=[f"{tmp_path}:/gates"])
        for number in range(count)
    ]
    for container in made:
        client.start(container)
    pids = [client.state(container)["Pid"] for container in made]
    back = []
    for _ in range(kills):
        old = suite.kill("agent")
        began = time.monotonic()
        suite.restarted("agent", old)
        back.append(time.monotonic() - began)
        assert [client.state(container)["Pid"] for container in made] == pids
    for gate in gates:
        gate.write_text("\n")
    assert [client.wait(container) for container in made] == list(range(count))
    told = lives(client, since)
    assert {told[container] for container in made} == {("create", "start", "die")}
    figures.show("R1", f"{count} containers, {kills} kills: none stopped, all codes right, back in {max(back):.2f} s")


def test_r2_ends_while_the_agent_is_dead(suite: ChaosSuite, client: Client, figures: Figures) -> None:
    since = time.time()
    scripts = {"exit 0": 0, "exit 7": 7, _HOG: 137, "sleep 1000; exit $?": 143}
    made = {}
    for number, (script, code) in enumerate(scripts.items()):
        container = client.create(f"r2-{number}", f"sleep 0.7; {script}", Memory=32 << 20)
        client.start(container)
        made[container] = code
    pids = {container: int(client.state(container)["Pid"]) for container in made}
    agent = int(suite.row("agent")["pid"])
    os.kill(agent, signal.SIGSTOP)
    *_, patient = made
    eventually(lambda: _terminated(pids[patient]), "the sleeper")
    eventually(lambda: not any(map(_alive, pids.values())), "all ends", 20)
    ended = time.time()
    os.kill(agent, signal.SIGKILL)
    suite.restarted("agent", agent)
    late = []
    for container, code in made.items():
        assert client.wait(container) == code
        state = client.state(container)
        assert (state["ExitCode"], state["OOMKilled"]) == (code, code == 137)
        late.append(abs(_unix(state["FinishedAt"]) - ended))
    told = lives(client, since)
    assert {tuple(word for word in told[container] if word != "oom") for container in made} == {
        ("create", "start", "die")
    }
    figures.show("R2", f"exit 0, 7, OOM, SIGTERM with a dead agent: {list(made.values())}, FinishedAt right")


def _terminated(init: int) -> bool:
    """Send SIGTERM to the long sleeper below a container's shell, once it is there."""
    for pid in Path(f"/proc/{init}/task/{init}/children").read_text().split():
        if b"1000" in Path(f"/proc/{pid}/cmdline").read_bytes():
            os.kill(int(pid), signal.SIGTERM)
            return True
    return False


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def _unix(stamp: str) -> float:
    """An RFC 3339 time in UTC as seconds."""
    whole, _, fraction = stamp.removesuffix("Z").partition(".")
    return calendar.timegm(time.strptime(whole, "%Y-%m-%dT%H:%M:%S")) + float(f"0.{fraction or 0}")
