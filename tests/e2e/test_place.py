"""Placement with two nodes: what `seaway place` explains, CPUs that are reserved by a label, and wrong requests."""

import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import docker
import pytest
import yaml
from e2e_rig import images
from e2e_rig.compose import Project
from e2e_rig.docker_cli import DockerCli
from e2e_rig.seaway import Finished, Seaway, seaway
from e2e_rig.waits import eventually
from test_nodes import NODES, Second, node, node_of, second, spread, suite  # noqa: F401 - fixtures

pytestmark = [pytest.mark.seaway_only, pytest.mark.own_engines]
DOCS = Path(__file__).parents[2] / "docs"
CPUS = "com.seaway.reservation.cpus"


@pytest.fixture(scope="module")
def two(suite: Seaway, second: Second, docker_config: Path) -> DockerCli:  # noqa: F811
    """Both nodes are up, and n2 has the label disk=ssd."""
    cli = DockerCli(suite.host, docker_config)
    cli("load", "-q", input=images.busybox_archive())
    eventually(lambda: spread(cli, suite) == set(NODES), "containers on both nodes", 20)
    suite.api.remove_all()
    node(suite, "label", "n2", "disk=ssd")
    return cli


@pytest.fixture
def cli(two: DockerCli, suite: Seaway) -> Iterator[DockerCli]:  # noqa: F811
    yield two
    suite.api.remove_all()
    suite.api.remove_networks()
    suite.api.remove_volumes()


def cores(suite: Seaway) -> float:  # noqa: F811
    """What each node has: both are this machine."""
    (found,) = {one["capacity"]["nano_cpus"] for one in json.loads(node(suite, "ls", "--json"))}
    return float(found / 10**9)


def place(suite: Seaway, *words: str) -> Finished:  # noqa: F811
    return seaway("place", "--dry-run", *words, "--root", str(suite.root), "--run", str(suite.run))


def explained(suite: Seaway, *words: str) -> dict[str, Any]:  # noqa: F811
    done = place(suite, "--json", *words)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def same(cli: DockerCli, suite: Seaway, *words: str) -> str:  # noqa: F811
    """The node that is explained, which is the one of the create that follows."""
    found = explained(suite, *words, "busybox")
    assert [one["rank"] for one in found["verdicts"] if not one["filter"]][:1] == [1]
    assert {one["node"] for one in found["verdicts"]} == set(NODES)
    before = len(suite.api.containers())
    assert node_of(suite, cli("create", *words, "busybox").out) == found["node"]
    assert len(suite.api.containers()) == before + 1
    return str(found["node"])


def test_constraints_and_affinities_are_explained(cli: DockerCli, suite: Seaway, name: str) -> None:  # noqa: F811
    assert same(cli, suite, "-e", "constraint:node.labels.disk==ssd") == "n2"
    assert same(cli, suite, "-e", "constraint:disk!=ssd", "--platform", "linux") == "n1"
    cli("create", "--name", name, "-e", "constraint:node==n2", "busybox")
    assert same(cli, suite, "-e", f"affinity:container=={name}") == "n2"
    os_words = ("constraint:operatingsystem==/./", "constraint:storagedriver==overlay2", "constraint:kernelversion!=x")
    assert same(cli, suite, *(word for one in os_words for word in ("-e", one)), "-e", "constraint:node==n1") == "n1"


def test_what_binds_to_a_node_is_explained(cli: DockerCli, suite: Seaway, name: str) -> None:  # noqa: F811
    cli("volume", "create", "--opt", "node=n2", name)
    cli("network", "create", f"net-{name}")
    cli("create", "--name", name, "--network", f"net-{name}", "-e", "constraint:node==n1", "busybox")
    assert same(cli, suite, "--network", f"net-{name}") == "n1"
    assert same(cli, suite, "--network", f"container:{name}") == "n1"
    assert same(cli, suite, "--volumes-from", name) == "n1"
    assert same(cli, suite, "--mount", f"type=volume,source={name},target=/v") == "n2"


def test_the_table_names_filters_and_ranks(cli: DockerCli, suite: Seaway) -> None:  # noqa: F811
    """It is the one that docs/placement.md shows."""
    done = place(suite, "-e", "constraint:node.labels.disk==ssd", "--memory-reservation", "8m", "busybox")
    assert (done.returncode, done.stderr) == (0, "")
    shown = re.search(r"\n(RANK .*?)```", (DOCS / "placement.md").read_text(), re.DOTALL)
    assert shown is not None
    assert done.stdout.splitlines() == shown[1].splitlines()


def test_no_node_fits(cli: DockerCli, suite: Seaway) -> None:  # noqa: F811
    words = ("-e", "constraint:node.labels.disk==nvme")
    for more in ((), ("--json",)):
        done = place(suite, *more, *words, "busybox")
        assert done.returncode == 1
        assert done.stderr == "seaway: no node fits: 2 nodes: constraint node.labels.disk==nvme not met\n"
        assert done.stdout.count("constraint node.labels.disk==nvme not met") >= 2
    refused = cli.try_("create", *words, "busybox")
    assert refused.code == 1
    assert refused.err.endswith("no node fits: 2 nodes: constraint node.labels.disk==nvme not met")
    mixed = ("-e", "constraint:disk==ssd", "--memory-reservation", "1000g")
    sentence = "no node fits: 1 node: constraint disk==ssd not met; 1 node: not enough memory"
    assert sentence in cli.try_("create", *mixed, "busybox").err
    assert sentence in place(suite, *mixed, "busybox").stderr


def test_what_is_on_two_nodes_can_not_meet(cli: DockerCli, suite: Seaway, name: str) -> None:  # noqa: F811
    for at in NODES:
        cli("volume", "create", "--opt", f"node={at}", f"{name}-{at}")
    done = place(suite, "-v", f"{name}-n1:/a", "-v", f"{name}-n2:/b", "busybox")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        f"seaway: no node can have the container: volume {name}-n1 is on node n1 and volume {name}-n2 is on node n2\n"
    )


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (("-e", "constraint:node", "busybox"), 2, "constraint 'node' is not valid: write key==value or key!=value"),
        (("-e", "constraint:node==/(/", "busybox"), 2, "constraint 'node==/(/' is not valid: /(/ is no regular"),
        (("-e", "constraint:node.role==manager", "busybox"), 1, "constraint node.role==manager is not valid: use node"),
        (("-m", "-1", "busybox"), 2, "--memory '-1' is no size"),
        (("--cpus", "lots", "busybox"), 2, "--cpus 'lots' is no number of CPUs"),
        (("--network", "nowhere", "busybox"), 1, "network nowhere not found"),
        (("--volumes-from", "nobody", "busybox"), 1, "No such container: nobody"),
        ((), 2, "Missing argument"),
    ],
)
def test_options_that_are_wrong(
    cli: DockerCli,
    suite: Seaway,  # noqa: F811
    words: tuple[str, ...],
    code: int,
    sentence: str,
) -> None:
    done = place(suite, *words)
    assert (done.returncode, done.stdout) == (code, "")
    assert done.stderr.startswith(f"seaway: {sentence}")


def test_cpus_are_reserved_by_a_label(cli: DockerCli, suite: Seaway) -> None:  # noqa: F811
    """One of these fits on each node, whoever asks at the same time, by the docker command or by an SDK."""
    share = str(cores(suite) * 0.75)
    words = ("create", "--label", f"{CPUS}={share}", "busybox", "true")
    with ThreadPoolExecutor(4) as threads:
        made = list(threads.map(lambda _: cli.try_(*words), range(4)))
    assert sorted(one.code for one in made) == [0, 0, 1, 1]
    assert all("no node fits: 2 nodes: not enough CPUs" in one.err for one in made if one.code)
    assert sorted(node_of(suite, one.out) for one in made if not one.code) == ["n1", "n2"]
    client = docker.DockerClient(suite.host)
    with pytest.raises(docker.errors.APIError, match="2 nodes: not enough CPUs"):
        client.containers.create("busybox", labels={CPUS: share})
    client.close()
    assert place(suite, "-l", f"{CPUS}={share}", "busybox").returncode == 1
    cli("rm", next(one.out for one in made if not one.code))
    eventually(lambda: cli.try_(*words).code == 0, "the room of what was removed")
    cli("create", "--cpus", str(cores(suite)), "busybox")  # limits reserve nothing


def test_compose_sends_nothing_of_deploy_placement(
    cli: DockerCli,
    suite: Seaway,  # noqa: F811
    name: str,
    tmp_path: Path,
) -> None:
    """And the example of docs/compose.md does what that would."""
    project = Project(cli, name, tmp_path)
    ignored = {
        "placement": {"constraints": ["node.labels.disk==nvme"]},
        "resources": {"reservations": {"cpus": "1000"}},
        "labels": {CPUS: "1000"},
    }
    service = {"image": "busybox", "command": "sleep 600", "network_mode": "bridge"}
    project.services(web=service | {"deploy": ignored})("create")
    project.down()
    page = (DOCS / "compose.md").read_text()
    example = re.search(r"## Placement.*?```yaml\n(.*?)```", page, re.DOTALL)
    assert example is not None
    services = yaml.safe_load(example[1])["services"]
    project.services(**{one: fields | {"stop_signal": "SIGKILL"} for one, fields in services.items()}).up()
    assert node_of(suite, project.box("db")) == "n2"
    assert node_of(suite, project.box("web")) == "n1"
    assert "affinity" not in project.inside("web", "env")
    services["db"]["labels"][CPUS] = "half"
    failed = project.services(**services).try_("up", "--detach", "--force-recreate")
    assert failed.code and "label com.seaway.reservation.cpus: 'half' is no number of CPUs" in failed.err
    project.down()


MANY = "constraint:" + "k" * 10_000
STARVING = "a?" * 60 + "a" * 60


@pytest.mark.parametrize(
    ("body", "status", "sentence"),
    [
        ({"Env": ["constraint:node=n1"]}, 400, "write key==value or key!=value"),
        ({"Env": ["constraint:==n1"]}, 400, "a key begins with a letter"),
        ({"Env": ["constraint:node=="]}, 400, "the value must be printable and not empty"),
        ({"Env": [MANY]}, 400, "write key==value or key!=value"),
        ({"Env": [f"{MANY}==x"]}, 400, "the key has 10000 characters, at most 256"),
        ({"Env": ["constraint:größe==x"]}, 400, "a key begins with a letter"),
        ({"Env": ["affinity:container==/[/"]}, 400, "/[/ is no regular expression: missing ]"),
        ({"Env": [f"affinity:container==/{'x' * 255}/"]}, 400, "the value has 257 characters, at most 256"),
        ({"Env": ["constraint:node==/((a{99}){99}){99}/"]}, 400, "is no regular expression: invalid repetition size"),
        ({"Env": ["constraint:node==n1"] * 33}, 400, "may have 32 expressions of kind constraint, and 33 are given"),
        ({"Env": ["constraint:node.role==manager"]}, 400, "constraint node.role==manager is not valid: use node, "),
        ({"Env": [f"constraint:node==/{STARVING}/"]}, 500, "no node fits: 2 nodes: constraint node==/a?"),
        ({"Env": ["affinity:label==/(a|a)*(b|b)*(a+)+$/"]}, 500, "no node fits: 2 nodes: affinity label=="),
        ({"Labels": {"com.docker.swarm.constraints": "node==n1"}}, 400, "must be a JSON list of texts"),
        ({"Labels": {CPUS: "-1"}}, 400, "'-1' is no number of CPUs: write 2 or 0.5"),
        ({"Labels": {CPUS: "0.0000000001"}}, 400, "with at most nine decimals"),
        ({"Labels": {CPUS: "4096"}}, 500, "no node fits: 2 nodes: not enough CPUs"),
        ({"HostConfig": {"MemoryReservation": 0.1}}, 400, ""),
        ({"HostConfig": {"MemoryReservation": 1}}, 400, "Minimum memory reservation allowed is 6MB"),
        ({"HostConfig": {"MemoryReservation": 1 << 62}}, 500, "no node fits: 2 nodes: not enough memory"),
        ({"HostConfig": {"MemoryReservation": 1 << 64}}, 400, ""),
        ({"HostConfig": {"Memory": -1}}, 400, "Minimum memory limit allowed is 6MB"),
        ({"HostConfig": {"NanoCpus": 1 << 62}}, 400, "Range of CPUs is from 0.01 to"),
        ({"HostConfig": {"NanoCpus": -1}}, 400, "Range of CPUs is from 0.01 to"),
    ],
    ids=lambda value: str(value)[:60],
)
def test_creates_that_are_wrong_leave_nothing(
    cli: DockerCli,
    suite: Seaway,  # noqa: F811
    body: dict[str, Any],
    status: int,
    sentence: str,
) -> None:
    reply = suite.api.request("POST", "/containers/create", {"Image": "busybox"} | body)
    assert (reply.status, sentence in reply.message) == (status, True), reply.message
    assert len(reply.message) < 700
    assert suite.api.containers() == []


def test_a_negative_reservation_makes_no_room(cli: DockerCli, suite: Seaway) -> None:  # noqa: F811
    """Docker takes -1 for none; so does this."""
    (whole,) = {one["capacity"]["memory"] for one in json.loads(node(suite, "ls", "--json"))}
    for at in NODES:
        body = {"Image": "busybox", "Env": [f"constraint:node=={at}"], "HostConfig": {"MemoryReservation": -whole}}
        assert suite.api.request("POST", "/containers/create", body).status == 201
    body = {"Image": "busybox", "HostConfig": {"MemoryReservation": whole + (1 << 20)}}
    reply = suite.api.request("POST", "/containers/create", body)
    assert (reply.status, reply.message) == (500, "no node fits: 2 nodes: not enough memory")


def test_the_name_of_a_node_is_given_once(cli: DockerCli, suite: Seaway) -> None:  # noqa: F811
    where = ("--root", str(suite.root), "--run", str(suite.run))
    for name, sentence in (
        ("n1", "n1 is the node of this machine, and its agent runs already: give the new one another name"),
        ("all", "no node may be called 'all'"),
        ("größe", ""),
    ):
        done = seaway("node", "add", name, *where)
        assert done.returncode != 0 and sentence in done.stderr
    again = seaway("node", "add", "n2", *where)
    assert again.returncode == 0 and "agent.n2" in again.stdout, "the same user, for the same node"
    assert [one["node"] for one in json.loads(node(suite, "ls", "--json"))] == list(NODES)
