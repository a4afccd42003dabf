"""What one agent writes of a run for the next."""

import json

from seaway_agent.core.instructions import Launch, Waiter
from seaway_agent.runtime.run import RunRecord
from seaway_contracts.containers import Endpoint, PublishedPort

ENDPOINT = Endpoint(network="bridge", network_id="n", endpoint_id="e", address="172.17.0.2", gateway="172.17.0.1")
PORT = PublishedPort(container_port=80, protocol="tcp", host_ip="0.0.0.0", host_port=8080)


def test_the_next_agent_reads_what_was_written() -> None:
    order = Launch(3, (Waiter("a", "me"),), (Waiter("b"),))
    record = RunRecord(order, (ENDPOINT,), (PORT,), "docker-default")
    assert RunRecord.load(json.loads(record.dump())) == record


def test_what_an_earlier_release_did_not_write_is_unknown() -> None:
    assert RunRecord.load({"run": 2, "endpoints": None}) == RunRecord(Launch(2))
    assert RunRecord.load({}) == RunRecord()
    assert RunRecord().apparmor is None


def test_the_form_on_disk() -> None:
    """Agents of the releases before read it too, after a downgrade."""
    body = json.loads(RunRecord(Launch(1, (Waiter("c", "me"),)), (ENDPOINT,), (PORT,), "").dump())
    assert body["run"] == 1
    assert (body["starters"], body["restarters"]) == ([["c", "me"]], [])
    assert body["endpoints"][0]["address"] == "172.17.0.2"
    assert body["ports"][0]["host_port"] == 8080
    assert body["apparmor"] == ""
