import json
import socket
import stat
from pathlib import Path

import pytest

from seaway_bus import node_keys
from seaway_cli import nats_server
from seaway_cli.errors import CliError
from seaway_cli.hosts import Listen
from seaway_cli.layout import Layout
from seaway_cli.permissions import USERS
from seaway_cli.suite import Suite, prepared


def test_port_is_kept_while_it_is_free() -> None:
    first = nats_server.choose_port(Suite("00000a"))
    assert 14222 <= first < 24222
    assert nats_server.choose_port(Suite("ffffff", first)) == first


def test_next_port_where_the_own_is_taken() -> None:
    port = nats_server.choose_port(Suite("0000ff"))
    with socket.create_server(("127.0.0.1", port)):
        assert nats_server.choose_port(Suite("0000ff")) != port


def _program(path: Path, version: str) -> str:
    path.write_text(f"#!/bin/sh\necho '{version}'\n")
    path.chmod(0o755)
    return str(path)


def test_old_server_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CliError, match=r"is nats-server: v2\.9\.10: Seaway needs 2\.10 or newer"):
        nats_server.check_version(_program(tmp_path / "nats-server", "nats-server: v2.9.10"))


@pytest.mark.parametrize("version", ["nats-server: v2.10.0", "nats-server: v3.0.1", "nats-server: devel"])
def test_new_or_unknown_server_is_taken(tmp_path: Path, version: str) -> None:
    nats_server.check_version(_program(tmp_path / "nats-server", version))


def test_server_that_cannot_be_run(tmp_path: Path) -> None:
    with pytest.raises(CliError, match="can't be run"):
        nats_server.check_version(str(tmp_path / "absent"))


def test_asked_port_must_be_free(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as squatter:
        port = squatter.getsockname()[1]
        monkeypatch.setattr(nats_server, "wait_until_free", lambda *_: False)
        with pytest.raises(CliError, match=f"port {port} for NATS is taken"):
            nats_server.with_port(Suite("000000"), port)


def test_server_is_known_by_its_greeting() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        assert not nats_server.serves("127.0.0.1", silent.getsockname()[1])
    assert not nats_server.serves("127.0.0.1", 1)


def test_passwords_are_made_once_and_private(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "root", tmp_path / "run")
    with prepared(layout):
        first = nats_server.passwords(layout, "n1")
        assert nats_server.passwords(layout, "n1") == first
    assert set(first) == {*USERS, "agent.n1"}
    assert len(set(first.values())) == len(first)
    assert {stat.S_IMODE(path.stat().st_mode) for path in layout.secrets.iterdir()} == {0o600}


def test_nodes_are_those_with_a_password(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "root", tmp_path / "run")
    with prepared(layout):
        for name in ("agent", "agent.n2", "agent.n3.part", "agent.all", "api"):
            layout.secret(name).touch()
    assert nats_server.nodes(layout) == ["n2"]
    assert {"agent.n1", "agent.n2"} <= nats_server.passwords(layout, "n1").keys()


def test_keys_of_nodes_that_a_server_would_not_take_are_left_out(tmp_path: Path) -> None:
    file, key = tmp_path / "keys.json", node_keys.public_key(node_keys.new_seed())
    assert nats_server.node_keys(file) == {}
    for text in ("", "[]", "no JSON", '{"n2": "x"}', '{"nodes": [1]}', '{"nodes": {"n2": 1}}'):
        file.write_text(text)
        assert nats_server.node_keys(file) == {}
    file.write_text(json.dumps({"nodes": {"n2": key, "n3": key[:-1] + "A", "n4": "", "all": key, "a.b": key}}))
    assert nats_server.node_keys(file) == {"n2": key}
    other = node_keys.public_key(node_keys.new_seed())
    file.write_text(json.dumps({"nodes": {"n4": key, "n2": key, "n3": other, "n1": key}}))
    assert nats_server.node_keys(file) == {"n4": key, "n3": other}, "a server takes up no key twice"


def test_users_that_a_server_would_not_take_are_left_out(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    keys = [node_keys.public_key(node_keys.new_seed()) for _ in range(3)]
    assert nats_server.readers(file) == ()

    def user(name: str, key: str, **fields: object) -> dict[str, object]:
        return {"name": name, "public_key": key, "created_ns": 1, **fields}

    good = [user("bob", keys[0]), user("eve", keys[1], events=["container.die"], nodes=["n1"])]
    bad = [
        user("bob.>", keys[2]),
        user("api", keys[2]),
        user("ann", keys[2][:-1] + "A"),
        user("ann", keys[2], events=["container.die.>"]),
        user("ann", keys[2], nodes=["*"]),
        user("ann", keys[2], keep=0),
        user("ann", keys[0]),
    ]
    file.write_text(json.dumps({"nodes": {"n2": keys[2]}, "users": [*good, user("ann", keys[2])]}))
    assert [one.name for one in nats_server.readers(file)] == ["bob", "eve"], "a node has that key"
    file.write_text(json.dumps({"nodes": {}, "users": [*good, *bad]}))
    assert [one.name for one in nats_server.readers(file)] == ["bob", "eve"]
    file.write_text(json.dumps({"nodes": {}, "users": [1]}))
    assert nats_server.readers(file) == ()


def test_a_key_is_no_way_to_a_node_that_has_a_password(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "root", tmp_path / "run")
    with prepared(layout):
        pass
    keys = {name: node_keys.public_key(node_keys.new_seed()) for name in ("n1", "n2", "n3")}
    layout.node_keys.write_text(json.dumps({"nodes": keys}))
    nats_server.password(layout.secret("agent.n2"))
    nats_server.prepare(layout, Suite("abcdef", 14222), "n1", Listen())
    text = layout.nats_config.read_text()
    assert [name for name, key in keys.items() if key in text] == ["n3"]


def test_outside_url(tmp_path: Path) -> None:
    with pytest.raises(CliError, match="is not a NATS URL") as caught:
        nats_server.check_outside("http://x")
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(("processors", "used"), [(1, "1"), (2, "1"), (3, "1"), (16, "8")])
def test_server_leaves_half_of_the_processors_alone(processors: int, used: str) -> None:
    assert nats_server.environment({"A": "b"}, processors) == {"A": "b", "GOMAXPROCS": used}


def test_server_gets_the_processors_that_somebody_has_set() -> None:
    assert nats_server.environment({"GOMAXPROCS": "7"}, 2) == {"GOMAXPROCS": "7"}
