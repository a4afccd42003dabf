"""A container's devices: of the host, by CDI, and the numbers of those that are throttled.

Read anew at each start, as Docker does: what isn't there then fails the start, and not the create.
"""

import os
import stat
from pathlib import Path

from seaway_agent.container.hook import RunRequest
from seaway_agent.oci import cdi
from seaway_agent.oci.limits import throttled
from seaway_agent.runtime.contribution import Contribution
from seaway_agent.runtime.host_devices import CDI_DIRECTORIES, all_devices, cdi_specs, requested_devices
from seaway_contracts.containers import ContainerSpec
from seaway_contracts.errors import internal, reason_of


class DevicesHook:
    """`directories` hold the node's CDI files."""

    def __init__(self, directories: tuple[Path, ...] = CDI_DIRECTORIES) -> None:
        self._directories = directories

    def prepare(self, request: RunRequest, before: Contribution) -> Contribution:
        """See `Hook.prepare`. Raises SeawayError (500, as Docker) for a device that isn't there."""
        spec = request.spec
        edits = device_edits(spec, self._directories)
        block_devices = {path: _numbers(path) for path in throttled(spec.resources)}
        devices = requested_devices((*spec.resources.devices, *edits.devices))
        if spec.security.privileged:
            devices = (*devices, *all_devices())
        return Contribution(
            mounts=edits.mounts,
            devices=devices,
            late_env=edits.env,
            groups=edits.groups,
            runtime_hooks=edits.hooks,
            block_devices=block_devices,
        )


def device_edits(spec: ContainerSpec, directories: tuple[Path, ...]) -> cdi.Edits:
    """What the asked-for devices bring with them. Raises SeawayError (500, as Docker)."""
    requests = spec.resources.device_requests
    if not requests:
        return cdi.Edits()
    found = cdi_specs(directories)
    try:
        return cdi.edits_for(cdi.names_for(requests, cdi.kinds_of(found)), found)
    except (cdi.DeviceRefused, KeyError, TypeError) as error:
        raise internal(str(error)) from error


def _numbers(path: str) -> tuple[int, int]:
    try:
        found = Path(path).stat()
    except OSError as error:
        raise internal(f"stat {path}: {(error.strerror or str(error)).lower()}", reason_of(error)) from error
    if not stat.S_ISBLK(found.st_mode):
        raise internal(f"{path} is not a block device")
    return os.major(found.st_rdev), os.minor(found.st_rdev)
