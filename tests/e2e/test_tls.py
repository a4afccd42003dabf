"""The API over TCP with TLS, as other machines reach it: who gets in, and streams whose halves end by themselves."""

import http.client
import os
import random
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from e2e_rig import images
from e2e_rig.certificates import Authority
from e2e_rig.docker_cli import DockerCli
from e2e_rig.seaway import Seaway
from e2e_rig.waits import eventually
from e2e_rig.world import HOST

from seaway_testing.ports import free_port

pytestmark = [pytest.mark.seaway_only, pytest.mark.own_engines]


@pytest.fixture(scope="module")
def authority(e2e_directory: Path) -> Authority:
    made = Authority(e2e_directory / "tls-ca")
    made.sign("server", HOST, "127.0.0.1")
    made.sign("alice")
    return made


@pytest.fixture(scope="module")
def suite(e2e_directory: Path, authority: Authority) -> Iterator[Seaway]:
    """A suite that other machines reach at port `tcp`, with a client's certificate only."""
    files = authority.ca.parent / "server"
    words = ["--tlsverify", "--tlscacert", str(authority.ca)]
    words += ["--tlscert", str(files / "cert.pem"), "--tlskey", str(files / "key.pem")]
    port = free_port(HOST)
    made = Seaway(e2e_directory / "tls", up=("--host", f"tcp://{HOST}:{port}", *words))
    made.tcp_outside = f"{HOST}:{port}"
    made.start()
    yield made
    made.purge()


def client(suite: Seaway, config: Path, certificates: Path | None) -> DockerCli:
    """A docker command that comes over TLS."""
    config.mkdir(exist_ok=True)
    made = DockerCli(f"tcp://{suite.tcp_outside}", config)
    made.environment["DOCKER_TLS_VERIFY"] = "1"
    made.environment["DOCKER_CERT_PATH"] = str(certificates or config)
    return made


@pytest.fixture
def cli(suite: Seaway, authority: Authority, tmp_path: Path) -> Iterator[DockerCli]:
    made = client(suite, tmp_path / "config", authority.ca.parent / "alice")
    made("load", input=images.busybox_archive())
    yield made
    suite.api.remove_all()


@pytest.fixture
def name() -> str:
    return f"t{random.SystemRandom().getrandbits(40):010x}"


def test_a_port_with_client_certificates_is_no_warning(cli: DockerCli, suite: Seaway) -> None:
    assert suite.tcp_outside not in cli("info").out
    assert "DEPRECATION" not in str(suite.api.get("/info")["Warnings"])


def test_piped_input_ends_and_the_output_comes(cli: DockerCli) -> None:
    for _ in range(5):
        assert cli("run", "-i", "--rm", "busybox", "cat", input="hi\n").out == "hi"


def test_what_is_said_after_the_end_of_input_comes_too(cli: DockerCli) -> None:
    script = "wc -c; sleep 0.5; echo later; echo problem >&2; exit 3"
    result = cli.try_("run", "-i", "--rm", "busybox", "sh", "-c", script, input="12345")
    assert (result.code, result.lines, result.err) == (3, ["5", "later"], "problem")


def test_much_both_ways(cli: DockerCli) -> None:
    data = os.urandom(1 << 20) * 30
    assert cli("run", "-i", "--rm", "busybox", "cat", input=data, timeout=110).stdout == data


def test_many_at_once(cli: DockerCli) -> None:
    outputs: dict[int, str] = {}

    def run(number: int) -> None:
        outputs[number] = cli("run", "-i", "--rm", "busybox", "cat", input=f"line {number}\n").out

    threads = [threading.Thread(target=run, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert outputs == {number: f"line {number}" for number in range(6)}


def test_exec_with_input(cli: DockerCli, name: str) -> None:
    cli("run", "-d", "--name", name, "busybox", "sleep", "600")
    assert cli("exec", "-i", name, "sh", "-c", "cat; sleep 0.3; echo end", input="a\nb\n").lines == ["a", "b", "end"]


def test_attach_logs_and_events_follow(cli: DockerCli, name: str) -> None:
    cli("run", "-di", "--name", name, "busybox", "sh", "-c", "read line; echo got $line; read line; exit 7")
    with cli.spawn("logs", "-f", name) as follower, cli.spawn("attach", name) as attached:
        assert attached.stdin is not None and attached.stdout is not None and follower.stdout is not None
        attached.stdin.write(b"words\n")
        attached.stdin.flush()
        assert attached.stdout.readline() == b"got words\n"
        assert follower.stdout.readline() == b"got words\n"
        attached.stdin.write(b"more\n")
        attached.stdin.flush()
        assert attached.wait(20) == 7 and follower.wait(20) == 0


def test_a_terminal(cli: DockerCli) -> None:
    with cli.terminal("run", "-it", "--rm", "busybox", "sh") as terminal:
        terminal.expect("# ")
        terminal.type("stty size; exit 5\n")
        terminal.expect(r"33 99\r\n")
        assert terminal.wait() == 5


def test_copies(cli: DockerCli, name: str, tmp_path: Path) -> None:
    cli("create", "--name", name, "busybox")
    (tmp_path / "file").write_bytes(os.urandom(3 << 20))
    cli("cp", str(tmp_path / "file"), f"{name}:/tmp/copied")
    cli("cp", f"{name}:/tmp/copied", str(tmp_path / "back"))
    assert (tmp_path / "back").read_bytes() == (tmp_path / "file").read_bytes()


def test_followers_that_are_killed_leave_nothing_behind(cli: DockerCli, suite: Seaway, name: str) -> None:
    api = suite.processes()["api"]
    cli("run", "-d", "--name", name, "busybox", "sleep", "600")
    eventually(lambda: connections(suite) == 0, "quiet")
    before = descriptors(api)
    for words in (("logs", "-f", name), ("events",), ("stats", name)):
        with cli.spawn(*words) as follower:
            eventually(lambda: connections(suite) > 0, f"{words[0]} at the API")
            follower.kill()
        eventually(lambda: connections(suite) == 0, f"the end of {words[0]}")
    eventually(lambda: descriptors(api) <= before, "closed descriptors")


def connections(suite: Seaway) -> int:
    """Established ones to the port that other machines reach."""
    port = int(suite.tcp_outside.partition(":")[2])
    rows = [line.split() for line in Path("/proc/thread-self/net/tcp").read_text().splitlines()[1:]]
    return sum(row[1].endswith(f":{port:04X}") and row[3] == "01" for row in rows)


def descriptors(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


# --- who gets in


def test_without_a_certificate_nobody_gets_in(suite: Seaway, authority: Authority, tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_bytes(authority.ca.read_bytes())
    plain = DockerCli(f"tcp://{suite.tcp_outside}", tmp_path)
    result = plain.try_("--tlsverify", "--tlscacert", str(tmp_path / "ca.pem"), "version")
    assert result.code and "certificate required" in result.err


def test_a_certificate_of_another_authority_is_refused(suite: Seaway, authority: Authority, tmp_path: Path) -> None:
    place = Authority(tmp_path / "other").sign("mallory")
    (place / "ca.pem").write_bytes(authority.ca.read_bytes())
    result = client(suite, tmp_path, place).try_("version")
    assert result.code and "unknown certificate authority" in result.err


def test_a_client_sees_a_foreign_server(suite: Seaway, authority: Authority, tmp_path: Path) -> None:
    other = Authority(tmp_path / "other")
    place = tmp_path / "mixed"
    place.mkdir()
    for name in ("cert.pem", "key.pem"):
        (place / name).write_bytes((authority.ca.parent / "alice" / name).read_bytes())
    (place / "ca.pem").write_bytes(other.ca.read_bytes())
    result = client(suite, tmp_path, place).try_("version")
    assert result.code and "certificate" in result.err


def test_without_tls_there_is_no_answer(suite: Seaway, tmp_path: Path) -> None:
    result = DockerCli(f"tcp://{suite.tcp_outside}", tmp_path).try_("version")
    assert result.code


def test_names_are_fine_and_foreign_pages_are_not(suite: Seaway, authority: Authority) -> None:
    def status(**headers: str) -> int:
        context = ssl.create_default_context(cafile=authority.ca)
        files = authority.ca.parent / "alice"
        context.load_cert_chain(files / "cert.pem", files / "key.pem")
        connection = http.client.HTTPSConnection(suite.tcp_outside, context=context, timeout=20)
        try:
            connection.request("GET", "/_ping", headers=headers)
            return connection.getresponse().status
        finally:
            connection.close()

    assert status() == status(Host="docker.example.com") == 200
    assert status(Origin="https://evil.example") == 403
    assert status(Host="docker.example.com", Origin="https://docker.example.com") == 200
