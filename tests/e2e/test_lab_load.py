"""A cluster in the lab while clients make containers: nodes that leave, join, are cut off, lost, drained; copies of
services on other hosts; compose with placement.

Each create succeeds on a node that is up, or fails with a sentence, and no container runs twice.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from deploy.lab import Lab
from e2e_rig import images
from e2e_rig.api import Api
from e2e_rig.compose import Project, service
from e2e_rig.docker_cli import DockerCli
from e2e_rig.load import PATIENCE_S, Attempt, Load, expect_each_once, programs_on
from e2e_rig.waits import eventually

pytestmark = [pytest.mark.seaway_only, pytest.mark.own_engines, pytest.mark.timeout(300)]
HOSTS = ("h1", "h2", "h3")
SERVICES = ("db", "web", "beside", "front", "behind")


@pytest.fixture(scope="module")
def lab(e2e_directory: Path) -> Iterator[Lab]:
    """Three hosts."""
    with Lab(e2e_directory / "loaded", hosts=len(HOSTS)) as made:
        yield made


@pytest.fixture
def cli(lab: Lab, docker_config: Path) -> Iterator[DockerCli]:
    """The docker CLI, with busybox; all hosts are up, before and after, and no container is left."""
    cli = DockerCli(lab.endpoint, docker_config)
    wait_for_all(lab)
    cli("load", "-q", input=images.busybox_archive())
    yield cli
    wait_for_all(lab)
    api_of(lab, "h1").remove_all()


@pytest.fixture
def api(lab: Lab, cli: DockerCli) -> Api:
    """The API of h1."""
    return api_of(lab, "h1")


def api_of(lab: Lab, name: str) -> Api:
    return Api(lab.host(name).endpoint.removeprefix("unix://"))


def states(lab: Lab) -> dict[str, str]:
    return {one["node"]: one["state"] for one in json.loads(lab.server.seaway("node", "ls", "--json"))}


def wait_for_all(lab: Lab) -> None:
    eventually(lambda: states(lab) == dict.fromkeys(HOSTS, "up"), "all hosts up", PATIENCE_S)


def wait_for(lab: Lab, name: str, state: str) -> None:
    eventually(lambda: states(lab).get(name) == state, f"{name} to be {state}", PATIENCE_S)


def on(api: Api, *names: str) -> "OnNodes":
    return OnNodes(api, names)


class OnNodes:
    """Whether a container is on one of these nodes."""

    def __init__(self, api: Api, names: tuple[str, ...]) -> None:
        self._api, self._names = api, names
        self._known: dict[str, str] = {}

    def __call__(self, attempt: Attempt) -> bool:
        if attempt.container not in self._known:
            found = self._api.request("GET", f"/containers/{attempt.container}/json")
            self._known[attempt.container] = found.json()["Node"]["Name"] if found.status == 200 else ""
        return self._known[attempt.container] in self._names


def test_a_node_leaves_and_joins_again(lab: Lab, api: Api) -> None:
    h3 = lab.nodes[1]
    with Load([api]) as load:
        load.more(3, on(api, "h3"))
        lab.server.seaway("node", "rm", "h3", "--force")
        removed = load.asked
        load.more(10, on(api, "h1", "h2"))
        h3.leave()
        assert not programs_on(lab, "h3")
        h3.join(lab.server, lab.server.invite(1))
        h3.start()()
        load.more(3, on(api, "h3"))
    report(load)
    expect_each_once(lab, api, load, lost=[one.container for one in load.attempts if one.number < removed])


def test_a_node_is_cut_off_and_one_is_lost(lab: Lab, api: Api) -> None:
    with Load([api]) as load:
        load.more(6)
        lab.partition("h1", "h2")
        lab.kill("h3")
        for name in ("h2", "h3"):
            wait_for(lab, name, "down")
        load.more(10, on(api, "h1"))
        lab.heal()
        lab.start("h3")
        load.more(3, on(api, "h2"))
        load.more(3, on(api, "h3"))
    report(load)
    expect_each_once(lab, api, load)


def test_a_node_is_drained(lab: Lab, cli: DockerCli, api: Api) -> None:
    idle = cli("create", "-e", "constraint:node==h2", "busybox", "true").out
    with Load([api]) as load:
        load.more(4, on(api, "h2"))
        drained = json.loads(lab.server.seaway("node", "drain", "h2", "--stop", "--json"))
        assert not programs_on(lab, "h2")
        assert len(drained["containers"]) >= 4
        said = {(one["stopped"], one["error"], *one["stays_as"]) for one in drained["containers"]}
        assert said == {(True, "", "it has no restart policy")}
        load.more(10, on(api, "h1", "h3"))
        assert not programs_on(lab, "h2")
        refused = cli.try_("start", idle)
        assert "node h2 is drained, so a container that has not run yet is not started there" in refused.err
        cli("start", drained["containers"][0]["id"])
        lab.server.seaway("node", "activate", "h2")
        cli("start", idle)
        load.more(3, on(api, "h2"))
    report(load)
    assert all("is drained" in refusal for refusal in load.refusals)
    expect_each_once(lab, api, load)


@pytest.fixture
def copies(lab: Lab, cli: DockerCli) -> Iterator[None]:
    """Copies of services on h2 and h3, which boot again behind the test: others cut them off, with all on them."""
    waits = [
        lab.server.start_copy(name, host)
        for name, host in (
            ("api", lab.nodes[0]),
            *(("metadata", host) for host in lab.nodes),
            ("scheduler", lab.nodes[1]),
        )
    ]
    for wait in waits:
        wait()
    yield
    for host in lab.nodes:
        lab.kill(host.name)
        lab.start(host.name)


@pytest.mark.usefixtures("copies")
def test_copies_of_api_metadata_and_scheduler_on_other_hosts(lab: Lab, api: Api) -> None:
    """h1's own metadata and scheduler are killed meanwhile."""
    other = api_of(lab, "h2")
    with Load([api, other]) as load:
        load.more(10)
        for row in json.loads(lab.server.seaway("status", "--json")):
            if row["service"] in ("metadata", "scheduler"):
                lab.server.machine.run("kill", "-KILL", str(row["pid"]))
        load.more(20)
    report(load)
    assert load.refusals == []
    assert set(expect_each_once(lab, other, load).values()) == set(HOSTS)
    assert expect_each_once(lab, api, load) == expect_each_once(lab, other, load)


def test_compose_places_over_three_nodes(lab: Lab, cli: DockerCli, api: Api, tmp_path: Path) -> None:
    for name, disk in (("h1", "ssd"), ("h2", "hdd"), ("h3", "ssd")):
        lab.server.seaway("node", "label", name, f"disk={disk}", f"rack={name[1]}")
    project = Project(cli, "placed", tmp_path).write(
        services={
            "db": service(network_mode="bridge", environment=["constraint:node.labels.disk==hdd", "A=1"]),
            "web": service(
                network_mode="bridge",
                labels={"com.docker.swarm.constraints": '["node.labels.disk==ssd","node.labels.rack!=1"]'},
            ),
            "beside": service(
                network_mode="bridge",
                environment=["affinity:com.docker.compose.service==db"],
                depends_on=["db"],
            ),
            "front": service(networks=["back"], environment=["constraint:node==h1"]),
            "behind": service(networks=["back"], depends_on=["front"]),
        },
        networks={"back": {}},
    )
    project.up()
    nodes = {one: cli("inspect", "--format", "{{.Node.Name}}", project.box(one)).out for one in SERVICES}
    assert nodes == {"db": "h2", "web": "h3", "beside": "h2", "front": "h1", "behind": "h1"}
    assert project.inside("behind", "ping -c 1 front >/dev/null && echo reached") == "reached"
    assert project.inside("db", "env | grep -c constraint || echo A=$A").splitlines() == ["0", "A=1"]
    project.down()
    failed = project.services(odd=service(network_mode="bridge", environment=["constraint:node==h9"])).try_("up", "-d")
    assert failed.code == 1
    assert "no node fits: 3 nodes: constraint node==h9 not met" in failed.err
    project.down()


def report(load: Load) -> None:
    print(f"{len(load.attempts)} creates, {len(load.started)} started; refused: {load.refusals}")
