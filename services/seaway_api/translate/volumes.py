"""Volumes: what is refused in a create body, the record that it makes, and what inspect and list show. Pure.

The sentences are those of dockerd 26.1. What depends on other volumes is metadata's to refuse.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, Final

from seaway_api.translate.network_options import parse_bool
from seaway_contracts.containers import ContainerRecord
from seaway_contracts.docker_errors import no_such_volume_driver
from seaway_contracts.errors import bad_request
from seaway_contracts.nodes import NodeRecord
from seaway_contracts.volumes import ANONYMOUS_LABEL, VolumeRecord
from seaway_docker.errors import InvalidParameter
from seaway_docker.filters import Filters
from seaway_docker.model_host import HostConfig
from seaway_docker.mounts import parse_bind
from seaway_docker.names import check_volume_name
from seaway_docker.object_filters import VolumeFacts
from seaway_docker.timestamps import SECOND, rfc3339nano
from seaway_docker.volumes import LOCAL, VolumeCreate, check_local_options

_NODE: Final = "node"
"""An option of Seaway's own: the node on which the volume is to be."""


def volume_record(body: VolumeCreate, identifier: str, created_ns: int, nodes: Iterable[str]) -> VolumeRecord:
    """The volume that a body asks for; without a name the id is its name.

    `nodes`: those that there are. Raises SeawayError for an unknown driver or node, and InvalidParameter for a name or
    options that the driver refuses.
    """
    if body.driver not in ("", LOCAL):
        raise no_such_volume_driver(body.name or identifier, body.driver)
    options = dict(body.driver_options or {})
    node = options.pop(_NODE, "")
    if body.name:
        check_volume_name(body.name)
    if node and node not in nodes:
        raise bad_request(f"create {body.name or identifier}: there is no node {node}")
    try:
        check_local_options(options)
    except InvalidParameter as error:
        raise InvalidParameter(f"create {body.name or identifier}: {error}") from None
    labels = dict(body.labels or {})
    return VolumeRecord(
        id=identifier,
        name=body.name or identifier,
        created_ns=created_ns,
        node=node,
        labels=labels if body.name else labels | {ANONYMOUS_LABEL: ""},
        options=options,
    )


def check_driver(volume: str, driver: str) -> None:
    """Raise InvalidParameter for any driver of a container's volume but the local one.

    `volume`: its name, empty for an anonymous one. Docker answers with 404, upon which its clients pull the image.
    """
    if driver not in ("", LOCAL):
        raise InvalidParameter(no_such_volume_driver(volume, driver).message)


def check_drivers(host: HostConfig, declared: Iterable[str]) -> None:
    """Raise InvalidParameter where a container's volume would need a plugin. `declared`: those of Config.Volumes."""
    if host.volume_driver not in ("", LOCAL):
        for spec in map(parse_bind, host.binds or ()):
            if spec.kind == "volume":
                check_driver(spec.source, host.volume_driver)
        for _ in declared:
            check_driver("", host.volume_driver)
    for mount in host.mounts or ():
        if mount.type == "volume" and mount.volume_options and mount.volume_options.driver_config:
            check_driver(mount.source, mount.volume_options.driver_config.name)


# --- shown


def volume_json(
    volume: VolumeRecord, places: Mapping[str, str], usage: Mapping[str, int] | None = None
) -> dict[str, Any]:
    """A volume. `places`: where each node keeps volumes; `usage`: what `system df` adds."""
    place = places.get(volume.node, "")
    fields = {
        "CreatedAt": rfc3339nano(volume.created_ns // SECOND * SECOND),
        "Driver": volume.driver,
        "Labels": volume.labels or None,
        "Mountpoint": f"{place}/{volume.name}/_data" if place else "",
        "Name": volume.name,
        "Options": volume.options or None,
        "Scope": "local",
    }
    return fields if usage is None else fields | {"UsageData": dict(usage)}


def volume_places(nodes: Iterable[NodeRecord]) -> dict[str, str]:
    """Where each node keeps volumes."""
    return {node.node: node.beat.facts.volumes for node in nodes}


def volume_facts(volume: VolumeRecord, users: Mapping[str, int]) -> VolumeFacts:
    """What filters compare. `users`: how many containers have each volume, by name."""
    return VolumeFacts(volume.name, volume.driver, volume.labels, in_use=users.get(volume.name, 0) > 0)


def volume_users(records: Iterable[ContainerRecord]) -> Counter[str]:
    """How many containers have each volume, by its name."""
    return Counter(
        name for record in records for name in {mount.source for mount in record.spec.mounts if mount.type == "volume"}
    )


def measured(volume: VolumeRecord) -> bool:
    """Whether prune and `system df` take a volume into account: Docker leaves out those with options."""
    return not volume.options


def check_all(filters: Filters) -> bool:
    """Whether a prune takes volumes with a name, too. Raises InvalidParameter."""
    values = filters.get("all")
    if len(values) > 1:
        raise InvalidParameter(f"invalid filter 'all=[{' '.join(values)}]'")
    try:
        return parse_bool(values[0]) if values else False
    except ValueError as error:
        raise InvalidParameter(f"invalid filter 'all': {error}") from None
