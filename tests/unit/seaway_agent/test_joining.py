"""Whose namespaces a container joins, and who refuses."""

import socket
from pathlib import Path
from typing import Any, cast

import pytest

from seaway_agent import joining, links
from seaway_agent.gear import gather
from seaway_agent.layout import Layout
from seaway_agent.plumbing import Plumbing
from seaway_contracts.containers import (
    Command,
    ContainerNetworking,
    ContainerRecord,
    ContainerStatus,
    Endpoint,
    EndpointSpec,
    Link,
    Namespaces,
    PortBinding,
)
from seaway_contracts.errors import Code, SeawayError
from seaway_testing import builders

PEER = builders.container_id(7)
JOINED = f"container:{PEER}"


class StandInNode:
    """A node with one other container."""

    def __init__(self, root: Path, pid: int = 77, ipc: str = "shareable", **spec: Any) -> None:
        self.layout = Layout(root, root)
        status = ContainerStatus(pid=pid, endpoints=(Endpoint(network="bridge", network_id="x", address="172.17.0.9"),))
        peer = builders.spec(7, namespaces=Namespaces(ipc=ipc), **spec)
        self._record = ContainerRecord(spec=peer, node="n1", status=status)

    def pid_of(self, container: str) -> int:
        return self._record.status.pid if container == self._record.id else 0

    def peer(self, container: str) -> ContainerRecord | None:
        return self._record if container == self._record.id else None


def node(root: Path, **fields: Any) -> Plumbing:
    return cast(Plumbing, StandInNode(root, **fields))


def test_namespaces_by_the_others_process(tmp_path: Path) -> None:
    spec = builders.spec(network=builders.networking(JOINED), namespaces=Namespaces(pid=JOINED, ipc=JOINED))
    assert joining.namespaces(node(tmp_path), spec) == {
        "network": "/proc/77/ns/net",
        "pid": "/proc/77/ns/pid",
        "ipc": "/proc/77/ns/ipc",
    }
    assert joining.shared_memory_pid(node(tmp_path), spec) == 77


def test_who_joins_nobody(tmp_path: Path) -> None:
    spec = builders.spec(network=builders.networking("host"), namespaces=Namespaces(pid="host", ipc="private"))
    assert joining.namespaces(node(tmp_path), spec) == {}
    assert joining.shared_memory_pid(node(tmp_path), spec) == 0
    assert joining.etc_files(node(tmp_path), spec) is None


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        ({"network": builders.networking(JOINED)}, f"cannot join network of a non running container: {PEER}"),
        ({"namespaces": Namespaces(pid=JOINED)}, f"failed to join PID namespace: container {PEER} is not running"),
        ({"namespaces": Namespaces(ipc=JOINED)}, f"failed to join IPC namespace: container {PEER} is not running"),
    ],
)
def test_one_that_does_not_run_can_not_be_joined(tmp_path: Path, spec: dict[str, Any], text: str) -> None:
    with pytest.raises(SeawayError) as refused:
        joining.namespaces(node(tmp_path, pid=0), builders.spec(**spec))
    assert (refused.value.code, refused.value.message) == (Code.CONFLICT, text)


@pytest.mark.parametrize("ipc", ["", "private", "host", "none"])
def test_shared_memory_must_be_offered(tmp_path: Path, ipc: str) -> None:
    with pytest.raises(SeawayError, match=r"non-shareable IPC \(hint: use IpcMode:shareable for the donor container\)"):
        joining.namespaces(node(tmp_path, ipc=ipc), builders.spec(namespaces=Namespaces(ipc=JOINED)))


def test_the_files_over_etc_are_the_others(tmp_path: Path) -> None:
    there = node(tmp_path)
    bundle = there.layout.bundle(PEER)
    bundle.mkdir(parents=True)
    (bundle / "hosts").write_text("1.2.3.4 x\n")
    spec = builders.spec(network=builders.networking(JOINED))
    assert joining.etc_files(there, spec) == {"hosts": "1.2.3.4 x\n", "hostname": "", "resolv.conf": ""}


def test_names_go_with_the_network(tmp_path: Path) -> None:
    there = node(tmp_path, network=builders.networking(hostname="theirs", domainname="dom"))
    named = joining.named(there, builders.spec(network=builders.networking(JOINED)))
    assert (named.sandbox, named.hostname, named.domainname) == (JOINED, "theirs", "dom")
    assert joining.named(there, builders.spec(network=builders.networking("host"))).hostname == socket.gethostname()
    own = builders.networking("host", hostname="own", domainname="d")
    assert joining.named(there, builders.spec(network=own)) == own


LINK = Link(container=PEER, name="database", alias="db")


def test_a_link_learns_address_ports_and_environment(tmp_path: Path) -> None:
    port = PortBinding(container_port=80)
    network = builders.networking(exposed_ports=("80/tcp", "5432/tcp"), ports=(port,))
    there = node(tmp_path, network=network, command=Command(env=("A=1",)))
    found = links.linked(there, builders.spec(name="web"), "bridge", LINK)
    lines = links.environment(found)
    assert {"DB_PORT_80_TCP_ADDR=172.17.0.9", "DB_PORT_5432_TCP_PORT=5432", "DB_ENV_A=1", "DB_NAME=/web/db"} <= set(
        lines
    )
    assert links.host_entry(LINK, found) == ("172.17.0.9", f"db {PEER[:12]} database")


@pytest.mark.parametrize("link", [LINK, LINK.model_copy(update={"container": "f" * 64})])
def test_a_link_needs_a_running_container(tmp_path: Path, link: Link) -> None:
    with pytest.raises(SeawayError) as refused:
        links.linked(node(tmp_path, pid=0), builders.spec(name="web"), "bridge", link)
    assert refused.value.message == "Cannot link to a non running container: /database AS /web/db"


def test_links_of_an_endpoint_have_the_address_in_its_network(tmp_path: Path) -> None:
    ends = (EndpointSpec(network="back"), EndpointSpec(network="bridge", links=(LINK,)))
    spec = builders.spec(name="web", network=ContainerNetworking(endpoints=ends))
    found = gather(node(tmp_path, command=Command(env=("A=1",))), spec)
    assert found.hosts == (("172.17.0.9", f"db {PEER[:12]} database"),) and "DB_ENV_A=1" in found.env
    assert links.linked(node(tmp_path), spec, "back", LINK).address == ""


def test_who_has_to_run_first() -> None:
    other, third = builders.container_id(8), builders.container_id(9)
    linked = ContainerNetworking(endpoints=(EndpointSpec(network="bridge", links=(LINK,)),))
    spaces = Namespaces(pid=f"container:{other}", ipc=f"container:{third}")
    assert joining.needed(builders.spec(network=linked, namespaces=spaces)) == {PEER, other, third}
    assert joining.needed(builders.spec(network=builders.networking(JOINED))) == {PEER}
