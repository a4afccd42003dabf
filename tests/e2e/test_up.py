"""`seaway up` and its errors; two suites side by side; what purge leaves."""

import http.client
import json
import os
import re
import resource
import shutil
import signal
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import pytest
from e2e_rig import images
from e2e_rig.api import connect
from e2e_rig.busy import Busy
from e2e_rig.docker_cli import DockerCli
from e2e_rig.registry import Registry
from e2e_rig.seaway import COMMANDS, Finished, Seaway, seaway
from e2e_rig.waits import eventually
from e2e_rig.world import HOST

from seaway_agent.kernel.cgroup_text import suite_cgroup
from seaway_agent.kernel.cgroups import host_layout
from seaway_testing.ports import free_port

pytestmark = [pytest.mark.seaway_only, pytest.mark.own_engines]


@pytest.fixture
def place(e2e_directory: Path, name: str) -> Path:
    """A directory with a short name."""
    return e2e_directory / name


@pytest.fixture
def make(place: Path) -> Iterator[Callable[..., Seaway]]:
    """Makes suites; they are purged at the end."""
    made: list[Seaway] = []

    def new(*up: str, node: str = "n1") -> Seaway:
        made.append(Seaway(place / str(len(made)), node, up))
        return made[-1]

    yield new
    for suite in made:
        suite.purge()


def up(place: Path, *words: str) -> Finished:
    """`seaway up --detach` where it should fail."""
    fixed = ["--root", str(place / "root"), "--run", str(place / "run"), "--detach"]
    return seaway("up", *fixed, *words)


def is_refused(done: Finished, *parts: str) -> bool:
    """Whether a command failed with one clear sentence."""
    assert done.returncode in (1, 2), (done.returncode, done.stdout, done.stderr)
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1 and "Traceback" not in done.stderr, done.stderr
    return all(part in lines[0] for part in parts)


def test_nats_port_taken(place: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert is_refused(up(place, "--nats-port", str(port)), str(port))
    assert not list((place / "run").glob("**/*.sock"))


def test_nats_missing(place: Path) -> None:
    hidden = f'mount --bind /dev/null {shutil.which("nats-server")} && exec "$@"'
    words = [str(COMMANDS / "seaway"), "up", "--root", str(place / "root"), "--run", str(place / "run")]
    alone = ["unshare", "--mount", "sh", "-c", hidden, "sh", *words]
    assert is_refused(subprocess.run(alone, capture_output=True, text=True, timeout=30), "nats-server")
    assert not (place / "root").exists() and not (place / "run").exists()


def test_not_root(place: Path) -> None:
    place.mkdir()
    place.chmod(0o777)
    place.parent.chmod(0o711)
    # The checkout may lie where only root may look, as in /root.
    may_read = ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]
    words = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *may_read]
    words += [str(COMMANDS / "seaway"), "up", "--root", str(place / "root"), "--run", str(place / "run")]
    done = subprocess.run(words, capture_output=True, text=True, timeout=30)
    assert is_refused(done, "must be run as root")
    assert list(place.iterdir()) == []


def test_outside_nats_that_is_not_there(place: Path) -> None:
    assert is_refused(up(place, "--nats", f"nats://127.0.0.1:{free_port()}"), "no NATS server answers at 127.0.0.1:")


def test_tcp_beyond_loopback_without_tls(place: Path) -> None:
    assert is_refused(up(place, "--host", "tcp://0.0.0.0:2375"), "--tlsverify")


def test_docker_over_ipv6(make: Callable[..., Seaway], docker_config: Path) -> None:
    host = f"tcp://[::1]:{free_port()}"
    suite = make("--host", host)
    suite.start()
    assert DockerCli(host, docker_config)("version", "--format", "{{.Server.Os}}").out == "linux"


def test_any_free_port_is_told_and_the_first_container_goes_there(place: Path) -> None:
    places = ["--root", str(place / "root"), "--run", str(place / "run")]
    started = up(place, "--host", "tcp://127.0.0.1:0")
    try:
        assert started.returncode == 0, started.stderr
        host = seaway("status", "--run", str(place / "run")).stdout.splitlines()[-1].split()[1]
        assert re.fullmatch(r"tcp://127\.0\.0\.1:[1-9]\d*", host)
        assert f"endpoint  {host}" in started.stdout
        demo = [sys.executable, "-m", "seaway_cli.demo", "--run", str(place / "run")]
        shown = subprocess.run(demo, capture_output=True, text=True, timeout=60)
        assert "it said: Hello from a container." in shown.stdout, shown.stderr
        assert f"export DOCKER_HOST={host}" in shown.stdout
    finally:
        assert seaway("purge", *places).returncode == 0


@pytest.mark.parametrize(
    "words", [["--node", "a b"], ["--host", "ftp://x"], ["--nats-port", "0"], ["--no-such-option"]]
)
def test_wrong_options(place: Path, words: list[str]) -> None:
    assert is_refused(up(place, *words))
    assert not (place / "root").exists()


def test_a_second_suite_in_the_same_place(make: Callable[..., Seaway]) -> None:
    suite = make()
    suite.start()
    done = seaway("up", "--detach", "--root", str(suite.root), "--run", str(suite.run))
    assert is_refused(done) or "already" in done.stdout
    assert suite.serves()


def cgroups_of(token: str) -> list[Path]:
    return [path for path in map(Path, host_layout().directories(suite_cgroup(token))) if path.exists()]


def test_two_suites_side_by_side_and_nothing_left_of_them(
    make: Callable[..., Seaway], place: Path, docker_config: Path
) -> None:
    suites = [make(), make(node="other")]
    clis = []
    for suite in suites:
        suite.start()
        clis.append(DockerCli(suite.host, docker_config))
    for cli in clis:
        cli("load", "-q", input=images.busybox_archive())
        cli("run", "-d", "--name", "same", "-p", "127.0.0.1::80", "busybox", "sleep", "60")
    addresses = [cli("inspect", "same", "--format", "{{.NetworkSettings.IPAddress}}").out for cli in clis]
    assert addresses[0].rsplit(".", 1)[0] != addresses[1].rsplit(".", 1)[0]
    assert clis[0]("ps", "-q").lines != clis[1]("ps", "-q").lines
    tokens = [suite.token for suite in suites]
    assert len(set(tokens)) == 2
    assert all(cgroups_of(token) for token in tokens)
    for suite in suites:
        suite.purge()
        assert not suite.root.exists() and not suite.run.exists()
    links = subprocess.run(["ip", "-br", "link"], capture_output=True, text=True, check=True).stdout
    tables = subprocess.run(["nft", "list", "tables"], capture_output=True, text=True, check=True).stdout
    for token in tokens:
        assert token not in links and token not in tables
        assert cgroups_of(token) == []
    assert str(place) not in Path("/proc/self/mounts").read_text()


@pytest.fixture
def two_on_the_network(tmp_path: Path) -> Iterator[list[Registry]]:
    """Registries beyond loopback that speak HTTP, with `lib/dressed:1`."""
    started = []
    try:
        for name in ("one", "other"):
            (tmp_path / name).mkdir()
            started.append(Registry.start(tmp_path / name, HOST))
            started[-1].push(images.dressed_archive("dressed:1"), "lib/dressed:1")
        yield started
    finally:
        for registry in started:
            registry.stop()


def test_options_for_registries(
    make: Callable[..., Seaway], registry: Registry, two_on_the_network: list[Registry], docker_config: Path
) -> None:
    """Docker Hub's images come from the mirror; HTTP beyond loopback is spoken with those that were named."""
    named, other = (one.address for one in two_on_the_network)
    suite = make("--registry-mirror", f"http://{registry.address}", "--insecure-registry", named)
    suite.start()
    cli = DockerCli(suite.host, docker_config)
    cli("pull", "-q", "lib/busybox:1")
    assert cli("run", "--rm", "lib/busybox:1", "echo", "from the mirror").out == "from the mirror"
    cli("pull", "-q", f"{named}/lib/dressed:1")
    refused = cli.try_("pull", "-q", f"{other}/lib/dressed:1")
    assert refused.code == 1 and f'Get "https://{other}/v2/": tls: handshake' in refused.err
    names = {"lib/busybox:1", f"{named}/lib/dressed:1"}
    assert set(cli("images", "--format", "{{.Repository}}:{{.Tag}}").lines) == names
    known = json.loads(cli("info", "--format", "{{json .RegistryConfig}}").out)
    assert known["Mirrors"] == [f"http://{registry.address}"]
    assert known["IndexConfigs"][named]["Secure"] is False and other not in known["IndexConfigs"]


@pytest.fixture
def small_disk(place: Path) -> Iterator[Path]:
    """A file system with little room, where `make` makes its suites."""
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=48m", "small", str(place)], check=True)
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_full_disk(small_disk: Path, make: Callable[..., Seaway], docker_config: Path) -> None:
    suite = make()
    suite.start()
    cli = DockerCli(suite.host, docker_config)
    cli("load", "-q", input=images.busybox_archive())
    filler = small_disk / "filler"
    with open(filler, "wb") as file:
        _fill(file.fileno())
    result = cli.try_("run", "--rm", "busybox", "true")
    assert result.code == 125 and "no space left" in result.err.lower()
    assert cli.try_("load", "-q", input=images.dressed_archive("more:1")).code == 1
    filler.unlink()
    listed = eventually(lambda: cli.try_("images", "--format", "{{.Repository}}").lines, "images", 20)
    assert (listed, cli("ps", "-aq").lines) == (["busybox"], [])
    assert cli("run", "--rm", "busybox", "echo", "again").out == "again"


def _fill(fd: int) -> None:
    block = bytes(1 << 16)
    try:
        while True:
            os.write(fd, block)
    except OSError:
        pass


def test_the_agents_limit_of_open_files_is_not_that_of_containers(make: Callable[..., Seaway]) -> None:
    """It raises its own as far as it may; a program finds the one that the suite was given."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    suite = make()
    resource.setrlimit(resource.RLIMIT_NOFILE, (1000, hard))
    try:
        suite.start()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert resource.prlimit(suite.processes()["agent"], resource.RLIMIT_NOFILE) == (min(1 << 20, hard), hard)
    reply = suite.api.request("POST", "/images/load", images.busybox_archive(), {"Content-Type": "application/x-tar"})
    assert reply.status == 200
    cli = DockerCli(suite.host, suite.root)
    run, limits = ("run", "--rm", "--network", "none"), ("sh", "-c", "ulimit -Sn; ulimit -Hn")
    assert cli(*run, "busybox", *limits).lines == ["1000", str(hard)]
    assert cli(*run, "--ulimit", "nofile=99:200", "busybox", *limits).lines == ["99", "200"]
    cli("run", "-d", "--name", "box", "--network", "none", "busybox", "sleep", "100")
    assert cli("exec", "box", *limits).lines == ["1000", str(hard)]
    assert cli("exec", "-t", "box", *limits).out.splitlines() == ["1000", str(hard)]
    cli("rm", "-f", "box")


class Callers(Busy):
    """Clients that ask again and again, each time on a connection of its own."""

    def __init__(self, ways: Sequence[Callable[[], socket.socket]]) -> None:
        super().__init__(*(partial(self._go_on, way) for way in ways))
        self.answered: Counter[int] = Counter()
        self.refused: list[OSError] = []
        self.broken: list[Exception] = []

    def _go_on(self, way: Callable[[], socket.socket]) -> None:
        while not self._enough.is_set():
            try:
                made = way()
            except OSError as error:
                self.refused.append(error)
            else:
                self._ask(made)

    def _ask(self, made: socket.socket) -> None:
        connection = http.client.HTTPConnection("localhost")
        connection.sock = made
        try:
            connection.request("GET", "/containers/json")
            self.answered[connection.getresponse().status] += 1
        except (OSError, http.client.HTTPException) as error:
            self.broken.append(error)
        finally:
            connection.close()


def test_no_client_is_refused_while_the_api_starts_again(make: Callable[..., Seaway]) -> None:
    """Those whose request it had in hand see their connection break; the others wait for the next process."""
    suite, kills = make(), 10
    suite.start()
    address, _, port = suite.tcp.rpartition(":")
    ways = [
        lambda: connect(suite.host.removeprefix("unix://")),
        lambda: socket.create_connection((address, int(port)), timeout=30),
    ]
    with Callers(ways * 2) as callers:
        for _ in range(kills):
            enough = callers.answered.total() + 20
            eventually(lambda enough=enough: callers.answered.total() > enough, "answers", 20)
            os.kill(old := suite.processes()["api"], signal.SIGKILL)
            suite.restarted("api", old)
    assert (callers.refused, set(callers.answered)) == ([], {200})
    assert len(callers.broken) <= kills * len(ways) * 2, callers.broken
    suite.stop()
    with pytest.raises(FileNotFoundError):
        ways[0]()
    with pytest.raises(ConnectionRefusedError):
        ways[1]()


def test_an_endpoint_that_another_has(place: Path) -> None:
    """Nothing is started; what is there stays."""
    place.mkdir()
    with socket.socket(socket.AF_UNIX) as other, socket.create_server(("127.0.0.1", 0)) as taken:
        other.bind(str(place / "docker.sock"))
        other.listen()
        host, port = f"unix://{place}/docker.sock", taken.getsockname()[1]
        assert is_refused(up(place, "--host", host), f"can't listen on {host}: another server answers there")
        free = f"unix://{place}/free.sock"
        refused = up(place, "--host", free, "--host", f"tcp://127.0.0.1:{port}")
        assert is_refused(refused, f"can't listen on tcp://127.0.0.1:{port}: Address already in use")
    assert sorted(path.name for path in place.glob("*.sock")) == ["docker.sock"]
