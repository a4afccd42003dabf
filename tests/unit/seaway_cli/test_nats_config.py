import re
import subprocess
from pathlib import Path

import pytest

from seaway_bus import node_keys
from seaway_cli.hosts import Listen, Tls
from seaway_cli.nats_config import NatsServer, accounts_block, outside, render
from seaway_cli.permissions import USERS
from seaway_testing import nats_server

needs_server = pytest.mark.skipif(not nats_server.available(), reason="nats-server is not installed")
KEY = node_keys.public_key(node_keys.new_seed())
ALL = (*USERS, "agent.n1", "agent.n2")


def config(store: Path, listen: Listen | None = None) -> str:
    passwords = {user: user + '-"}w' for user in ALL}
    return render(NatsServer("seaway-abc", 14222, store, passwords, listen or Listen()))


def test_what_the_design_asks_for() -> None:
    text = config(Path("/x/nats"))
    assert "sync_interval: always" in text
    assert "max_payload: 8388608" in text
    assert 'listen: "127.0.0.1:14222"' in text
    assert 'store_dir: "/x/nats"' in text
    for user in ALL:
        assert f'"user": "{user}"' in text


def test_for_other_machines_with_tls() -> None:
    text = config(Path("/x/nats"), Listen("10.0.0.5", Tls("/c.pem", "/k.pem", "/ca.pem")))
    assert 'listen: "10.0.0.5:14222"' in text
    assert 'cert_file: "/c.pem"' in text
    assert "tls" not in config(Path("/x/nats"))


def test_each_user_is_in_its_own_account() -> None:
    blocks = re.findall(
        r'^"(\S+)": {\n(?:jetstream: enabled\n|limits: [^\n]*\n)?users: \[\n(.*?)\n\]', config(Path("/x")), re.M | re.S
    )
    users = {name: set(re.findall(r'"user": "(\S+)"', text)) for name, text in blocks}
    assert users == {"SEAWAY": set(USERS) - {"join"}, "JOIN": {"join"}, "n1": {"agent.n1"}, "n2": {"agent.n2"}}
    assert config(Path("/x")).count("jetstream: enabled") == 1


def checked(text: str, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    """What a real server says of that configuration."""
    file = tmp_path / "nats.conf"
    file.write_text(text)
    return subprocess.run(["nats-server", "-t", "-c", str(file)], capture_output=True, text=True, timeout=30)


def test_a_node_that_joined_has_a_key_and_the_permissions_of_an_agent() -> None:
    text = accounts_block({"api": '"a"', "agent.n1": '"b"'}, {"n2": KEY})
    (by_password,) = re.findall(r'"user": "agent.n1", "password": "b", ("permissions": .*?\n}})', text, re.S)
    (by_key,) = re.findall(rf'{{"nkey": "{KEY}", ("permissions": .*?\n}}}})', text, re.S)
    assert by_key == by_password.replace("n1", "n2")
    assert '{"service": {"account": "SEAWAY", "subject": "seaway.v1.node.n2.ask.>"}}' in text
    assert '{"service": {"account": "SEAWAY", "subject": "seaway.v1.node.n2.tell.>"}}' in text


def test_keys_for_an_outside_server() -> None:
    text = outside(["n1", f"n2={KEY}"])
    assert '"user": "agent.n1", "password": $SEAWAY_NATS_AGENT_N1' in text
    assert f'"nkey": "{KEY}"' in text and "AGENT_N2" not in text
    for wrong in ("n2=", "n2=U", f"n2={KEY.lower()}", f"all={KEY}"):
        with pytest.raises(ValueError, match=r"no public nkey|is reserved"):
            outside([wrong])


@pytest.mark.parametrize(
    ("nodes", "sentence"),
    [
        (["n1", f"n1={KEY}"], "the node n1 is there twice"),
        (["n1", "n1"], "the node n1 is there twice"),
        (["n1", f"n2={KEY}", f"n3={KEY}"], f"the key {KEY} is there twice"),
        (["n-1", "n_1"], "only in case, - and _.* SEAWAY_NATS_AGENT_N_1 is there twice"),
        (["n1", "N1"], "SEAWAY_NATS_AGENT_N1 is there twice"),
    ],
)
def test_no_two_nodes_of_an_outside_server_log_in_as_one(nodes: list[str], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence.replace(" SEAWAY", r" \$SEAWAY")):
        outside(nodes)


def test_machines_that_join_can_not_use_the_server_up() -> None:
    limits = 'limits: {"max_connections": 256, "max_subscriptions": 16, "max_payload": 16384}'
    assert f'"JOIN": {{\n{limits}\n' in config(Path("/x")) and config(Path("/x")).count("limits") == 1


@needs_server
def test_the_server_takes_keys(tmp_path: Path) -> None:
    assert checked(accounts_block({"api": '"a"'}, {"n2": KEY}), tmp_path).returncode == 0
    damaged = KEY[:9] + ("A" if KEY[9] != "A" else "B") + KEY[10:]
    assert checked(accounts_block({"api": '"a"'}, {"n2": damaged}), tmp_path).returncode != 0


@needs_server
def test_the_server_takes_it(tmp_path: Path) -> None:
    assert checked(config(tmp_path / 'odd " name'), tmp_path).returncode == 0


@needs_server
@pytest.mark.parametrize("node", ["123", "1e3", "22e6a", "true", "a-b_c", "x" * 128])
def test_the_server_takes_every_name_that_a_node_may_have(tmp_path: Path, node: str) -> None:
    passwords = dict.fromkeys((*USERS, f"agent.{node}"), "secret")
    found = checked(render(NatsServer("seaway-abc", 14222, tmp_path / "store", passwords)), tmp_path)
    assert found.returncode == 0, found.stderr


@needs_server
@pytest.mark.parametrize(("kind", "part"), [("service", "ask"), ("service", "tell"), ("stream", "do")])
def test_the_server_lets_no_account_take_what_is_anothers(tmp_path: Path, kind: str, part: str) -> None:
    """The services export to all nodes at once: the server keeps each to its own subjects."""
    subject = f"seaway.v1.node.{{}}.{part}.>"
    own, other = (
        f'{{"{kind}": {{"account": "SEAWAY", "subject": "{subject.format(node)}"}}}}' for node in ("n2", "n1")
    )
    text = config(tmp_path / "store")
    assert text.count(own) == 1
    found = checked(text.replace(own, other), tmp_path)
    assert found.returncode != 0
    assert "not authorized" in found.stderr or "not authorized" in found.stdout, found


@needs_server
@pytest.mark.parametrize("giver", ["n1", "SEAWAY"])
def test_the_server_lets_no_node_hear_what_another_one_tells(tmp_path: Path, giver: str) -> None:
    own = '{"stream": {"account": "SEAWAY", "subject": "seaway.v1.node.n2.do.>"}}'
    wrong = f'{{"stream": {{"account": "{giver}", "subject": "seaway.v1.node.n1.tell.>"}}}}'
    text = config(tmp_path / "store")
    assert text.count(own) == 1
    found = checked(text.replace(own, wrong), tmp_path)
    assert found.returncode != 0
    assert "not authorized" in found.stderr or "not authorized" in found.stdout, found


def test_users_of_events_for_an_outside_server() -> None:
    line = f"user:bob={KEY}:2097152:container.die:n1"
    text = outside(["n1", line])
    block = text[text.index('"user:bob": {') :]
    assert f'"nkey": "{KEY}"' in block
    assert "max_file" not in block, "the server would reserve it, and keep that when the account is gone"
    assert '"seaway.v1.event.n1.container.die.*"' in block
    assert '"user:bob"' not in outside(["n1"])
    other = line.replace("bob", "eve")
    for given, sentence in (
        (["n1", line, line], "the user bob is there twice"),
        (["n1", line, other], f"the key {KEY} is there twice"),
        (["n1", f"n2={KEY}", line], f"the key {KEY} is there twice"),
        (["n1", "user:bob"], "is no user"),
        (["n1", line.replace("container.die", "x y")], "is no user"),
    ):
        with pytest.raises(ValueError, match=sentence):
            outside(given)
