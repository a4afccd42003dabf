"""`seaway doctor`: what it says of a suite's services, its stream and its nodes."""

import json
import socket
from pathlib import Path
from typing import Any

import pytest

from seaway_bus.transport import StreamSize
from seaway_cli import doctor_suite
from seaway_cli.layout import Layout
from seaway_contracts.nodes import NodeFacts, NodeRecord
from seaway_contracts.version import VERSION
from seaway_testing.builders import node_record
from seaway_testing.clock import START_NS
from seaway_testing.ports import free_port

S = 10**9


def test_a_suite_that_does_not_run(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "root", tmp_path / "run")
    (tmp_path / "root").mkdir()
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        layout.marker.write_text(json.dumps({"token": "0a0b0c", "nats_port": port}))
        suite, taken, _ = doctor_suite.examine(layout)
    assert (suite.level, suite.text) == ("fail", f"no suite runs in {tmp_path}/run")
    assert suite.todo.startswith("seaway up --root")
    assert (taken.what, taken.level) == ("port", "fail") and str(port) in taken.text
    layout.marker.write_text(json.dumps({"token": "0a0b0c", "nats_port": free_port()}))
    assert [one.what for one in doctor_suite.examine(layout)] == ["suite", "metrics"]


def row(state: str, restarts: int) -> dict[str, Any]:
    return {"service": "api", "pid": 7, "state": state, "restarts": restarts}


@pytest.mark.parametrize(
    ("state", "restarts", "level"), [("ready", 0, "ok"), ("ready", 2, "note"), ("starting", 0, "fail")]
)
def test_services(state: str, restarts: int, level: str, tmp_path: Path) -> None:
    status = {"services": [row(state, restarts)], "version": VERSION}
    (found,) = doctor_suite.services(status, Layout(tmp_path, tmp_path))
    assert found.level == level
    assert found.todo == ("" if level == "ok" else f"seaway logs api --run {tmp_path}")


def test_a_suite_of_another_version(tmp_path: Path) -> None:
    (found,) = doctor_suite.services({"services": [], "version": "9.9"}, Layout(tmp_path, tmp_path))
    assert (found.what, found.level) == ("version", "note")


def test_endpoints(tmp_path: Path) -> None:
    path = tmp_path / "docker.sock"
    assert doctor_suite.endpoint(f"unix://{path}").level == "fail"
    assert doctor_suite.endpoint(f"tcp://127.0.0.1:{free_port()}").level == "fail"
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert doctor_suite.endpoint(f"tcp://127.0.0.1:{server.getsockname()[1]}").level == "ok"


def test_streams() -> None:
    assert doctor_suite.stream(StreamSize(0, 100, 1, 0)).text == "0 events in 0 MiB"
    assert doctor_suite.stream(StreamSize(2 << 20, 8 << 30, 11, 20)).text == "10 events in 2 MiB"
    assert doctor_suite.stream(StreamSize(95 << 20, 100 << 20, 1, 9)).level == "note"


def node(**changes: Any) -> NodeRecord:
    facts = NodeFacts(version=changes.pop("version", VERSION), warnings=changes.pop("warnings", ()))
    return node_record("n1", facts=facts, **changes)


def test_a_node_that_is_well() -> None:
    (found,) = doctor_suite.nodes([node(running=2, containers=3)])
    assert (found.level, found.text) == ("ok", "up, 2 of 3 containers run")


def test_nodes_that_are_not() -> None:
    off = node().model_copy(update={"last_beat_ns": START_NS + 5 * S})
    cases = {
        "is down": node(up=False),
        "its clock is 5 s behind the suite's": off,
        "runs out of disk": node(pressure=("disk",)),
        "its agent is Seaway 9.9, and not": node(version="9.9"),
        "the policy of the chain FORWARD": node(warnings=("node n1: the policy of the chain FORWARD is DROP",)),
    }
    for text, record in cases.items():
        (found,) = doctor_suite.nodes([record])
        assert found.text.startswith(text) and found.todo
        assert found.level == ("note" if "9.9" in text else "fail")
    (found,) = doctor_suite.nodes([])
    assert found.level == "fail"
