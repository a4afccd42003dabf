"""The nodes, as `docker info` lists them."""

import json

from e2e_rig.docker_cli import DockerCli

_BRANCH = "  └ "


def nodes_of(cli: DockerCli) -> dict[str, dict[str, str]]:
    """By node, what is said of it; its address as `Address`."""
    found: dict[str, dict[str, str]] = {}
    for key, value in json.loads(cli("info", "--format", "{{json .DriverStatus}}").out):
        if key.startswith(_BRANCH):
            list(found.values())[-1][key.removeprefix(_BRANCH)] = value
        elif key.startswith(" "):
            found[key.strip()] = {"Address": value}
    return found


def node_states(cli: DockerCli) -> dict[str, str]:
    """`up` or `down`, by node."""
    return {name: "up" if said["Status"].startswith("Healthy") else "down" for name, said in nodes_of(cli).items()}
