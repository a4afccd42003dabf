"""An agent that is killed while the bus is away: the next one looks after its containers all the same."""

import asyncio
import json
import os
import signal
import socket
import urllib.error
import urllib.request
from typing import Any

import pytest
from tests.integration.agent.rig import AgentRig

from seaway_contracts.containers import RestartPolicy
from seaway_contracts.images import Healthcheck
from seaway_testing.nats_server import NatsServer

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


def free_address() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


@pytest.mark.parametrize("how", ["stopped", "frozen"])
async def test_restart_policies_ends_and_health_checks_go_on(rig: AgentRig, nats: NatsServer, how: str) -> None:
    address = rig.env["SEAWAY_METRICS"] = free_address()
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
    await rig.until(rig._answers)
    await rig.until(lambda: rig.told(again) == ["create", "start", "die", "start"])
    assert (await rig.died(ends)).status.exit_code == 137
    await rig.wait_for(checked, "health_status")
    await rig.until(lambda: ready(address)[0])


async def test_an_agent_starts_and_takes_commands_while_nothing_can_be_stored(
    rig: AgentRig, nats: NatsServer
) -> None:
    """As where most of a cluster's servers are away: JetStream doesn't answer."""
    container = await rig.create(rig.spec("sleep", "1000"))
    rig.end(signal.SIGKILL)
    nats.reconfigure(anyone("$JS.API.>"))
    await rig.start()
    await rig.start_container(container)
    assert not rig.ended()
    nats.reconfigure(anyone("nothing"))
    await rig.until(lambda: rig.told(container) == ["create", "start"])
