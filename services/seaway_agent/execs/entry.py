"""What the keeper must know to go into a container without its runtime. Pure.

Only where that does what crun's `exec` would do; whatever isn't known here is left to the runtime. So is what would put
the keeper, whose memory the new process shares for some microseconds, into the hands of the container: one with
CAP_SYS_PTRACE could look into it, and where memory is bound to nodes the kernel may move it there.
"""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from seaway_agent.keeper.orders import Entry
from seaway_agent.kernel.seccomp_bpf import ANNOTATION
from seaway_agent.oci import capabilities
from seaway_contracts.containers import Resources

Json = dict[str, Any]
_NAMESPACES: Final = {
    "mount": 0x00020000,
    "cgroup": 0x02000000,
    "uts": 0x04000000,
    "ipc": 0x08000000,
    "pid": 0x20000000,
    "network": 0x40000000,
}
_LIMITS: Final = (
    "CPU", "FSIZE", "DATA", "STACK", "CORE", "RSS", "NPROC", "NOFILE", "MEMLOCK", "AS", "LOCKS", "SIGPENDING",
    "MSGQUEUE", "NICE", "RTPRIO", "RTTIME",
)  # fmt: skip
"""By the kernel's numbers; Python's module doesn't have all."""
_UNLIMITED: Final = (1 << 64) - 1
_OF_RUNTIMES: Final = "run.oci."
_PROCESS: Final = frozenset(
    (
        "apparmorProfile", "args", "capabilities", "cwd", "env", "noNewPrivileges", "oomScoreAdj", "rlimits",
        "terminal", "user",
    )
)  # fmt: skip
_CAPABILITIES: Final = frozenset(("bounding", "effective", "inheritable", "permitted"))
_UMASK: Final = 0o022
_SEES_ALL: Final = "CAP_SYS_PTRACE"


@dataclass(frozen=True)
class Enterable:
    """A run that can be gone into. `namespaces`: its own, as flags of setns(2). `filtered`: by a seccomp filter."""

    namespaces: int
    cgroups_path: str
    filtered: bool


def enterable(config: Json) -> Enterable | None:
    """By the configuration of a run; None where only its runtime may go into it."""
    linux, annotations = config["linux"], config.get("annotations", {})
    kinds = {namespace["type"] for namespace in linux["namespaces"]}
    shared = any(namespace["type"] == "pid" and "path" in namespace for namespace in linux["namespaces"])
    known = all(name == ANNOTATION for name in annotations if name.startswith(_OF_RUNTIMES))
    if shared or _SEES_ALL in config["process"].get("capabilities", {}).get("bounding", ()):
        return None  # who shares its processes may have that capability
    if not known or "seccomp" in linux or "mount" not in kinds or not kinds <= _NAMESPACES.keys():
        return None
    return Enterable(sum(_NAMESPACES[kind] for kind in kinds), linux["cgroupsPath"], ANNOTATION in annotations)


def is_safe(resources: Resources) -> bool:
    """Whether memory may be shared with what is in this container's cgroups."""
    return not resources.cpuset_mems


def entry_of(run: Enterable, process: Json, cgroups: Sequence[str], seccomp: str) -> Entry | None:
    """How to run that OCI process. `cgroups`: the container's directories, `seccomp`: the file with its filter."""
    env, sets = _variables(process["env"]), process.get("capabilities", {})
    if env is None or process.get("terminal") or not process.keys() <= _PROCESS or not sets.keys() <= _CAPABILITIES:
        return None
    if not _can_be_found(process["args"], env):
        return None
    user, masks = process["user"], {name: _mask(tuple(sets.get(name, ()))) for name in _CAPABILITIES}
    return Entry(
        namespaces=run.namespaces,
        cgroups=list(cgroups),
        seccomp=seccomp if run.filtered else "",
        apparmor=process.get("apparmorProfile", ""),
        args=process["args"],
        env=env,
        cwd=process["cwd"],
        uid=user["uid"],
        gid=user["gid"],
        groups=user.get("additionalGids", []),
        umask=user.get("umask", _UMASK),
        rlimits=_limits(process.get("rlimits", ())),
        no_new_privileges=process.get("noNewPrivileges", False),
        **masks,
    )


def _variables(env: Sequence[str]) -> dict[str, str] | None:
    """None for an environment that says something twice, or not as NAME=VALUE, or leaves it to the runtime where home
    is.
    """
    pairs = [item.partition("=") for item in env]
    found = {name: value for name, _, value in pairs}
    plain = len(found) == len(pairs) and all(name and equals for name, equals, _ in pairs)
    return found if plain and "HOME" in found else None


def _can_be_found(args: Sequence[str], env: Mapping[str, str]) -> bool:
    """By its path, or in a directory of the PATH; without one, or with an empty one in it, runtimes differ."""
    return bool(args) and ("/" in args[0] or all(env.get("PATH", "").split(":")))


@functools.lru_cache(maxsize=256)
def _mask(names: tuple[str, ...]) -> int:
    return capabilities.mask_of(names)


def _limits(limits: Sequence[Mapping[str, Any]]) -> list[tuple[int, int, int]]:
    return [(_number(limit["type"]), limit["soft"] & _UNLIMITED, limit["hard"] & _UNLIMITED) for limit in limits]


def _number(limit: str) -> int:
    return _LIMITS.index(limit.removeprefix("RLIMIT_"))
