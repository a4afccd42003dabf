"""What Docker says of requests that are wrong in themselves, word for word (dockerd 26.1, API 1.45).

Refusals that depend on the state of containers, images or networks are in `seaway_contracts.docker_errors`.
"""


class InvalidParameter(ValueError):
    """A request that Docker answers with 400; the text is the `message` of the reply."""


def port_allocated(where: str) -> str:
    """The end of the start error of a container whose host port is taken. `where` is `host:port`, as Go prints it."""
    return f"Bind for {where} failed: port is already allocated"


def client_too_new(version: str, maximum: str) -> str:
    return f"client version {version} is too new. Maximum supported API version is {maximum}"


def client_too_old(version: str, minimum: str) -> str:
    return (
        f"client version {version} is too old. Minimum supported API version is {minimum}, "
        "please upgrade your client to a newer version"
    )


def unsupported_content_type(content_type: str) -> str:
    return f"unsupported Content-Type header ({content_type}): must be 'application/json'"


def invalid_wait_condition(condition: str) -> str:
    return f'invalid condition: "{condition}"'


EMPTY_CONFIG = "config cannot be empty in order to create a container"
NO_CONTENT_TYPE = "malformed Content-Type header (): mime: no media type"
NO_EXEC_COMMAND = "No exec command specified"
NO_STREAM_CHOSEN = "Bad parameters: you must choose at least one stream"
PAGE_NOT_FOUND = "page not found"
NAMES_EMPTY = "Neither old nor new names may be empty"
RENAME_TO_SAME = "Renaming a container with the same name as its current name"
AUTO_REMOVE_WITH_RESTART = "can't create 'AutoRemove' container with restart policy"
MEMORY_TOO_SMALL = "Minimum memory limit allowed is 6MB"
NODE_NOT_SWARM = (
    'This node is not a swarm manager. Seaway has no swarm mode yet: use "docker run" or "docker compose" instead.'
)
NODE_IN_NO_SWARM = "This node is not part of a swarm"
