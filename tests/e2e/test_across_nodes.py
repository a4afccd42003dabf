"""Docker's commands over three hosts of a lab, by two copies of the API: which node, which address, and a dead node."""

import json
import sys
import time
import tomllib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest
from deploy.lab import Lab
from deploy.lab.hosts import Node
from e2e_rig import images
from e2e_rig.docker_cli import DockerCli
from e2e_rig.nodes import node_states, nodes_of
from e2e_rig.waits import eventually

pytestmark = [pytest.mark.seaway_only, pytest.mark.own_engines, pytest.mark.timeout(300)]
HOSTS = ("h1", "h2", "h3")
ADDRESSES = {"h1": "198.19.0.1", "h2": "198.19.0.2", "h3": "198.19.0.3"}
_PATIENCE_S = 60
_HANG_S = 30.0
"""A command that takes longer hangs."""
_SEAWAY_API = Path(sys.executable).with_name("seaway-api")


@pytest.fixture(scope="module")
def lab(e2e_directory: Path) -> Iterator[Lab]:
    """Three hosts; h3 has a copy of the API."""
    with Lab(e2e_directory / "lab", hosts=3) as made:
        start_api(made, "h3")
        yield made


def start_api(lab: Lab, name: str) -> None:
    """Start one more copy of the API, on another host."""
    host = lab.host(name)
    joined = tomllib.loads((host.root / "join" / "agent.toml").read_text())
    log = host.directory / "api.log"
    words = [str(_SEAWAY_API), "--host", f"unix://{host.run}/docker.sock", "--node", name]
    words += [
        "--root",
        str(host.root),
        "--run",
        str(host.run),
        "--nats",
        joined["nats"],
        "--nats-ca",
        joined["nats_ca"],
    ]
    words += ["--nats-user", "api", "--nats-password-file", str(lab.server.root / "secrets" / "api")]
    host.machine.start(words, log)
    eventually(lambda: "api is ready" in log.read_text(), "the second API", _PATIENCE_S)


@pytest.fixture
def apis(lab: Lab, docker_config: Path) -> Iterator[dict[str, DockerCli]]:
    """The docker CLI at each copy of the API, by host; no container is left."""
    clis = {
        "h1": DockerCli(lab.endpoint, docker_config),
        "h3": DockerCli(f"unix://{lab.host('h3').run}/docker.sock", docker_config),
    }
    cli = clis["h1"]
    all_up(cli)
    cli("load", "-q", input=images.busybox_archive())
    yield clis
    all_up(cli)
    if left := cli("ps", "-aq").lines:
        eventually(lambda: cli.try_("rm", "-f", *left).code == 0, "the removal of what is left", _PATIENCE_S)


def all_up(cli: DockerCli) -> None:
    eventually(lambda: node_states(cli) == dict.fromkeys(HOSTS, "up"), "all hosts up", _PATIENCE_S)


def run_on(cli: DockerCli, host: str, *words: str, command: tuple[str, ...] = ("sleep", "1000")) -> str:
    return cli("run", "-d", "-e", f"constraint:node=={host}", *words, "busybox", *command).out


# --- nodes that are up


def test_inspect_names_the_node_and_its_address(apis: dict[str, DockerCli]) -> None:
    cpus = apis["h1"]("info", "--format", "{{.NCPU}}").out
    for host in HOSTS:
        container = run_on(apis["h1"], host)
        for cli in apis.values():
            shown = cli("inspect", "-f", "{{.Node.Name}} {{.Node.IP}} {{.Node.Addr}} {{.Node.Status}}", container).out
            assert shown == f"{host} {ADDRESSES[host]} {ADDRESSES[host]} Healthy"
            node = json.loads(cli("inspect", "-f", "{{json .Node}}", container).out)
            assert (node["ID"], node["Cpus"] * len(HOSTS)) == (host, int(cpus))
            assert node["Memory"] > 0 and node["Labels"]["storagedriver"] == "overlay2"
            (row,) = cli("ps", "--no-trunc", "--filter", f"id={container}", "--format", "{{.Names}} {{.Status}}").lines
            assert "/" not in row and " Up " in row


def test_a_label_that_was_set_is_shown_by_each_copy(lab: Lab, apis: dict[str, DockerCli]) -> None:
    container = run_on(apis["h1"], "h2")
    seaway = str(_SEAWAY_API.with_name("seaway"))
    own = ("--root", str(lab.server.root), "--run", str(lab.server.run))
    lab.server.machine.run(seaway, "node", "label", "h2", "disk=ssd", *own)
    for cli in apis.values():
        eventually(partial(has_label, cli, container), "the label", _PATIENCE_S)
    lab.server.machine.run(seaway, "node", "label", "h2", "disk-", *own)


def has_label(cli: DockerCli, container: str) -> bool:
    return cli("inspect", "-f", "{{.Node.Labels.disk}}", container).out == "ssd"


def test_a_port_is_shown_at_the_address_of_another_host(lab: Lab, apis: dict[str, DockerCli]) -> None:
    serve = ("sh", "-c", "echo Ahoy > /tmp/index.html; exec httpd -f -p 80 -h /tmp")
    for host in HOSTS:
        container = run_on(apis["h1"], host, "-p", "0.0.0.0::80", "-p", "127.0.0.1::81", command=serve)
        for own, cli in apis.items():
            expected = "0.0.0.0" if own == host else ADDRESSES[host]
            address, port = cli("port", container, "80/tcp").out.split(":")
            assert address == expected
            assert cli("port", container, "81/tcp").out.startswith("127.0.0.1:"), "as it was asked for"
            inspected = json.loads(cli("inspect", "-f", "{{json .NetworkSettings.Ports}}", container).out)
            assert inspected["80/tcp"] == [{"HostIp": expected, "HostPort": port}]
            (row,) = cli("ps", "--filter", f"id={container}", "--format", "{{.Ports}}").lines
            assert f"{expected}:{port}->80/tcp" in row
            curl = partial(lab.host(own).machine.run, "curl", "-s", "--retry-connrefused", "--retry", "9")
            assert curl(f"http://{address}:{port}/") == "Ahoy\n"


def test_info_lists_the_nodes(apis: dict[str, DockerCli]) -> None:
    run_on(apis["h1"], "h2", "--memory-reservation", "64m")
    for cli in apis.values():
        eventually(partial(has_beaten, cli), "a beat with the container", _PATIENCE_S)
        nodes = nodes_of(cli)
        assert {name: said["Address"] for name, said in nodes.items()} == ADDRESSES
        assert nodes["h2"]["Status"] == "Healthy" and nodes["h2"]["ServerVersion"]
        lines = cli("info").lines
        assert "  Strategy: spread" in lines and f"   h2: {ADDRESSES['h2']}" in lines
        each = json.loads(cli("info", "--format", "{{json .}}").out)
        assert each["MemTotal"] % len(HOSTS) == each["NCPU"] % len(HOSTS) == 0


def has_beaten(cli: DockerCli) -> bool:
    said = nodes_of(cli)["h2"]
    return said["Reserved Memory"].startswith("64MiB / ") and said["Containers"] == "1 (1 running)"


# --- a node that is dead


def kill_agent(lab: Lab) -> Callable[[], None]:
    """kill -9 of h2's agent alone; what it returns starts another one, in the same boot."""
    host = lab.host("h2")
    assert isinstance(host, Node)
    run, log = host.machine.run, host.log
    pid = run("pgrep", "-o", "-f", "seaway-agent --config").strip()
    boot = next(text for text in run("cat", f"/proc/{pid}/environ").split("\0") if text.startswith("SEAWAY_BOOT_ID="))
    words = ["env", boot, *run("cat", f"/proc/{pid}/cmdline").removesuffix("\0").split("\0")]
    run("kill", "-KILL", pid)

    def start() -> None:
        host.machine.start(words, log)

    return start


def cut_off(lab: Lab) -> Callable[[], None]:
    """Part h2 from the others; what it returns heals that."""
    lab.partition("h2", ["h1", "h3"])
    return lab.heal


@pytest.mark.parametrize("die", [kill_agent, cut_off])
def test_clients_that_listen_are_let_go(
    lab: Lab, apis: dict[str, DockerCli], die: Callable[[Lab], Callable[[], None]]
) -> None:
    there = run_on(apis["h1"], "h2", command=("sh", "-c", "echo up; exec sleep 1000"))
    asked = [("exec", there, "sh", "-c", "echo up; sleep 1000"), ("logs", "-f", there)]
    with ExitStack() as stack:
        clients = [stack.enter_context(cli.spawn(*words)) for cli in apis.values() for words in asked]
        for client in clients:
            assert client.stdout is not None and client.stdout.readline() == b"up\n"
        stack.callback(die(lab))
        assert all(client.wait(_HANG_S) for client in clients)


@pytest.mark.parametrize("die", [kill_agent, cut_off])
def test_a_dead_nodes_part_is_answered_by_what_is_known(
    lab: Lab, apis: dict[str, DockerCli], tmp_path: Path, die: Callable[[Lab], Callable[[], None]]
) -> None:
    cli = apis["h1"]
    since = str(time.time())
    there = run_on(cli, "h2", "--name", "there", "-v", "vol-h2:/v", "-p", "80")
    elsewhere = run_on(cli, "h3", "--name", "elsewhere")
    over = {host: run_on(cli, host, "--name", f"over-{host}", command=("true",)) for host in ("h2", "h3")}
    cli("wait", *over.values())
    size = cli("inspect", "-s", "-f", "{{.SizeRootFs}}", elsewhere).out
    port = cli("port", there, "80/tcp").lines[0]
    return_ = die(lab)
    try:
        for api in apis.values():
            eventually(partial(is_told_of, api, since, there), "the event that h2 is down", _PATIENCE_S)
            expect_known(api, there, elsewhere, port, size, since)
            expect_refusals(api, there, tmp_path)
        expect_prunes(apis["h3"], over)
    finally:
        return_()
    all_up(cli)
    for api in apis.values():
        eventually(partial(is_reached, api, there), "a command on h2", _PATIENCE_S)
        assert api("inspect", "-f", "{{.Node.Status}}", there).out == "Healthy"
        assert api("ps", "--filter", f"id={there}", "--format", "{{.Status}}").out.startswith("Up ")
    cli("rm", "-f", there)
    cli("volume", "rm", "vol-h2")


def is_reached(api: DockerCli, there: str) -> bool:
    """Whether the container's node carries out commands. Its agent may connect anew after its first beats."""
    return api.try_("exec", there, "echo", "again").out == "again"


def is_told_of(api: DockerCli, since: str, there: str) -> bool:
    """Whether that copy of the API knows that h2 is down, and the event is stored."""
    if api("inspect", "-f", "{{.Node.Status}}", there).out != "Down":
        return False
    nodes = ("--filter", "type=node", "--format", "{{.Action}}")
    return "down" in quick(api, "events", "--since", since, "--until", "0s", *nodes).splitlines()


def expect_known(api: DockerCli, there: str, elsewhere: str, port: str, size: str, since: str) -> None:
    """What needs no node is answered, and marked."""
    states = "{{.Node.Name}} {{.Node.Status}} {{.State.Status}}"
    assert quick(api, "inspect", "-f", states, there) == "h2 Down running"
    assert quick(api, "inspect", "-s", "-f", "{{.SizeRootFs}}", there) == "0"
    assert quick(api, "inspect", "-s", "-f", "{{.SizeRootFs}}", elsewhere) == size
    assert quick(api, "port", there, "80/tcp").splitlines()[0] == port
    rows = dict(
        line.split("\t") for line in quick(api, "ps", "-a", "-s", "--format", "{{.Names}}\t{{.Status}}").splitlines()
    )
    assert rows["there"] == "Host Down" and rows["elsewhere"].startswith("Up ")
    assert rows["over-h2"].startswith("Exited (0) ")
    usage = json.loads(quick(api, "system", "df", "-v", "--format", "{{json .}}"))
    status = {one["Names"]: one["Status"] for one in usage["Containers"]}
    assert status["there"] == "Host Down"
    assert {one["Name"]: one["Size"] for one in usage["Volumes"]} == {"vol-h2": "-1B"}
    happened = quick(
        api, "events", "--since", since, "--until", "0s", "--filter", f"container={there}", "--format", "{{.Action}}"
    )
    assert happened.splitlines()[:2] == ["create", "start"]
    assert "WARNING: node h2 is down" in api("info").err
    assert quick(api, "stats", "--no-stream", "--format", "{{.Name}}", elsewhere) == "elsewhere"
    assert quick(api, "logs", elsewhere) == ""


def expect_refusals(api: DockerCli, there: str, directory: Path) -> None:
    """What needs the node fails, and says which one it is."""
    file = directory / "file"
    file.write_text("x")
    asked = (
        ("exec", there, "true"),
        ("attach", "--no-stdin", there),
        ("logs", there),
        ("logs", "-f", there),
        ("cp", f"{there}:/etc/passwd", str(directory / "passwd")),
        ("cp", str(file), f"{there}:/file"),
        ("stats", "--no-stream", there),
        ("commit", there, "image-of-there"),
        ("export", "-o", str(directory / "export"), there),
        ("diff", there),
        ("top", there),
    )
    with ThreadPoolExecutor(len(asked)) as threads:
        results = list(threads.map(lambda words: api.try_(*words, timeout=_HANG_S), asked))
    for words, result in zip(asked, results, strict=True):
        said = "received 50" if words[0] == "attach" else "node h2"  # docker shows no more of a refused attach
        assert result.code != 0 and said in result.err, (words, result)


def expect_prunes(api: DockerCli, over: dict[str, str]) -> None:
    """What is on the other nodes is removed, and nothing that the dead node has."""
    assert quick(api, "container", "prune", "-f").splitlines()[1] == over["h3"]
    names = set(quick(api, "ps", "-a", "--format", "{{.Names}}").splitlines())
    assert names == {"there", "elsewhere", "over-h2"}
    quick(api, "volume", "prune", "-af")
    assert quick(api, "volume", "ls", "-q") == "vol-h2"
    quick(api, "image", "prune", "-af")
    assert quick(api, "image", "ls", "-q")
    quick(api, "system", "prune", "-f")


def quick(api: DockerCli, *words: str) -> str:
    """What a command prints that must not wait for the dead node."""
    return api(*words, timeout=_HANG_S).out
