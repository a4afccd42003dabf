"""What a run needs besides its container's spec: the sum of what the hooks contribute, in their order."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from seaway_agent.oci.devices import HostDevice
from seaway_agent.oci.mounts import HostMount
from seaway_contracts.containers import Endpoint, PublishedPort

Json = dict[str, Any]
SHARED_MEMORY: Final = "shm"
"""The name of the attachment with another container's /dev/shm."""


@dataclass(frozen=True)
class Rootfs:
    """The layers of an overlay: the image's, topmost first, the container's writable one, and its work directory."""

    lowers: tuple[str, ...]
    upper: Path
    work: Path


@dataclass(frozen=True)
class Attachment:
    """A copy of a mount, attached below the bundle as `name` while the runtime creates the container.

    `clone` returns the copy's descriptor (`kernel.clones`); it runs in the launcher's thread.
    """

    name: str
    clone: Callable[[], int]


@dataclass(frozen=True)
class Contribution:
    """One hook's part, or the sum of several.

    `files`: name → content, bound over /etc. `namespaces`: OCI type → path of one to join. `env` goes before
    the user's variables, `late_env` after them. `host_names`: address and names for /etc/hosts. `runtime_hooks`: OCI's,
    by name. `block_devices`: path → major and minor number. `seccomp`: the filter as OCI has it; `annotations` has it
    compiled. `apparmor`: the profile to run under, if any.
    """

    rootfs: Rootfs | None = None
    mounts: tuple[HostMount, ...] = ()
    attachments: tuple[Attachment, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)
    namespaces: Mapping[str, str] = field(default_factory=dict)
    devices: tuple[HostDevice, ...] = ()
    env: tuple[str, ...] = ()
    late_env: tuple[str, ...] = ()
    host_names: tuple[tuple[str, str], ...] = ()
    groups: tuple[int, ...] = ()
    runtime_hooks: Mapping[str, tuple[Json, ...]] = field(default_factory=dict)
    block_devices: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    seccomp: Json | None = None
    annotations: Mapping[str, str] = field(default_factory=dict)
    apparmor: str = ""
    endpoints: tuple[Endpoint, ...] = ()
    ports: tuple[PublishedPort, ...] = ()

    def __add__(self, other: "Contribution") -> "Contribution":
        return Contribution(
            rootfs=other.rootfs or self.rootfs,
            mounts=self.mounts + other.mounts,
            attachments=self.attachments + other.attachments,
            files={**self.files, **other.files},
            namespaces={**self.namespaces, **other.namespaces},
            devices=self.devices + other.devices,
            env=self.env + other.env,
            late_env=self.late_env + other.late_env,
            host_names=self.host_names + other.host_names,
            groups=self.groups + other.groups,
            runtime_hooks=_joined(self.runtime_hooks, other.runtime_hooks),
            block_devices={**self.block_devices, **other.block_devices},
            seccomp=other.seccomp if other.seccomp is not None else self.seccomp,
            annotations={**self.annotations, **other.annotations},
            apparmor=other.apparmor or self.apparmor,
            endpoints=self.endpoints + other.endpoints,
            ports=self.ports + other.ports,
        )


def _joined(
    first: Mapping[str, tuple[Json, ...]], second: Mapping[str, tuple[Json, ...]]
) -> dict[str, tuple[Json, ...]]:
    return {name: (*first.get(name, ()), *second.get(name, ())) for name in dict.fromkeys((*first, *second))}
