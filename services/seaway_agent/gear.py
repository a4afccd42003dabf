"""What a run of a container needs of the node beyond its own spec: devices, block device numbers, links.

Read anew at each start, as Docker does: what isn't there then fails the start, and not the create.
"""

import logging
import os
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import orjson

from seaway_agent import links
from seaway_agent.oci import cdi
from seaway_agent.oci.limits import throttled
from seaway_agent.plumbing import Plumbing
from seaway_contracts.containers import ContainerSpec
from seaway_contracts.errors import internal

log = logging.getLogger(__name__)
CDI_DIRECTORIES: Final = (Path("/etc/cdi"), Path("/var/run/cdi"))


@dataclass(frozen=True)
class Gear:
    """`env` and `hosts` (address and names) come from links, `edits` from devices."""

    env: tuple[str, ...] = ()
    hosts: tuple[tuple[str, str], ...] = ()
    edits: cdi.Edits = field(default_factory=cdi.Edits)
    block_devices: dict[str, tuple[int, int]] = field(default_factory=dict)


def gather(node: Plumbing, spec: ContainerSpec) -> Gear:
    """Everything, in Docker's words where it isn't there. Raises SeawayError."""
    linked = [
        (link, links.linked(node, spec, endpoint.network, link))
        for endpoint in spec.network.endpoints
        for link in endpoint.links
    ]
    return Gear(
        env=tuple(line for _, one in linked for line in links.environment(one)),
        hosts=tuple(links.host_entry(link, one) for link, one in linked),
        edits=device_edits(spec),
        block_devices={path: _numbers(path) for path in throttled(spec.resources)},
    )


def device_edits(spec: ContainerSpec, directories: tuple[Path, ...] = CDI_DIRECTORIES) -> cdi.Edits:
    """What the asked-for devices bring with them. Raises SeawayError (500, as Docker)."""
    requests = spec.resources.device_requests
    if not requests:
        return cdi.Edits()
    found = cdi_specs(directories)
    try:
        return cdi.edits_for(cdi.names_for(requests, cdi.kinds_of(found)), found)
    except (cdi.DeviceRefused, KeyError, TypeError) as error:
        raise internal(str(error)) from error


def cdi_specs(directories: tuple[Path, ...] = CDI_DIRECTORIES) -> list[dict[str, Any]]:
    """The node's CDI files; a later directory's go before an earlier one's. What can't be read is logged."""
    found = []
    for directory in reversed(directories):
        for path in sorted((*directory.glob("*.json"), *directory.glob("*.yaml"))):
            try:
                body = _document(path)
            except (OSError, ValueError) as error:
                log.warning("the CDI file %s can't be read: %s", path, error)
                continue
            if isinstance(body, dict):
                found.append(body)
    return found


def _document(path: Path) -> object:
    """What a file says. Raises OSError, ValueError."""
    if path.suffix == ".json":
        return orjson.loads(path.read_bytes())
    import yaml  # only here: few nodes have such a file

    try:
        return yaml.safe_load(path.read_bytes())
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from error


def _numbers(path: str) -> tuple[int, int]:
    try:
        found = Path(path).stat()
    except OSError as error:
        raise internal(f"stat {path}: {(error.strerror or str(error)).lower()}") from error
    if not stat.S_ISBLK(found.st_mode):
        raise internal(f"{path} is not a block device")
    return os.major(found.st_rdev), os.minor(found.st_rdev)
