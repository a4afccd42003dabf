"""Containers as `GET /containers/json` shows them, and what its filters compare. Pure."""

from collections.abc import Callable
from functools import partial
from typing import Any, Final

from seaway_api.translate.networking import EndpointForm, list_ports, listed_endpoints, shown_mode
from seaway_api.translate.nodes import HOST_DOWN, NodeView
from seaway_contracts.archives import ContainerSize
from seaway_contracts.containers import ContainerRecord, ContainerSpec, ContainerStatus, Mount, State
from seaway_docker.container_filters import ContainerFacts
from seaway_docker.status import status_text

_LIVE: Final = frozenset((State.RUNNING, State.PAUSED, State.RESTARTING))


def list_json(
    record: ContainerRecord, node: NodeView | None = None, *, now_ns: int, size: ContainerSize | None = None
) -> dict[str, Any]:
    """One line of the list. `node`: what is known of the container's node; without it, its name."""
    node = node or NodeView(record.node)
    return timed_line(list_line(record, ports_address=node.ports_address), record, node, now_ns=now_ns, size=size)


def list_line(
    record: ContainerRecord, form: EndpointForm = EndpointForm.SINCE_1_45, ports_address: str = ""
) -> dict[str, Any]:
    """One line of the list, as it stays while the container doesn't change."""
    spec, status = record.spec, record.status
    annotations = {"Annotations": spec.annotations} if form.with_annotations and spec.annotations else {}
    return {
        "Id": spec.id,
        "Names": [f"/{spec.name}"],
        "Image": spec.image.ref,
        "ImageID": spec.image.id,
        "Command": command_line(spec.command.args),
        "Created": spec.created_ns // 1_000_000_000,
        "Ports": list_ports(spec, status, ports_address),
        "Labels": spec.labels,
        "State": status.state.value,
        "Status": "",
        "HostConfig": {"NetworkMode": shown_mode(spec)} | annotations,
        "NetworkSettings": {"Networks": listed_endpoints(spec, status, form)},
        "Mounts": mount_points(spec),
    }


def timed_line(
    line: dict[str, Any], record: ContainerRecord, node: NodeView, *, now_ns: int, size: ContainerSize | None = None
) -> dict[str, Any]:
    """The line as it is now; sizes that are 0 are left out, as Docker does."""
    shown = line | {"Status": state_at(record.status)(now_ns=now_ns, reachable=node.up)}
    if size is not None:
        fields = {"SizeRw": size.rw, "SizeRootFs": size.root_fs}
        shown |= {key: value for key, value in fields.items() if value}
    return shown


def state_at(status: ContainerStatus) -> Callable[..., str]:
    """The `Status` of the line as a function of the time, `now_ns`, and of whether its node is `reachable`.

    It does not keep the whole status.
    """
    text = partial(
        status_text,
        status.state.value,
        started_ns=status.started_ns or None,
        finished_ns=status.finished_ns or None,
        exit_code=status.exit_code,
        health=status.health.status if status.health else None,
    )
    return partial(_state_text, text, is_live=status.state in _LIVE)


def _state_text(text: Callable[..., str], *, is_live: bool, now_ns: int, reachable: bool = True) -> str:
    """What can't be reached may not run any more: that is said as in classic Swarm."""
    return HOST_DOWN if is_live and not reachable else text(now_ns=now_ns)


def command_line(args: tuple[str, ...]) -> str:
    """The command as one text: arguments with spaces are quoted as Docker does it."""
    if not args:
        return ""
    return " ".join((args[0], *(f"'{arg}'" if " " in arg else arg for arg in args[1:])))


def container_facts(record: ContainerRecord) -> ContainerFacts:
    """What the filters compare."""
    spec, status = record.spec, record.status
    volumes = {mount.target for mount in spec.mounts} | {mount.source for mount in spec.mounts if mount.source}
    networks = listed_endpoints(spec, status)
    return ContainerFacts(
        id=spec.id,
        names=(spec.name,),
        image_id=spec.image.id,
        labels=spec.labels,
        state=status.state.value,
        exit_code=status.exit_code,
        started=status.started_ns > 0,
        created_ns=spec.created_ns,
        health=status.health.status if status.health else "none",
        volumes=frozenset(volumes),
        networks={name: str(endpoint["NetworkID"]) for name, endpoint in networks.items()},
        published=frozenset(f"{port.host_port}/{port.protocol}" for port in status.ports),
        exposed=frozenset(spec.network.exposed_ports),
    )


def mount_points(spec: ContainerSpec) -> list[dict[str, Any]]:
    """The `Mounts` of inspect and list (MountPoint). Tmpfs mounts of `--tmpfs` aren't there, as in Docker."""
    return [_point(mount) for mount in spec.mounts if mount.listed]


def _point(mount: Mount) -> dict[str, Any]:
    point: dict[str, Any] = {"Type": mount.type}
    if mount.type == "volume":
        point |= {"Name": mount.source, "Source": mount.host_path, "Destination": mount.target, "Driver": "local"}
    else:
        point |= {"Source": mount.source, "Destination": mount.target}
    return point | {
        "Mode": mount.shown_mode,
        "RW": not mount.read_only,
        "Propagation": (mount.propagation or "rprivate") if mount.type == "bind" else "",
    }
