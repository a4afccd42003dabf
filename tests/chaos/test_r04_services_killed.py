"""R4, R5, R11: services, the bus, everything killed while containers come and go."""

import os
import signal
import time

import pytest
from chaos_rig.client import Client
from chaos_rig.figures import Figures
from chaos_rig.load import Load, lives
from chaos_rig.scale import scaled
from chaos_rig.suite import ChaosSuite
from e2e_rig import census
from e2e_rig.waits import eventually

pytestmark = [pytest.mark.root, pytest.mark.timeout(900)]
_IN_TURN = ("api", "image", "metadata", "scheduler", "nats")


def test_r4_killed_in_turn_under_load(suite: ChaosSuite, client: Client, figures: Figures) -> None:
    rounds = scaled(4, 1)
    with Load(suite.api, scaled(800, 150), 8, script="sleep 0.1; exit {code}") as load:
        back = []
        for service in _IN_TURN * rounds:
            eventually(lambda: load.done or not load.running, "the first lives")
            old = suite.kill(service)
            began = time.monotonic()
            suite.restarted(service, old)
            suite.whole()
            assert client.steadily("GET", "/containers/json").status == 200
            back.append(time.monotonic() - began)
    load.check()
    assert max(back) < 10
    figures.show(
        "R4",
        f"{load.count} lives, {len(back)} kills: 0 lost, whole again in {max(back):.1f} s at most, "
        f"longest life {load.longest_s:.1f} s, clients tried again {load.refused} times",
    )


def test_r5_the_bus_is_away(suite: ChaosSuite, client: Client, figures: Figures) -> None:
    count, away = scaled(200, 30), scaled(60, 8)
    since = time.time()
    ends = [client.create(f"r5-{number}", f"sleep 2; exit {number}") for number in range(count)]
    again = client.create("r5-again", "sleep 0.5; exit 1", RestartPolicy={"Name": "always"})
    for container in [again, *ends]:
        client.start(container)
    nats = int(suite.row("nats")["pid"])
    os.kill(nats, signal.SIGSTOP)
    time.sleep(away)  # the length of the outage is what is tested
    before = _conmons(suite)
    os.kill(nats, signal.SIGCONT)
    began = time.monotonic()
    eventually(lambda: _all_died(client, since, ends), "all die events", 30)
    took = time.monotonic() - began
    told = lives(client, since)
    assert {told[container] for container in ends} == {("create", "start", "die")}
    assert [client.wait(container) for container in ends] == list(range(count))
    starts = [word for word in told[again] if word in ("start", "die")]
    assert starts == ["start", "die"] * (len(starts) // 2) + ["start"] * (len(starts) % 2)
    assert client.inspect(again)["RestartCount"] >= 2
    assert before <= 1, "ended containers still have shims"
    figures.show("R5", f"bus away for {away} s, {count} ends meanwhile: all events there {took:.1f} s after its return")


def _all_died(client: Client, since: float, wanted: list[str]) -> bool:
    died = {row["Actor"]["ID"] for row in client.history(since, event="die")}
    return set(wanted) <= died


def _conmons(suite: ChaosSuite) -> int:
    return census.take(suite).processes["conmon"]


def test_r11_everything_killed_at_once(suite: ChaosSuite, client: Client, figures: Figures) -> None:
    count = scaled(100, 20)
    since = time.time()
    made = [client.create(f"r11-{number}", "exit 3") for number in range(count)]
    for container in made[::2]:
        client.start(container)
    pids = [*suite.processes().values(), suite.supervisor_pid]
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    suite.start_again()
    suite.whole()
    rows = {row["Id"]: row["State"] for row in client.steadily("GET", "/containers/json?all=1").json()}
    assert rows.keys() == set(made)
    assert [client.wait(container) for container in made[::2]] == [3] * len(made[::2])
    eventually(lambda: _all_died(client, since, made[::2]), "all die events")
    told = lives(client, since)
    assert {told[container] for container in made[::2]} == {("create", "start", "die")}
    assert {told[container] for container in made[1::2]} == {("create",)}
    figures.show("R11", f"{count} acknowledged containers and their events: 0 lost after kill -9 of all at once")
