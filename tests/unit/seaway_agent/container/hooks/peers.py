"""One other container of a node, for the hooks that use something of it."""

from typing import Any, Final

from seaway_agent.container.hook import Peers, RunRequest
from seaway_agent.runtime.contribution import Contribution
from seaway_contracts.containers import ContainerRecord, ContainerSpec, ContainerStatus, Endpoint, Namespaces
from seaway_testing import builders

PEER: Final = builders.container_id(7)
JOINED: Final = f"container:{PEER}"
NOTHING: Final = Contribution()


def peers(pid: int = 77, ipc: str = "shareable", **spec: Any) -> Peers:
    """A node with that container, which runs unless `pid` is 0."""
    status = ContainerStatus(pid=pid, endpoints=(Endpoint(network="bridge", network_id="x", address="172.17.0.9"),))
    made = builders.spec(7, namespaces=Namespaces(ipc=ipc), **spec)
    record = ContainerRecord(spec=made, node="n1", status=status)
    return lambda container: record if container == record.id else None


def request(spec: ContainerSpec | None = None, **fields: Any) -> RunRequest:
    return RunRequest(spec or builders.spec(1, **fields), ("/l/1",))
