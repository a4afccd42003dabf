"""Container Device Interface: names such as `vendor.com/class=name` and their edits in spec files (CDI 0.8). Pure.

Also translates requests for devices (`--gpus`) to such names.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from seaway_agent.oci.mounts import HostMount
from seaway_contracts.containers import Device, DeviceRequest
from seaway_contracts.nodes import GPU_KIND

Json = dict[str, Any]
_NAME: Final = re.compile(r"([A-Za-z][A-Za-z0-9_.-]*/[A-Za-z][A-Za-z0-9_.-]*)=([A-Za-z0-9][A-Za-z0-9_.:-]*)")
_HOOKS: Final = {
    "prestart": "prestart",
    "createRuntime": "createRuntime",
    "createContainer": "createContainer",
    "startContainer": "startContainer",
    "poststart": "poststart",
    "poststop": "poststop",
}


class DeviceRefused(ValueError):
    """A request for devices that this node can't meet; the text is Docker's."""


@dataclass(frozen=True)
class Edits:
    """The edits of a container's spec for its devices."""

    env: tuple[str, ...] = ()
    devices: tuple[Device, ...] = ()
    mounts: tuple[HostMount, ...] = ()
    hooks: Mapping[str, tuple[Json, ...]] = field(default_factory=dict)
    groups: tuple[int, ...] = ()

    def __add__(self, other: "Edits") -> "Edits":
        names = dict.fromkeys((*self.hooks, *other.hooks))
        return Edits(
            self.env + other.env,
            self.devices + other.devices,
            self.mounts + other.mounts,
            {name: self.hooks.get(name, ()) + other.hooks.get(name, ()) for name in names},
            self.groups + other.groups,
        )


def names_for(requests: Iterable[DeviceRequest], kinds: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """The CDI names that meet the requests; `kinds` are the devices there are, by kind. Raises DeviceRefused."""
    found: list[str] = []
    for request in requests:
        if request.driver == "cdi":
            if request.count:
                raise DeviceRefused("invalid count in CDI device request")
            found += request.ids
        elif request.driver in ("", "nvidia") and _wants_gpu(request) and GPU_KIND in kinds:
            found += _gpus(request, kinds[GPU_KIND])
        else:
            asked = " ".join(f"[{' '.join(together)}]" for together in request.capabilities)
            raise DeviceRefused(f'could not select device driver "{request.driver}" with capabilities: [{asked}]')
    return tuple(dict.fromkeys(found))


def _wants_gpu(request: DeviceRequest) -> bool:
    return any("gpu" in together for together in request.capabilities)


def _gpus(request: DeviceRequest, there: Sequence[str]) -> list[str]:
    if request.ids and request.count:
        raise DeviceRefused("cannot set both Count and DeviceIDs on device request")
    if request.ids:
        return [f"{GPU_KIND}={name}" for name in request.ids]
    numbered = [name for name in there if name.isdigit()]
    if request.count < 0:
        return [f"{GPU_KIND}={name}" for name in (["all"] if "all" in there else numbered or there)]
    if request.count > len(numbered):
        raise DeviceRefused(f"{request.count} GPUs are asked for, and there are {len(numbered)}")
    return [f"{GPU_KIND}={name}" for name in sorted(numbered, key=int)[: request.count]]


def kinds_of(specs: Iterable[Json]) -> dict[str, list[str]]:
    """The devices in spec files, by kind."""
    found: dict[str, list[str]] = {}
    for spec in specs:
        found.setdefault(str(spec.get("kind", "")), []).extend(str(one["name"]) for one in spec.get("devices", ()))
    return found


def edits_for(names: Sequence[str], specs: Sequence[Json]) -> Edits:
    """The edits for these devices; a file's common edits once. Raises DeviceRefused."""
    total, used, unknown = Edits(), set[int](), []
    for name in names:
        match = _NAME.fullmatch(name)
        place = None if match is None else _find(match[1], match[2], specs)
        if place is None:
            unknown.append(name)
            continue
        number, device = place
        if number not in used:
            used.add(number)
            total += _edits(specs[number].get("containerEdits") or {})
        total += _edits(device.get("containerEdits") or {})
    if unknown:
        raise DeviceRefused(f"CDI device injection failed: unresolvable CDI devices {', '.join(unknown)}")
    return total


def _find(kind: str, name: str, specs: Sequence[Json]) -> tuple[int, Json] | None:
    for number, spec in enumerate(specs):
        for device in spec.get("devices", ()) if spec.get("kind") == kind else ():
            if device.get("name") == name:
                return number, device
    return None


def _edits(section: Json) -> Edits:
    hooks: dict[str, tuple[Json, ...]] = {}
    for hook in section.get("hooks", ()):
        where = _HOOKS.get(str(hook.get("hookName")))
        if where is None:
            raise DeviceRefused(f"CDI device injection failed: invalid hook name {hook.get('hookName')!r}")
        plain = {key: hook[key] for key in ("path", "args", "env", "timeout") if key in hook}
        hooks[where] = (*hooks.get(where, ()), plain)
    return Edits(
        env=tuple(map(str, section.get("env", ()))),
        devices=tuple(_device(node) for node in section.get("deviceNodes", ())),
        mounts=tuple(_mount(mount) for mount in section.get("mounts", ())),
        hooks=hooks,
        groups=tuple(map(int, section.get("additionalGids", ()))),
    )


def _device(node: Json) -> Device:
    path = str(node["path"])
    return Device(
        host_path=str(node.get("hostPath") or path), container_path=path, permissions=node.get("permissions") or "rwm"
    )


def _mount(mount: Json) -> HostMount:
    options = tuple(map(str, mount.get("options") or ("rbind", "rprivate")))
    kind = str(mount.get("type") or "bind")
    return HostMount(str(mount["hostPath"]), str(mount["containerPath"]), options, kind)
