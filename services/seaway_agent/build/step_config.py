"""Rewrites the config.json of a RUN step as Docker would have made it: the builder's own is not trusted. Pure."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from seaway_agent.oci import capabilities, devices
from seaway_agent.oci import spec as oci

Json = dict[str, Any]
_KEPT: Final = ("args", "cwd", "user")
_HOSTNAME: Final = "HOSTNAME="
_FILES: Final = {"/etc/hosts": "hosts", "/etc/resolv.conf": "resolv.conf", "/etc/hostname": "hostname"}
_LEFT_OUT: Final = frozenset(("/run/.containerenv", *_FILES))
_CGROUP: Final = "/sys/fs/cgroup"
_BIND: Final = ("bind", "none", "")


class StepRefused(Exception):
    """A step that asks for what no step may have; the text is for the build's output."""


@dataclass(frozen=True)
class StepRules:
    """What all steps of a build get.

    `cgroup`: the path above their cgroups. `network`: the namespace to join; empty for one with a loopback alone, None
    for the host's. `files`: the directory with hosts and resolv.conf. `sources`: what binds may show. `shared`: a
    directory of them, whose entries other builds write to meanwhile: they are shown whole, or not at all. `seccomp` is
    the filter's section, `annotations` has it compiled where the runtime takes that. `limits`: OCI's resources.
    """

    cgroup: str
    network: str | None
    files: str
    sources: tuple[str, ...]
    shared: str = ""
    seccomp: Json | None = None
    annotations: Mapping[str, str] = field(default_factory=dict)
    apparmor: str = ""
    limits: Json = field(default_factory=dict)
    rlimits: Sequence[Json] = ()
    grantable: Collection[str] = capabilities.ALL
    shm_size: int = 0
    cgroup_v2: bool = False


def confined(config: Json, name: str, rules: StepRules) -> Json:
    """The config that the runtime gets. `name`: the step's container. Raises StepRefused, KeyError, TypeError."""
    asked = config["process"]
    caps = [one for one in capabilities.DEFAULT if one in rules.grantable]
    process: Json = {key: asked[key] for key in _KEPT if key in asked} | {
        "env": _environment(asked.get("env") or [], name),
        "terminal": False,
        "capabilities": {"bounding": caps, "effective": caps, "permitted": caps},
        "noNewPrivileges": False,
        "rlimits": list(rules.rlimits),
    }
    if rules.apparmor:
        process["apparmorProfile"] = rules.apparmor
    return {
        "ociVersion": "1.0.2",
        "process": process,
        "root": {"path": config["root"]["path"], "readonly": False},
        "hostname": name[:12],
        "mounts": _mounts(config.get("mounts") or [], rules),
        "annotations": dict(rules.annotations),
        "linux": _linux(config.get("linux") or {}, name, rules),
    }


def _environment(asked: list[str], name: str) -> list[str]:
    """The builder's own variables come last; the hostname is the step's."""
    return [*(text for text in asked if not text.startswith(_HOSTNAME)), f"{_HOSTNAME}{name[:12]}"]


def _linux(asked: Json, name: str, rules: StepRules) -> Json:
    linux: Json = {
        "cgroupsPath": f"{rules.cgroup}/{name}",
        "namespaces": _namespaces(asked, rules),
        "resources": {"devices": devices.default_rules(), **rules.limits},
        "maskedPaths": list(oci.MASKED),
        "readonlyPaths": list(oci.READ_ONLY),
    }
    if rules.seccomp is not None:
        linux["seccomp"] = rules.seccomp
    return linux


def _namespaces(asked: Json, rules: StepRules) -> list[Json]:
    """A step that asks for a network namespace of its own (`--network=none`) gets one without a way out."""
    found: list[Json] = [{"type": kind} for kind in ("mount", "pid", "ipc", "uts")]
    if rules.cgroup_v2:
        found.append({"type": "cgroup"})
    alone = any(one.get("type") == "network" for one in asked.get("namespaces") or [])
    if alone or rules.network == "":
        found.append({"type": "network"})
    elif rules.network is not None:
        found.append({"type": "network", "path": rules.network})
    return found


def _mounts(asked: list[Json], rules: StepRules) -> list[Json]:
    found = [_mount(one, rules) for one in asked if one["destination"] not in _LEFT_OUT]
    for target, file in _FILES.items():
        found.append(
            {"destination": target, "type": "bind", "source": f"{rules.files}/{file}", "options": ["bind", "rprivate"]}
        )
    return found


def _mount(one: Json, rules: StepRules) -> Json:
    target, kind = str(one["destination"]), str(one.get("type") or "")
    options = [str(option) for option in one.get("options") or []]
    if kind in ("sysfs", "cgroup", "cgroup2") or target.startswith(_CGROUP):
        return {**one, "options": [*(option for option in options if option not in ("rw", "ro")), "ro"]}
    if target == "/dev/shm" and kind == "tmpfs" and rules.shm_size:
        return {**one, "options": [*(o for o in options if not o.startswith("size=")), f"size={rules.shm_size}"]}
    if kind in _BIND or "bind" in options or "rbind" in options:
        _check_source(str(one.get("source") or ""), rules)
    return one


def _check_source(source: str, rules: StepRules) -> None:
    """`source`: without links, as the caller has resolved it."""
    if not any(source == place or source.startswith(place + "/") for place in rules.sources):
        raise StepRefused("a step may mount nothing of the node but its build's own files")
    if rules.shared and "/" in source.removeprefix(rules.shared + "/") and source.startswith(rules.shared + "/"):
        raise StepRefused("a step may mount a cache as a whole, and no part of it")
