"""An agent that is killed while the bus is away: the next one looks after its containers all the same."""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import sqlite3
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from tests.integration.agent.rig import AgentRig

from seaway_contracts.containers import RestartPolicy, State
from seaway_contracts.images import Healthcheck
from seaway_testing.nats_server import NatsServer
from seaway_testing.ports import free_port

pytestmark = pytest.mark.root


def anyone(denied: str) -> str:
    """The server's configuration for clients without a name."""
    permissions = f'permissions: {{ publish: {{ deny: "{denied}" }} }}'
    return f"authorization: {{ users: [ {{ user: all, password: all, {permissions} }} ] }}\nno_auth_user: all"


@pytest.fixture
def nats_url(nats: NatsServer) -> str:
    """A server of its own, which goes away, or denies things."""
    nats.stop()
    nats.reconfigure(anyone("nothing"))
    return nats.start().url


def ready(address: str) -> tuple[bool, dict[str, Any]]:
    """Whether the agent calls itself ready, and its conditions."""
    try:
        with urllib.request.urlopen(f"http://{address}/readyz", timeout=5) as reply:
            return True, json.load(reply)["conditions"]
    except urllib.error.HTTPError as error:
        return False, json.load(error)["conditions"]
    except OSError:
        return False, {}


@pytest.mark.parametrize("how", ["stopped", "frozen"])
async def test_restart_policies_ends_and_health_checks_go_on(rig: AgentRig, nats: NatsServer, how: str) -> None:
    address = rig.env["SEAWAY_METRICS"] = f"127.0.0.1:{free_port()}"
    script = "echo life; sleep 1000"
    check = Healthcheck(test=("CMD", "true"), interval_ns=100_000_000)
    again = await rig.create(rig.spec("sh", "-c", script, restart=RestartPolicy(name="always")))
    ends = await rig.create(rig.spec("sleep", "1000"))
    checked = await rig.create(rig.spec("sleep", "1000", healthcheck=check))
    first, last, _ = [(await rig.start_container(each)).status.pid for each in (again, ends, checked)]
    server = nats._process
    assert server is not None
    if how == "stopped":
        nats.stop()
    else:
        server.send_signal(signal.SIGSTOP)
    rig.end(signal.SIGKILL)
    rig.spawn()
    await rig.until(lambda: ready(address)[1])
    os.kill(first, signal.SIGKILL)
    os.kill(last, signal.SIGKILL)
    await rig.until(lambda: rig.output(again) == "life\nlife\n")
    is_ready, conditions = await asyncio.to_thread(ready, address)
    assert not is_ready and not conditions["started"]["ok"] and not conditions["bus"]["ok"]
    assert rig.told(again) == ["create", "start"], "nothing can be told yet"
    if how == "stopped":
        nats.start()
    else:
        server.send_signal(signal.SIGCONT)
    await rig.until(rig.answers)
    await rig.until(lambda: rig.told(again) == ["create", "start", "die", "start"])
    assert (await rig.died(ends)).status.exit_code == 137
    await rig.wait_for(checked, "health_status")
    await rig.until(lambda: ready(address)[0])


async def test_an_agent_starts_and_takes_commands_while_nothing_can_be_stored(rig: AgentRig, nats: NatsServer) -> None:
    """As where most of a cluster's servers are away: JetStream doesn't answer."""
    container = await rig.create(rig.spec("sleep", "1000"))
    rig.end(signal.SIGKILL)
    nats.reconfigure(anyone("$JS.API.>"))
    await rig.start()
    await rig.start_container(container)
    assert not rig.ended()
    nats.reconfigure(anyone("nothing"))
    await rig.until(lambda: rig.told(container) == ["create", "start"])


async def test_after_a_reboot_the_bus_is_not_waited_for_for_ever(
    rig: AgentRig, nats: NatsServer, tmp_path: Path
) -> None:
    """What was started just before the cut is then as it was before that; what is told from now on counts as newer."""
    database, copy = rig.root / "agent" / rig.node / "agent.db", tmp_path / "copy.db"
    late, early = [await rig.create(rig.spec("sleep", "600")) for _ in range(2)]
    await rig.start_container(early)
    with contextlib.closing(sqlite3.connect(database)) as db, contextlib.closing(sqlite3.connect(copy)) as kept:
        db.backup(kept)
    await rig.start_container(late)
    await rig.wait_for(late, "start")
    await rig.all_stored()
    nats.stop()
    rig.cut_power()
    for path in database.parent.glob("agent.db*"):
        path.unlink()
    copy.rename(database)
    for name in ("c", "crun", "exits", "persist"):  # what is on tmpfs is gone
        shutil.rmtree(rig.run / name)
    log = rig.base / "agent.log"
    rig.spawn()
    await rig.until(lambda: "what was started, made or removed just then may be lost" in log.read_text())
    nats.start()
    await rig.until(rig.answers)
    held = await rig.inventory()
    assert (held[early].status.state, held[early].status.exit_code) == (State.EXITED, 255)
    assert held[late].status.state is State.CREATED
    await rig.start_container(late)
    await rig.until(lambda: rig.told(late) == ["create", "start", "start"], lambda: str(rig.told(late)))
    numbers = [event.envelope.seq for event in rig.events if event.envelope.subject_id == late]
    assert numbers == sorted(set(numbers))
    await rig.until(lambda: rig.told(early) == ["create", "start", "die"], lambda: str(rig.told(early)))
