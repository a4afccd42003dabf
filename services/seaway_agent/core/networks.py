"""Connecting a container to networks, and disconnecting it (moby 26.1 `daemon/container_operations.go`). Pure."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from seaway_agent.core.instructions import Emit, Instruction, Record, Waiter, WriteFiles
from seaway_agent.core.state import ContainerState
from seaway_contracts.containers import ContainerNetworking, Endpoint, EndpointSpec, PublishedPort
from seaway_contracts.docker_errors import (
    connect_in_private_sandbox,
    connect_in_shared_sandbox,
    disconnect_from_host,
    endpoint_exists,
    networks_of_removed_container,
    not_connected,
)
from seaway_contracts.errors import SeawayError
from seaway_contracts.networks import NetworkRecord, network_id
from seaway_docker.networks import PREDEFINED

NONE_ID: Final = network_id("none")
_HOST_ID: Final = network_id("host")
_STORED_NOWHERE: Final = frozenset(map(network_id, PREDEFINED))


def is_connected(state: ContainerState, identifier: str) -> bool:
    """Whether the container has an endpoint in the network of that id; "none" counts as a network."""
    network = state.spec.network
    if identifier == NONE_ID:
        return network.networks == ("none",)
    return any(endpoint.network_id == identifier for endpoint in network.endpoints)


def why_no_connect(state: ContainerState, network: NetworkRecord) -> SeawayError | None:
    """See `Machine`."""
    if (error := _why_no_change(state)) is not None:
        return error
    if state.spec.network.sandbox:
        return connect_in_shared_sandbox()
    if is_connected(state, NONE_ID):
        return connect_in_private_sandbox()
    if state.live and is_connected(state, network.id):
        return endpoint_exists(state.spec.name, network.name)
    return None


def connect(
    state: ContainerState,
    waiter: Waiter,
    endpoint: EndpointSpec,
    network: NetworkRecord,
    made: Endpoint | None,
    ports: tuple[PublishedPort, ...],
    now_ns: int,
) -> list[Instruction]:
    """See `Machine`."""
    if (error := why_no_connect(state, network)) is not None:
        return [state.refused(waiter, error)]
    if is_connected(state, network.id):  # Docker says nothing of it where the container doesn't run
        return [state.done(waiter)]
    _set_endpoints(state, (*state.spec.network.endpoints, endpoint))
    joined: list[Emit] = []
    files: list[Instruction] = []
    if made is not None and state.live:
        state.set(endpoints=(*state.status.endpoints, made), ports=ports)
        joined, files = [Emit("connect", "network", network=made)], [WriteFiles()]
    stored = () if network.id in _STORED_NOWHERE else (network,)
    record = replace(_record(state, waiter, now_ns, joined), networks=stored)
    return [record, *files, state.done(waiter)]


def claimed(state: ContainerState, endpoints: Iterable[EndpointSpec], now_ns: int) -> list[Instruction]:
    """See `Machine`."""
    new = {one.network_id: one for one in endpoints}
    _set_endpoints(state, tuple(new.get(one.network_id, one) for one in state.spec.network.endpoints))
    return [_record(state, None, now_ns, [])]


def why_no_disconnect(state: ContainerState, identifier: str, name: str) -> SeawayError | None:
    """See `Machine`."""
    if (error := _why_no_change(state)) is not None:
        return error
    if state.spec.network.sandbox == "host" and identifier == _HOST_ID:
        return disconnect_from_host()
    if not is_connected(state, identifier):
        return not_connected(state.spec.id, name, running=state.live)
    return None


def disconnect(
    state: ContainerState,
    waiter: Waiter,
    identifier: str,
    name: str,
    ports: tuple[PublishedPort, ...],
    now_ns: int,
) -> list[Instruction]:
    """See `Machine`."""
    if (error := why_no_disconnect(state, identifier, name)) is not None:
        return [state.refused(waiter, error)]
    asked = state.spec.network.endpoints
    _set_endpoints(state, tuple(end for end in asked if end.network_id != identifier))
    left = tuple(end for end in state.status.endpoints if end.network_id == identifier)
    files: list[Instruction] = []
    if state.live:
        kept = tuple(end for end in state.status.endpoints if end.network_id != identifier)
        state.set(endpoints=kept, ports=ports)
        files.append(WriteFiles(left))  # before the record: the next agent does again what isn't recorded
    name = next((end.network for end in asked if end.network_id == identifier), name)
    gone = left or (Endpoint(network=name, network_id=identifier),)
    record = _record(state, waiter, now_ns, [Emit("disconnect", "network", network=end) for end in gone])
    return [*files, replace(record, ends_disconnect=True), state.done(waiter)]


def _why_no_change(state: ContainerState) -> SeawayError | None:
    if state.doomed:
        return networks_of_removed_container(state.spec.id)
    return state.why_broken()


def _set_endpoints(state: ContainerState, endpoints: tuple[EndpointSpec, ...]) -> None:
    network: ContainerNetworking = state.spec.network
    changed = network.model_copy(update={"endpoints": endpoints, "disconnected": not endpoints})
    state.spec = state.spec.model_copy(update={"network": changed})


def _record(state: ContainerState, waiter: Waiter | None, now_ns: int, events: list[Emit]) -> Record:
    """The new spec, told by an event that Docker doesn't have."""
    return state.record(now_ns, waiter, *events, Emit("status", changes_spec=True))
