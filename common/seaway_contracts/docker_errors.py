"""Docker's refusals, word for word, as clients match on them (dockerd 26.1, API 1.45): code, reason and sentence. Pure.

Grouped by noun. Here are the refusals that depend on the state of containers, images, networks or volumes. Those of
requests that are wrong in themselves are in `seaway_docker.errors`.
"""

from collections.abc import Iterable

from seaway_contracts.errors import Code, Reason, SeawayError, bad_request, conflict, internal, not_found

# --- containers


def no_such_container(ref: str) -> SeawayError:
    """`ref` is what the user asked for."""
    return not_found(f"No such container: {ref}")


def container_name_conflict(name: str, holder_id: str) -> SeawayError:
    """`name` without its leading slash."""
    return conflict(
        f'Conflict. The container name "/{name}" is already in use by container "{holder_id}". '
        "You have to remove (or rename) that container to be able to reuse that name."
    )


def container_not_running(container_id: str) -> SeawayError:
    """For exec, pause, top, resize, and as the cause of others."""
    return conflict(f"container {container_id} is not running", Reason.NOT_RUNNING)


def container_not_paused(container_id: str) -> SeawayError:
    return internal(f"Container {container_id} is not paused")


def container_already_paused(container_id: str) -> SeawayError:
    return conflict(f"Container {container_id} is already paused")


def exec_in_paused_container(ref: str) -> SeawayError:
    """`ref` is what the user asked for."""
    return conflict(f"Container {ref} is paused, unpause the container before exec", Reason.PAUSED)


def attach_to_paused_container(ref: str) -> SeawayError:
    """`ref` is what the user asked for."""
    return conflict(f"container {ref} is paused, unpause the container before attach", Reason.PAUSED)


def attach_to_restarting_container(ref: str) -> SeawayError:
    """`ref` is what the user asked for."""
    return conflict(f"container {ref} is restarting, wait until the container is running")


def start_of_paused_container() -> SeawayError:
    return conflict("cannot start a paused container, try unpause instead")


def start_of_removed_container() -> SeawayError:
    """Its removal has begun."""
    return conflict("container is marked for removal and cannot be started")


def container_restarting(container_id: str) -> SeawayError:
    """For exec, pause and top."""
    return conflict(f"Container {container_id} is restarting, wait until the container is running")


def cannot_kill(ref: str, cause: SeawayError) -> SeawayError:
    """`ref` is what the user asked for; code and reason are those of `cause`."""
    return SeawayError(cause.code, f"cannot kill container: {ref}: {cause.message}", cause.reason)


def cannot_restart(ref: str, cause: SeawayError) -> SeawayError:
    """`ref` is what the user asked for."""
    return internal(f"Cannot restart container {ref}: {cause.message}", cause.reason)


def cannot_remove(name: str, state: str) -> SeawayError:
    """`name` is the container's name without its leading slash, `state` running, restarting or paused."""
    if state == "paused":
        return conflict(f'cannot remove container "/{name}": container is paused and must be unpaused first')
    advice = "stop the container before removing or force remove"
    return conflict(f'cannot remove container "/{name}": container is {state}: {advice}')


def too_many_cpus(available: int) -> SeawayError:
    """The range is in whole CPUs."""
    return bad_request(f"Range of CPUs is from 0.01 to {available}.00, as there are only {available} CPUs available")


# --- execs


def no_such_exec(exec_id: str) -> SeawayError:
    return not_found(f"No such exec instance: {exec_id}")


def exec_already_run(exec_id: str) -> SeawayError:
    """Also as a frame of an attached start."""
    return conflict(f"Error: Exec command {exec_id} has already run")


def exec_already_running(exec_id: str) -> SeawayError:
    """Also as a frame of an attached start."""
    return conflict(f"Error: Exec command {exec_id} is already running")


def exec_without_process(exec_id: str) -> SeawayError:
    """For resize."""
    return not_found(f"process does not exist {exec_id}: not found")


# --- images


def no_such_image(ref: str) -> SeawayError:
    """`ref` is the reference with its tag (`zz:latest`) or the id as the user gave it."""
    return not_found(f"No such image: {ref}")


# --- networks


def no_such_network(ref: str) -> SeawayError:
    return not_found(f"network {ref} not found")


def ambiguous_network(ref: str, count: int) -> SeawayError:
    """The ids of so many networks begin with `ref`."""
    return bad_request(f"network {ref} is ambiguous ({count} matches found based on ID prefix)")


def no_such_plugin(name: str) -> SeawayError:
    """Also for a driver."""
    return not_found(f'plugin "{name}" not found')


def network_exists(name: str) -> SeawayError:
    return conflict(f"network with name {name} already exists")


def network_in_use(name: str, network_id: str) -> SeawayError:
    """For a removal."""
    return SeawayError(
        Code.FORBIDDEN, f"error while removing network: network {name} id {network_id} has active endpoints"
    )


def endpoint_exists(container: str, network: str) -> SeawayError:
    """For connect; both are names."""
    return SeawayError(Code.FORBIDDEN, f"endpoint with name {container} already exists in network {network}")


def not_connected(container_id: str, network: str, *, running: bool) -> SeawayError:
    """For disconnect."""
    return internal(f"container {container_id} is not connected to {'' if running else 'the '}network {network}")


def networks_of_removed_container(container_id: str) -> SeawayError:
    """For connect and disconnect: its removal has begun."""
    return conflict(
        f"Container {container_id} is marked for removal and cannot be connected or disconnected to the network"
    )


def connect_in_shared_sandbox() -> SeawayError:
    return bad_request(
        "container sharing network namespace with another container or host cannot be connected to any other network"
    )


def connect_in_private_sandbox() -> SeawayError:
    return bad_request(
        "container cannot be connected to multiple networks with one of the networks in private (none) mode"
    )


def disconnect_from_host() -> SeawayError:
    return bad_request("container cannot be disconnected from host network or connected to host network")


def network_not_removable(name: str) -> SeawayError:
    """For a network that every host has."""
    return SeawayError(Code.FORBIDDEN, f"{name} is a pre-defined network and cannot be removed")


# --- volumes


def no_such_volume_driver(volume: str, driver: str) -> SeawayError:
    """`volume` is the name of the one that was to be made, empty for an anonymous one."""
    head = f"create {volume}: " if volume else ""
    return not_found(f'{head}error looking up volume plugin {driver}: plugin "{driver}" not found')


def no_such_volume(name: str) -> SeawayError:
    """For inspect and remove."""
    return not_found(f"{f'get {name}' if name else 'get'}: no such volume")


def volume_in_use(name: str, containers: Iterable[str]) -> SeawayError:
    """For a removal. `containers`: the ids of those that mount it."""
    return conflict(f"remove {name}: volume is in use - [{', '.join(containers)}]")


# --- files


def no_such_path(path: str, container: str) -> SeawayError:
    """`container` is what the user asked for."""
    return not_found(f"Could not find the file {path} in container {container}", Reason.NO_SUCH_FILE)


def bind_source_missing(path: str) -> SeawayError:
    """For an entry of Mounts whose host path doesn't exist; only the node can check that."""
    return bad_request(f'invalid mount config for type "bind": bind source path does not exist: {path}')
