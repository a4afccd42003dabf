"""R5: a node that is cut off from the bus goes on by itself, and what it did is told when it is back."""

import os
import signal
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest
from chaos_rig import stream
from chaos_rig.client import Client
from chaos_rig.far_node import FarNode
from chaos_rig.figures import Figures
from chaos_rig.outage import Outage
from chaos_rig.scale import FULL, scaled
from chaos_rig.suite import ChaosSuite
from e2e_rig.api import filters
from e2e_rig.waits import eventually

from seaway_kit.failpoints import Failpoint
from seaway_kit.logs import as_text

pytestmark = [pytest.mark.root, pytest.mark.timeout(400)]
_MOST_WAIT_S = 20.0


@pytest.fixture
def far(suite: ChaosSuite, client: Client, chaos_directory: Path) -> Iterator[FarNode]:
    """A second node, known to all."""
    node = FarNode(suite, Path(tempfile.mkdtemp(prefix="n2-", dir=chaos_directory)))
    try:
        eventually(lambda: "n2" in _states(suite), "the second node")
        yield node
        node.link.mend()
        eventually(lambda: _emptied(suite), "all containers to be removed", 30)  # while their node is still there
    finally:
        node.close()


def _emptied(suite: ChaosSuite) -> bool:
    """What is left on a node that is gone for good can't be removed by the tests that follow."""
    try:
        suite.api.remove_all()
    except AssertionError:
        return False
    return True


def _states(suite: ChaosSuite) -> dict[str, str]:
    """What metadata has said of the nodes last."""
    found = {}
    for line in (suite.run / "log" / "metadata.log").read_text().splitlines():
        name, _, rest = as_text(line).partition(" node ")[2].partition(": ")
        if rest.startswith(("join", "up", "down")):
            found[name] = rest.split()[0]
    return found


def _on(client: Client, far: FarNode, name: str, script: str, **host: object) -> str:
    """A container on the far node, beside the first one that came there: by itself few of many would go there."""
    far.anchor = far.anchor or client.first_on(far.name)
    container = client.create(name, script, VolumesFrom=[far.anchor], **host)
    assert client.inspect(container)["Node"]["Name"] == far.name
    return container


@pytest.mark.parametrize("how", ["frozen", "cut"] if FULL else ["frozen"])
def test_r5_node_cut_off(
    suite: ChaosSuite, client: Client, far: FarNode, figures: Figures, tmp_path: Path, how: str
) -> None:
    count, away = scaled(50, 8), scaled(60, 10)
    outage = Outage(client, tmp_path, count, partial(_on, client, far))
    since = outage.since
    target = _on(client, far, "target", "trap 'exit 8' TERM; while :; do sleep 0.05; done")
    client.start(target)
    began = time.monotonic()
    {"frozen": far.link.freeze, "cut": far.link.cut}[how]()
    outage.let_end()
    outage.goes_on()
    eventually(lambda: _states(suite)["n2"] == "down", "the node to be marked down", 20)
    marked = time.monotonic() - began
    told = _ask_meanwhile(suite, target)
    time.sleep(max(0.0, away - (time.monotonic() - began)))  # the length of the outage is what is tested
    far.link.mend()
    back = time.monotonic()
    eventually(outage.all_told, "all die events", 30)
    took = time.monotonic() - back
    outage.check()
    events = stream.check(suite, since, [*outage.ends, outage.again])
    eventually(lambda: _states(suite)["n2"] == "up", "the node to be up", 10)
    _check_target(client, since, target)
    assert _node_events(client, since)[-2:] == ["down", "up"]
    assert took < 5
    figures.show(
        "R5",
        f"node {how} for {away} s: down after {marked:.1f} s; stop meanwhile: {told}; "
        f"{count} ends meanwhile told {took:.1f} s after its return; {events} events without gap or double",
    )


def _ask_meanwhile(suite: ChaosSuite, target: str) -> str:
    """Stop a container there: a clear error, soon. (Twice, at once.)"""

    def stop() -> tuple[int, str, float]:
        began = time.monotonic()
        reply = suite.api.request("POST", f"/containers/{target}/stop?t=5", timeout=60)
        return reply.status, reply.body.decode(), time.monotonic() - began

    with ThreadPoolExecutor(2) as pool:
        replies = [ask.result() for ask in [pool.submit(stop), pool.submit(stop)]]
    for status, text, took in replies:
        assert status in (503, 504) and "n2" in text, (status, text)
        assert took < _MOST_WAIT_S
    return f"{replies[0][0]} after {replies[0][2]:.1f} s"


def _check_target(client: Client, since: float, target: str) -> None:
    """What was asked meanwhile was done once or not at all; asked again, it is done."""
    reply = client.steadily("POST", f"/containers/{target}/stop?t=5")
    assert reply.status in (204, 304), reply
    assert client.wait(target) == 8
    done = [word for word in client.told(since, target) if word != "kill"]
    assert sorted(done) == ["create", "die", "start", "stop"], done


def _node_events(client: Client, since: float) -> list[str]:
    query = f"since={since:.9f}&until={time.time() + 0.001:.9f}&{filters(type='node')}"
    reply = client.steadily("GET", f"/events?{query}")
    return [line.partition(b'"Action":"')[2].partition(b'"')[0].decode() for line in reply.body.splitlines()]


def _beside(anchor: str) -> dict[str, object]:
    """A container that belongs where that one is."""
    return {"Image": "busybox", "Cmd": ["true"], "HostConfig": {"NetworkMode": "none", "VolumesFrom": [anchor]}}


def _given_up(suite: ChaosSuite) -> bool:
    return "was given up before its node told of it" in (suite.run / "log" / "metadata.log").read_text()


def test_r5_a_create_that_its_node_hears_too_late(
    suite: ChaosSuite, client: Client, far: FarNode, figures: Figures
) -> None:
    """The client was told that it has failed: its name is free, and the node makes it in vain."""
    anchor = client.first_on(far.name)
    since = time.time()
    far.pause()
    reply = suite.api.request("POST", "/containers/create?name=late", _beside(anchor), timeout=60)
    took = time.time() - since
    assert reply.status == 504 and "Container late is given up" in reply.message, reply
    again = client.create("late", "exit 0")
    far.resume()
    eventually(lambda: _given_up(suite), "the node to be told", 30)

    def told() -> dict[str, list[str]]:
        actions: dict[str, list[str]] = {}
        for event in client.history(since):
            actions.setdefault(event["Actor"]["ID"], []).append(event["Action"])
        return actions

    eventually(lambda: sorted(told().values()) == [["create"], ["create", "destroy"]], "both lives", 20)
    assert told()[again] == ["create"]
    assert {row["Id"] for row in client.steadily("GET", "/containers/json?all=1").json()} == {anchor, again}
    assert client.inspect("late")["Id"] == again
    figures.show("R5", f"a create that its node heard too late: refused after {took:.1f} s, and made in vain")


def test_r5_removed_while_its_node_is_away(suite: ChaosSuite, client: Client, far: FarNode, figures: Figures) -> None:
    """The API was killed before it asked a node, and then the node went: the name is free once it is asked for."""
    anchor = client.first_on(far.name)
    far.link.freeze()
    suite.arm(Failpoint.CREATE_REGISTERED)
    client.broken_off("POST", "/containers/create?name=lost", _beside(anchor))
    suite.whole()
    eventually(lambda: _states(suite)["n2"] == "down", "the node to be marked down", 20)
    lost = client.inspect("lost")["Id"]
    assert suite.api.request("DELETE", f"/containers/{anchor}?force=1", timeout=60).status in (503, 504)
    began = time.monotonic()
    assert suite.api.request("DELETE", "/containers/lost", timeout=60).status == 204
    took = time.monotonic() - began
    for ref in ("lost", lost):
        assert client.steadily("GET", f"/containers/{ref}/json").status == 404
        assert client.steadily("DELETE", f"/containers/{ref}").status == 404
    again = client.create("lost", "exit 0")
    far.link.mend()
    eventually(lambda: _given_up(suite), "the node to be told", 30)
    left = {row["Id"] for row in client.steadily("GET", "/containers/json?all=1").json()}
    assert left in ({again}, {anchor, again})  # the anchor's removal had no answer: the node may have carried it out
    figures.show("R5", f"removed while its node was away, before that had told of it: answered after {took:.1f} s")


def test_r5_agent_killed_while_nats_is_away(suite: ChaosSuite, client: Client, figures: Figures) -> None:
    """The next agent runs its containers without the bus, and tells all when that is back."""
    since = time.time()
    again = client.create("again", "sleep 1000", RestartPolicy={"Name": "always"})
    ends = client.create("ends", "sleep 1000")
    for container in (again, ends):
        client.start(container)
    pids = [int(client.state(container)["Pid"]) for container in (again, ends)]
    nats = int(suite.row("nats")["pid"])
    os.kill(nats, signal.SIGSTOP)
    try:
        suite.kill("agent")
        eventually(lambda: suite.row("agent")["state"] == "starting", "the next agent")
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        began = time.monotonic()
        eventually(lambda: _runs(suite, again, pids[0]), "the container to be started again")
        took = time.monotonic() - began
        assert suite.row("agent")["state"] == "starting", "it doesn't call itself ready"
    finally:
        os.kill(nats, signal.SIGCONT)
    suite.whole()
    assert client.wait(ends) == 137
    eventually(lambda: client.told(since, again) == ["create", "start", "die", "start"], "all events")
    figures.show("R5", f"agent killed while NATS is away: started again {took:.1f} s after its end")


def _runs(suite: ChaosSuite, container: str, before: int) -> bool:
    """Whether another process of a container than that runs, by its pid file."""
    for path in (suite.run / "agent").glob(f"*/c/{container}/pidfile"):
        text = path.read_text()
        return text.isdigit() and int(text) != before and Path(f"/proc/{text}").exists()
    return False
