"""Docker's error messages, word for word, as clients match on them (dockerd 26.1, API 1.45)."""


class InvalidParameter(ValueError):
    """A request that Docker answers with 400; the text is the `message` of the reply."""


def no_such_container(name: str) -> str:
    return f"No such container: {name}"


def no_such_image(name: str) -> str:
    """`name` is the reference with its tag (`zz:latest`) or the id as the user gave it."""
    return f"No such image: {name}"


def no_such_network(name: str) -> str:
    return f"network {name} not found"


def network_exists(name: str) -> str:
    """409, for create."""
    return f"network with name {name} already exists"


def network_in_use(name: str, identifier: str) -> str:
    """403, for delete."""
    return f"error while removing network: network {name} id {identifier} has active endpoints"


def no_such_plugin(name: str) -> str:
    return f'plugin "{name}" not found'


def network_ambiguous(ref: str, count: int) -> str:
    """400, for a prefix that several ids have."""
    return f"network {ref} is ambiguous ({count} matches found based on ID prefix)"


def no_such_exec(exec_id: str) -> str:
    return f"No such exec instance: {exec_id}"


def no_such_path(path: str, container: str) -> str:
    return f"Could not find the file {path} in container {container}"


def container_name_conflict(name: str, holder_id: str) -> str:
    """409. `name` without its leading slash."""
    return (
        f'Conflict. The container name "/{name}" is already in use by container "{holder_id}". '
        "You have to remove (or rename) that container to be able to reuse that name."
    )


def network_not_removable(name: str) -> str:
    """403, for delete."""
    return f"{name} is a pre-defined network and cannot be removed"


def container_not_running(container_id: str) -> str:
    """409, for exec, pause and top."""
    return f"container {container_id} is not running"


def container_not_paused(container_id: str) -> str:
    return f"Container {container_id} is not paused"


def container_already_paused(container_id: str) -> str:
    return f"Container {container_id} is already paused"


def container_paused(name: str) -> str:
    """409, for exec. `name` is what the user asked for."""
    return f"Container {name} is paused, unpause the container before exec"


def container_restarting(container_id: str) -> str:
    """409, for exec."""
    return f"Container {container_id} is restarting, wait until the container is running"


def cannot_kill(name: str, reason: str) -> str:
    """`name` is what the user asked for, `reason` another sentence of this module or of `signals`."""
    return f"cannot kill container: {name}: {reason}"


def cannot_remove(name: str, state: str) -> str:
    """409. `name` is the container's name without its leading slash, `state` running, restarting or paused."""
    advice = "unpause and then stop the container" if state == "paused" else "stop the container"
    return f'cannot remove container "/{name}": container is {state}: {advice} before removing or force remove'


def port_allocated(where: str) -> str:
    """The end of the start error of a container whose host port is taken. `where` is `host:port`, as Go prints it."""
    return f"Bind for {where} failed: port is already allocated"


def bind_source_missing(path: str) -> str:
    """400, for an entry of Mounts whose host path doesn't exist; only the node can check that."""
    return f'invalid mount config for type "bind": bind source path does not exist: {path}'


def exec_already_run(exec_id: str) -> str:
    """409, or a frame of an attached start."""
    return f"Error: Exec command {exec_id} has already run"


def exec_already_running(exec_id: str) -> str:
    """409, or a frame of an attached start."""
    return f"Error: Exec command {exec_id} is already running"


def client_too_new(version: str, maximum: str) -> str:
    return f"client version {version} is too new. Maximum supported API version is {maximum}"


def client_too_old(version: str, minimum: str) -> str:
    return (
        f"client version {version} is too old. Minimum supported API version is {minimum}, "
        "please upgrade your client to a newer version"
    )


def too_many_cpus(available: int) -> str:
    """400. The range is in whole CPUs."""
    return f"Range of CPUs is from 0.01 to {available}.00, as there are only {available} CPUs available"


def unsupported_content_type(content_type: str) -> str:
    return f"unsupported Content-Type header ({content_type}): must be 'application/json'"


def invalid_wait_condition(condition: str) -> str:
    return f'invalid condition: "{condition}"'


EMPTY_CONFIG = "config cannot be empty in order to create a container"
NO_EXEC_COMMAND = "No exec command specified"
NO_STREAM_CHOSEN = "Bad parameters: you must choose at least one stream"
PAGE_NOT_FOUND = "page not found"
NAMES_EMPTY = "Neither old nor new names may be empty"
RENAME_TO_SAME = "Renaming a container with the same name as its current name"
AUTO_REMOVE_WITH_RESTART = "can't create 'AutoRemove' container with restart policy"
MEMORY_TOO_SMALL = "Minimum memory limit allowed is 6MB"
NODE_NOT_SWARM = (
    'This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" '
    "to connect this node to swarm and try again."
)
