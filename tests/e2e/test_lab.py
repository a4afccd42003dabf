"""The lab of deploy/lab: hosts of their own on one machine, and a network that can be parted, slowed and made lossy."""

import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from deploy.lab import Lab, LabError
from deploy.lab.hosts import Node
from e2e_rig import images
from e2e_rig.docker_cli import DockerCli
from e2e_rig.nodes import node_states
from e2e_rig.waits import eventually

pytestmark = [pytest.mark.seaway_only, pytest.mark.own_engines, pytest.mark.timeout(300)]
HOSTS = ("h1", "h2", "h3")
_PATIENCE_S = 60
_REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def lab(e2e_directory: Path) -> Iterator[Lab]:
    """Three hosts; nothing of them is left at the end."""
    directory = e2e_directory / "lab"
    before = census(directory)
    with Lab(directory, hosts=3) as made:
        yield made
    expect_nothing_left(directory, before)


@pytest.fixture
def cli(lab: Lab, docker_config: Path) -> Iterator[DockerCli]:
    """The docker CLI at the lab's endpoint, with busybox; no container is left."""
    cli = DockerCli(lab.endpoint, docker_config)
    eventually(lambda: node_states(cli) == dict.fromkeys(HOSTS, "up"), "all hosts up", _PATIENCE_S)
    cli("load", "-q", input=images.busybox_archive())
    yield cli
    eventually(lambda: node_states(cli) == dict.fromkeys(HOSTS, "up"), "all hosts up again", _PATIENCE_S)
    if left := cli("ps", "-aq").lines:
        cli("rm", "-f", *left)


def on_each(cli: DockerCli) -> dict[str, str]:
    """A running container on each host."""
    found: dict[str, str] = {}

    def everywhere() -> bool:
        container = cli("run", "-d", "busybox", "sleep", "1000").out
        found[cli("inspect", "--format", "{{.Node.Name}}", container).out] = container
        return set(found) == set(HOSTS)

    eventually(everywhere, "a container on each host", _PATIENCE_S)
    return found


def state_of(cli: DockerCli, name: str) -> str:
    return node_states(cli).get(name, "")


# --- hosts


def test_a_container_on_each_host_by_one_endpoint(lab: Lab, cli: DockerCli) -> None:
    containers = on_each(cli)
    for name, container in containers.items():
        assert cli("exec", container, "echo", name).out == name
        programs = lab.host(name).machine.run("ps", "-eo", "args").splitlines()
        assert "sleep 1000" in programs, "it is a process of that host"


def test_a_host_has_its_own_of_everything(lab: Lab, cli: DockerCli) -> None:
    for name in HOSTS:
        machine = lab.host(name).machine
        assert machine.run("hostname").strip() == name
        assert f" {lab.host(name).address}/24 " in machine.run("ip", "-4", "-o", "address", "show", "eth0")
        assert machine.run("cat", "/proc/self/cgroup").splitlines()[0].endswith((":/", ":/init"))
    kinds = ("net", "mnt", "pid", "ipc", "uts", "cgroup")
    pids = ["self", *(str(lab.host(name).machine.pid) for name in HOSTS)]
    for kind in kinds:
        assert len({os.readlink(f"/proc/{pid}/ns/{kind}") for pid in pids}) == len(pids)


def test_a_host_without_power_is_down_and_comes_back_with_its_disk(lab: Lab, cli: DockerCli) -> None:
    container = on_each(cli)["h3"]
    lab.kill("h3")
    assert not lab.host("h3").machine.is_on
    eventually(lambda: state_of(cli, "h3") == "down", "h3 to be down", _PATIENCE_S)
    with pytest.raises(LabError, match="h2 is on"):
        lab.start("h2")
    lab.start("h3")
    eventually(lambda: state_of(cli, "h3") == "up", "h3 to be up", _PATIENCE_S)
    assert cli("inspect", "--format", "{{.State.Status}}", container).out == "exited"
    cli("start", container)
    assert cli("exec", container, "echo", "again").out == "again"


def test_an_agent_that_is_killed_alone_leaves_its_containers_running(lab: Lab, cli: DockerCli) -> None:
    container = on_each(cli)["h2"]
    pid = cli("inspect", "--format", "{{.State.Pid}}", container).out
    node = lab.host("h2")
    assert isinstance(node, Node)
    node.kill_agent()
    eventually(lambda: not node.has_agent, "no agent", _PATIENCE_S)
    node.start()()
    assert node.has_agent
    eventually(lambda: cli.try_("exec", container, "true").code == 0, "h2 to be back", _PATIENCE_S)
    assert cli("inspect", "--format", "{{.State.Pid}}", container).out == pid, "it ran on"


def test_the_server_without_power_comes_back_and_so_do_all_nodes(lab: Lab, cli: DockerCli) -> None:
    containers = on_each(cli)
    pid = cli("inspect", "--format", "{{.State.Pid}}", containers["h2"]).out
    lab.kill("h1")
    assert cli.try_("info", "--format", "{{.ServerVersion}}").out == ""
    lab.start("h1")
    for other in ("h2", "h3"):
        reached = ("exec", containers[other], "true")
        eventually(lambda reached=reached: cli.try_(*reached).code == 0, f"{other} to be back", _PATIENCE_S)  # type: ignore[misc]
    assert cli("inspect", "--format", "{{.State.Pid}}", containers["h2"]).out == pid, "it ran on"


# --- the network


def test_a_partition_makes_a_node_down_and_healed_it_is_up(lab: Lab, cli: DockerCli) -> None:
    container = on_each(cli)["h2"]
    pid = cli("inspect", "--format", "{{.State.Pid}}", container).out
    lab.partition("h1", "h2")
    eventually(lambda: state_of(cli, "h2") == "down", "h2 to be down", _PATIENCE_S)
    assert state_of(cli, "h3") == "up"
    lab.heal()
    eventually(lambda: state_of(cli, "h2") == "up", "h2 to be up", _PATIENCE_S)
    assert cli("inspect", "--format", "{{.State.Pid}}", container).out == pid, "it ran on"
    assert cli("exec", container, "echo", "here").out == "here"


def test_a_link_that_loses_all_makes_a_node_down(lab: Lab, cli: DockerCli) -> None:
    lab.loss(100, "h3")
    eventually(lambda: state_of(cli, "h3") == "down", "h3 to be down", _PATIENCE_S)
    lab.loss(0)
    eventually(lambda: state_of(cli, "h3") == "up", "h3 to be up", _PATIENCE_S)


def test_a_rate_holds_for_both_ends_of_a_link(lab: Lab, cli: DockerCli) -> None:
    container = on_each(cli)["h2"]
    lab.rate("4mbit", "h2")
    shown = lab.host("h2").machine.run("tc", "qdisc", "show", "dev", "eth0")
    assert "tbf" in shown
    assert "rate 4Mbit" in shown
    assert cli("exec", container, "echo", "slowly").out == "slowly"
    lab.rate("", "h2")
    assert "tbf" not in lab.host("h2").machine.run("tc", "qdisc", "show", "dev", "eth0")


def test_a_delay_needs_netem(lab: Lab, cli: DockerCli) -> None:
    try:
        lab.delay(5, "h2")
    except LabError as error:
        assert "no netem" in str(error)
    else:
        assert "netem" in lab.host("h2").machine.run("tc", "qdisc", "show", "dev", "eth0")
        lab.delay(0, "h2")
    assert "netem" not in lab.host("h2").machine.run("tc", "qdisc", "show", "dev", "eth0")


def test_bad_words_change_nothing(lab: Lab) -> None:
    for deed in (
        lambda: lab.partition("h1", "h9"),
        lambda: lab.partition(["h1", "h2"], "h2"),
        lambda: lab.rate("fast"),
        lambda: lab.loss(101),
        lambda: lab.kill("h9"),
    ):
        with pytest.raises(ValueError):
            deed()
    assert (lab.directory / "lab.json").read_text().count("[]") == 1, "no cuts"


# --- the command


def test_the_command_brings_a_lab_up_and_leaves_nothing(e2e_directory: Path, docker_config: Path) -> None:
    directory = e2e_directory / "lab2"
    before = census(directory)
    up = command(directory, "up", "2")
    assert up.returncode == 0, up.stderr
    try:
        cli = DockerCli(up.stdout.splitlines()[-1], docker_config)
        eventually(lambda: node_states(cli) == {"h1": "up", "h2": "up"}, "both hosts up", _PATIENCE_S)
        assert cli("run", "--rm", "busybox", "echo", "hello").out == "hello"
        assert command(directory, "up", "2").stderr.startswith(f"lab: {directory} is in use")
        assert command(directory, "run", "h2", "hostname").stdout == "h2\n"
        assert command(directory, "partition", "h1", "h9").returncode == 2
        assert command(directory, "partition", "h1", "h2").returncode == 0
        eventually(lambda: node_states(cli)["h2"] == "down", "h2 to be down", _PATIENCE_S)
        assert command(directory, "heal").returncode == 0
        eventually(lambda: node_states(cli)["h2"] == "up", "h2 to be up", _PATIENCE_S)
    finally:
        down = command(directory, "down")
    assert (down.returncode, down.stderr) == (0, "")
    expect_nothing_left(directory, before)
    again = command(directory, "down")
    assert (again.returncode, "there is no lab in" in again.stderr) == (1, True)


def test_hosts_end_with_the_process_that_made_them(e2e_directory: Path) -> None:
    directory = e2e_directory / "lab3"
    before = census(directory)
    program = (
        f"from pathlib import Path; from deploy.lab import Lab; Lab(Path('{directory}'), 1).up(); print(); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], cwd=_REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as maker:
        assert maker.stdout is not None
        assert maker.stdout.readline() == b"\n"
        assert Lab.opened(directory).server.machine.is_on
        maker.kill()
    eventually(lambda: set(census(directory) - before) <= {"directory", "cgroups"}, "no processes", _PATIENCE_S)
    Lab.opened(directory).down()
    expect_nothing_left(directory, before)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
def test_a_command_that_ends_half_way_leaves_nothing(e2e_directory: Path, number: signal.Signals) -> None:
    directory = e2e_directory / f"lab-{number.name}"
    before = census(directory)
    words = [sys.executable, "-m", "deploy.lab", "--directory", str(directory), "2"]
    with subprocess.Popen(words, cwd=_REPOSITORY, stderr=subprocess.DEVNULL) as up:
        eventually((directory / "h1" / "run").exists, "h1 to start", _PATIENCE_S)
        up.send_signal(number)
    assert up.returncode == {signal.SIGKILL: -9, signal.SIGTERM: 143, signal.SIGINT: 130}[number]
    if number == signal.SIGKILL:
        assert command(directory, "3").stderr.startswith(f"lab: {directory} is in use: end the lab there with")
        assert command(directory, "down").returncode == 0
    expect_nothing_left(directory, before)


def command(directory: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    """`./dev lab WORDS`, with another directory."""
    options = ("--directory", str(directory))
    return subprocess.run(
        [sys.executable, "-m", "deploy.lab", *options, *words], cwd=_REPOSITORY, capture_output=True, text=True
    )


# --- what is left


def census(directory: Path) -> Counter[str]:
    """What a lab in that directory could leave on this machine."""
    found: Counter[str] = Counter()
    found["directory"] = directory.exists()
    found["mounts"] = Path("/proc/self/mountinfo").read_text().count(str(directory))
    found["cgroups"] = len(list(Path("/sys/fs/cgroup").glob("seaway-lab*")))
    found["cgroups"] += len(list(Path("/sys/fs/cgroup").glob("*/seaway-lab*")))
    found["links"] = len(_lines("ip", "-o", "link"))
    found["named namespaces"] = len(_lines("ip", "netns", "list"))
    found["namespaces"] = len(_lines("lsns", "--noheadings", "--output", "NS", "--type", "net"))
    found["processes"] = sum(str(directory) in line for line in _lines("ps", "-eo", "args"))
    found["first processes"] = _lines("ps", "-eo", "args").count("tini -- sleep infinity")
    return found


def expect_nothing_left(directory: Path, before: Counter[str]) -> None:
    eventually(lambda: not census(directory) - before, f"no more than before, {before},", _PATIENCE_S)


def _lines(*words: str) -> list[str]:
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout.splitlines()
