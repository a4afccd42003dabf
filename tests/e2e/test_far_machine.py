"""A node on another machine: NATS and images over TLS, by a user of its own; nothing else of this machine is needed."""

import json
import shlex
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from e2e_rig import images
from e2e_rig.certificates import Authority
from e2e_rig.docker_cli import DockerCli
from e2e_rig.engine import Daemon
from e2e_rig.prometheus import fetch
from e2e_rig.seaway import COMMANDS, Seaway, seaway
from e2e_rig.waits import eventually
from e2e_rig.world import HOST, World

pytestmark = [pytest.mark.seaway_only, pytest.mark.own_engines]
_FAR = "far"


@pytest.fixture(scope="module")
def authority(e2e_directory: Path) -> Authority:
    made = Authority(e2e_directory / "far-ca")
    made.sign("server", HOST)
    return made


@pytest.fixture(scope="module")
def suite(e2e_directory: Path, authority: Authority) -> Iterator[Seaway]:
    """A suite that listens for other machines."""
    files = authority.ca.parent / "server"
    words = ["--listen", HOST, "--tlscacert", str(authority.ca)]
    words += ["--tlscert", str(files / "cert.pem"), "--tlskey", str(files / "key.pem")]
    made = Seaway(e2e_directory / "near", up=tuple(words))
    made.start()
    yield made
    made.purge()


@pytest.fixture(scope="module")
def invitation(suite: Seaway) -> list[str]:
    """The command that `seaway node add` prints."""
    added = seaway("node", "add", _FAR, "--root", str(suite.root), "--run", str(suite.run))
    assert added.returncode == 0, added.stderr
    return shlex.split(added.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def far(e2e_directory: Path, world: World, suite: Seaway, invitation: list[str], authority: Authority) -> Iterator[str]:
    """The agent on the other machine, which has copies of two files; gives what it has logged."""
    place = e2e_directory / "far"
    place.mkdir()
    secret = shutil.copy(suite.root / "secrets" / f"agent.{_FAR}", place / "password")
    authority_there = shutil.copy(authority.ca, place / "ca.pem")
    words = [str(COMMANDS / invitation[0]), *invitation[1:], "--root", f"{place}/root", "--run", f"{place}/run"]
    words += ["--nats-password-file", secret, "--nats-ca", authority_there]
    with world.outside():
        agent = Daemon(words, place / "agent.log")
    try:
        agent.until(lambda: "is ready" in (place / "agent.log").read_text(), "the far agent")
        yield (place / "agent.log").read_text()
    finally:
        agent.stop()
        with world.outside():
            purged = seaway("purge", "--root", f"{place}/root", "--run", f"{place}/run")
        assert purged.returncode == 0, purged.stderr


def test_containers_on_another_machine(suite: Seaway, far: str, docker_config: Path) -> None:
    cli = DockerCli(suite.host, docker_config)
    cli("load", "-q", input=images.busybox_archive())
    eventually(lambda: cli("info", "--format", "{{.Containers}} {{len .Warnings}}").code == 0, "the API")

    def there() -> str:
        container = cli("create", "-i", "busybox", "sh", "-c", "hostname -i; read line; echo got $line; exit 3").out
        node = str(suite.api.get(f"/containers/{container}/json")["Node"]["Name"])
        return container if node == _FAR else ""

    container = eventually(there, "a container on the far node", 20)
    done = cli.try_("start", "-ai", container, input="words\n")
    assert done.code == 3
    assert done.lines[1] == "got words"
    assert cli("logs", container).lines == done.lines
    assert cli("cp", f"{container}:/etc/hostname", "-").code == 0
    assert cli("commit", container, "made:there").out.startswith("sha256:")
    suite.api.remove_all()


def test_metrics_of_another_machine_need_no_port_of_it(suite: Seaway, far: str) -> None:
    """The far agent serves its metrics on its own loopback; the API reads them over the bus."""
    base = suite.row("api")["metrics"].removesuffix("/metrics")

    def listed() -> bool:
        return f"/metrics/of/agent/{_FAR}" in fetch(f"{base}/sd")[1]

    eventually(listed, "the far agent among the targets", 20)
    status, text = fetch(f"{base}/metrics/of/agent/{_FAR}")
    assert status == 200 and "machine_memory_bytes" in text


def test_a_machine_joins_by_a_token_and_the_ca_alone(
    suite: Seaway, world: World, e2e_directory: Path, authority: Authority
) -> None:
    there = ("--root", f"{e2e_directory}/joined/root", "--run", f"{e2e_directory}/joined/run")
    created = seaway("token", "create", "--root", str(suite.root), "--run", str(suite.run))
    assert created.returncode == 0, created.stderr
    words = shlex.split(created.stdout.splitlines()[-1])
    assert words[words.index("--nats-ca") + 1] == str(authority.ca)
    ca = shutil.copy(authority.ca, e2e_directory / "copied-ca.pem")
    with world.outside():
        without = seaway(*words[1 : words.index("--nats-ca")], "--node", "joined", *there)
        assert (without.returncode, "give that CA by --nats-ca FILE" in without.stderr) == (1, True), without.stderr
        joined = seaway(*words[1:], "--nats-ca", ca, "--node", "joined", *there)
        assert joined.returncode == 0, joined.stderr
        Path(ca).unlink()  # the node has a copy of its own
        agent = Daemon(
            [str(COMMANDS / "seaway-agent"), "--config", f"{there[1]}/join/agent.toml"], e2e_directory / "j.log"
        )
    try:
        agent.until(lambda: "is ready" in (e2e_directory / "j.log").read_text(), "the agent that joined")
        eventually(lambda: "joined" in str(suite.api.get("/info")), "the node at the API")
        with world.outside():
            examined = seaway("doctor", "--json", *there)
        assert examined.returncode == 0, examined.stdout
        levels = {one["what"]: one["level"] for one in json.loads(examined.stdout)}
        checked = ("nats", "login", "metadata", "clock", "version", "images")
        assert {what: levels.get(what) for what in checked} == dict.fromkeys(checked, "ok")
    finally:
        agent.stop()
        with world.outside():
            assert seaway("purge", *there).returncode == 0
            assert not Path(there[1], "join").exists()
    removed = seaway("node", "rm", "joined", "--root", str(suite.root), "--run", str(suite.run))
    assert removed.returncode == 0, removed.stderr


def test_what_another_machine_reaches_speaks_tls_only(suite: Seaway, world: World, invitation: list[str]) -> None:
    url = invitation[invitation.index("--nats") + 1]
    host, port = url.removeprefix("tls://").rsplit(":", 1)
    assert (url[:6], host) == ("tls://", HOST)
    with world.outside(), socket.create_connection((host, int(port)), 5) as plain:
        assert b'"tls_required":true' in plain.recv(4096)
        plain.sendall(b'CONNECT {"user":"cli","pass":"x"}\r\nPING\r\n')
        plain.settimeout(10)
        assert b"PONG" not in b"".join(iter(lambda: _read(plain), b""))
    listening = subprocess.run(["ss", "-Hltn"], capture_output=True, text=True, check=True).stdout
    addresses = {line.split()[3] for line in listening.splitlines()}
    assert f"{HOST}:{port}" in addresses
    assert not [address for address in addresses if address.startswith(("0.0.0.0:", "*:", "[::]:"))]


def _read(connection: socket.socket) -> bytes:
    try:
        return connection.recv(4096)
    except ConnectionError:
        return b""


def test_an_address_of_another_machine_is_refused(e2e_directory: Path, authority: Authority) -> None:
    files = authority.ca.parent / "server"
    words = ["--tlscacert", str(authority.ca), "--tlscert", str(files / "cert.pem"), "--tlskey", str(files / "key.pem")]
    places = ["--root", str(e2e_directory / "no" / "root"), "--run", str(e2e_directory / "no" / "run")]
    refused = seaway("up", "--detach", *places, "--listen", "198.18.0.77", *words)
    assert (refused.returncode, refused.stderr) == (1, "seaway: --listen 198.18.0.77 is no address of this machine\n")
    plain = seaway("up", "--detach", *places, "--listen", HOST)
    assert plain.returncode == 2
    assert "it needs --tlscert and --tlskey" in plain.stderr
    assert not (e2e_directory / "no").exists()
