import socket
from pathlib import Path

import pytest

from seaway_bus.node_keys import new_seed
from seaway_cli.doctor_node import Node, _compared, examine, unreachable
from seaway_cli.errors import CliError
from seaway_cli.layout import Layout
from seaway_contracts.joining import NodeCheck
from seaway_contracts.version import VERSION
from seaway_testing.ports import free_port

S = 10**9


def compared(clock_ns: int, version: str = VERSION) -> dict[str, tuple[str, str]]:
    """The findings where this machine asked at 100 s and had the answer at 101 s."""
    check = NodeCheck(time_ns=clock_ns, version=version)
    return {one.what: (one.level, one.text) for one in _compared(check, 100 * S, 101 * S)}


def test_a_clock_that_agrees_within_the_time_of_the_question() -> None:
    for clock_s in (98, 100, 101, 103):
        assert compared(clock_s * S)["clock"] == ("ok", "the clock agrees with the cluster's")


def test_a_clock_that_is_wrong() -> None:
    assert compared(97 * S)["clock"] == ("fail", "this machine's clock is 3 s ahead of the cluster's")
    assert compared(201 * S)["clock"] == ("fail", "this machine's clock is 100 s behind the cluster's")


def test_versions() -> None:
    assert compared(100 * S)["version"] == ("ok", f"both run Seaway {VERSION}")
    found = compared(100 * S, "9.9")["version"]
    assert found == ("fail", f"the cluster runs Seaway 9.9, this machine {VERSION}")


def test_what_listens_can_be_reached() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert unreachable("127.0.0.1", server.getsockname()[1]) == ""
    assert unreachable("127.0.0.1", free_port()) == "Connection refused"
    assert unreachable("no-such-host.invalid", 1) != ""


def layout(tmp_path: Path, **values: str) -> Layout:
    made = Layout(tmp_path, tmp_path / "run")
    made.joined.mkdir()
    (made.joined / "nkey").write_text(new_seed())
    given = {"node": "n2", "nats": f"nats://127.0.0.1:{free_port()}", "nats_user": "agent.n2"} | values
    given["nats_nkey_file"] = str(made.joined / "nkey")
    made.agent_config.write_text("".join(f'{name} = "{value}"\n' for name, value in given.items()))
    return made


def test_without_a_server_nothing_else_is_looked_at(tmp_path: Path) -> None:
    (finding,) = examine(Node.of(layout(tmp_path)))
    assert finding.level == "fail" and finding.what == "nats" and finding.todo
    assert finding.text.startswith("no NATS server can be reached at 127.0.0.1:") and "refused" in finding.text


def test_a_machine_that_has_not_joined(tmp_path: Path) -> None:
    with pytest.raises(CliError, match=r"this machine has not joined: .*agent.toml is missing \(`seaway join`\)"):
        Node.of(Layout(tmp_path, tmp_path))
    made = layout(tmp_path)
    made.agent_config.write_text("node = ")
    with pytest.raises(CliError, match="can't be read"):
        Node.of(made)
