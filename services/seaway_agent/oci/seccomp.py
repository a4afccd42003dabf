"""The default seccomp filter: the distribution's profile, reduced to what Docker's allows.

Debian's `/usr/share/containers/seccomp.json` (containers-common) has Docker's profile format but lets
every container unshare, mount and use keys. Here those need the capability that Docker requires.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final

_GATED: Final[Mapping[str, tuple[str, ...]]] = {
    "CAP_SYS_ADMIN": (
        "bpf", "fanotify_init", "fsconfig", "fsmount", "fsopen", "fspick", "lookup_dcookie", "mount",
        "mount_setattr", "move_mount", "open_tree", "perf_event_open", "quotactl", "quotactl_fd", "setdomainname",
        "sethostname", "setns", "syslog", "umount", "umount2", "unshare", "clone", "clone3",
    ),
    "CAP_DAC_READ_SEARCH": ("open_by_handle_at",),
    "CAP_SYS_BOOT": ("reboot",),
    "CAP_SYS_CHROOT": ("chroot",),
    "CAP_SYS_MODULE": ("delete_module", "finit_module", "init_module"),
    "CAP_SYS_NICE": ("get_mempolicy", "mbind", "set_mempolicy", "set_mempolicy_home_node"),
    "CAP_SYS_PACCT": ("acct",),
    "CAP_SYS_PTRACE": ("kcmp", "pidfd_getfd", "process_madvise"),
    "CAP_SYS_RAWIO": ("ioperm", "iopl"),
    "CAP_SYS_TIME": ("clock_settime", "clock_settime64", "settimeofday", "stime"),
    "CAP_SYS_TTY_CONFIG": ("vhangup",),
    "CAP_SYSLOG": ("syslog",),
    "CAP_BPF": ("bpf",),
    "CAP_PERFMON": ("perf_event_open",),
}  # fmt: skip
_NEVER: Final = frozenset(
    {"keyctl", "add_key", "request_key", "io_uring_setup", "io_uring_enter", "io_uring_register", "pivot_root"}
)
_FURTHER: Final = (
    "cachestat", "futex_requeue", "futex_wait", "futex_waitv", "futex_wake", "io_pgetevents",
    "io_pgetevents_time64", "map_shadow_stack", "vmsplice",
)  # fmt: skip
_X86: Final = ("arch_prctl", "modify_ldt")
_ARM: Final = ("arm_fadvise64_64", "arm_sync_file_range", "breakpoint", "cacheflush", "set_tls", "sync_file_range2")
_ARCHITECTURES: Final = {
    "x86_64": ("SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"),
    "aarch64": ("SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"),
}
# Mount, cgroup, UTS, IPC, user, PID and network namespace (linux/sched.h).
_NAMESPACES: Final = (0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000)
_NAMESPACE_FLAGS: Final = sum(_NAMESPACES)
_EPERM: Final = 1
_ENOSYS: Final = 38
_AF_ALG: Final = 38
_AF_VSOCK: Final = 40
_PERSONALITIES: Final = (0x0, 0x8, 0x20000, 0x20008, 0xFFFFFFFF)

Rule = dict[str, Any]


def base_names(source: Mapping[str, Any]) -> frozenset[str]:
    """The calls that a profile in Docker's format allows unconditionally."""
    names: set[str] = set()
    for entry in source["syscalls"]:
        plain = not entry.get("includes") and not entry.get("excludes") and not entry.get("args")
        if entry["action"] == "SCMP_ACT_ALLOW" and plain:
            names.update(entry["names"])
    return frozenset(names)


def compile_filter(base: Collection[str], capabilities: Iterable[str], machine: str) -> dict[str, Any]:
    """The `linux.seccomp` section (OCI runtime spec, config-linux.md) for a container with these capabilities."""
    caps = set(capabilities)
    gated = {name for names in _GATED.values() for name in names}
    opened = {name for cap, names in _GATED.items() if cap in caps for name in names}
    allowed = (set(base) - gated - _NEVER) | opened | set(_FURTHER)
    allowed |= set(_X86) if machine == "x86_64" else set(_ARM)
    denied = (gated | _NEVER) - allowed - {"clone", "clone3"}
    rules: list[Rule] = [_allow(sorted(allowed))]
    rules += [_allow(["personality"], _arg(0, value, "SCMP_CMP_EQ")) for value in _PERSONALITIES]
    rules += _socket_rules()
    if "clone" not in allowed:
        rules += _clone_rules()
    rules.append({"names": sorted(denied), "action": "SCMP_ACT_ERRNO", "errnoRet": _EPERM})
    return {
        "defaultAction": "SCMP_ACT_ERRNO",
        "defaultErrnoRet": _ENOSYS,
        "architectures": list(_ARCHITECTURES.get(machine, ())),
        "syscalls": rules,
    }


def from_docker_profile(source: Mapping[str, Any], capabilities: Iterable[str], machine: str) -> dict[str, Any] | None:
    """A user's profile (`--security-opt seccomp=FILE`, Docker's format) as the OCI section.

    None for an empty one, which means no filter (moby, profiles/seccomp/seccomp_linux.go).
    """
    if not source["defaultAction"] and not source.get("syscalls"):
        return None
    caps, arch = set(capabilities), {"x86_64": "amd64", "aarch64": "arm64"}.get(machine, machine)
    rules = [_own(entry) for entry in source.get("syscalls", ()) if _applies(entry, caps, arch)]
    section: dict[str, Any] = {"defaultAction": source["defaultAction"], "syscalls": rules}
    if source.get("defaultErrnoRet") is not None:
        section["defaultErrnoRet"] = source["defaultErrnoRet"]
    section["architectures"] = source.get("architectures") or list(_ARCHITECTURES.get(machine, ()))
    return section


def _applies(entry: Mapping[str, Any], caps: set[str], arch: str) -> bool:
    includes, excludes = entry.get("includes") or {}, entry.get("excludes") or {}
    wanted_caps, wanted_arches = includes.get("caps") or (), includes.get("arches") or ()
    if wanted_caps and not set(wanted_caps) <= caps:
        return False
    if wanted_arches and arch not in wanted_arches:
        return False
    return not caps & set(excludes.get("caps") or ()) and arch not in (excludes.get("arches") or ())


def _own(entry: Mapping[str, Any]) -> Rule:
    if entry.get("name") and entry.get("names"):
        raise ValueError("both 'name' and 'names' are specified in the seccomp profile, use either 'name' or 'names'")
    names = entry.get("names") or [entry["name"]]
    rule: Rule = {"names": list(names), "action": entry["action"]}
    if entry.get("errnoRet") is not None:
        rule["errnoRet"] = entry["errnoRet"]
    if entry.get("args"):
        rule["args"] = [dict(arg) for arg in entry["args"]]
    return rule


def _allow(names: list[str], *args: Rule) -> Rule:
    rule: Rule = {"names": names, "action": "SCMP_ACT_ALLOW"}
    if args:
        rule["args"] = list(args)
    return rule


def _arg(index: int, value: int, op: str) -> Rule:
    if op == "SCMP_CMP_MASKED_EQ":
        return {"index": index, "value": value, "valueTwo": 0, "op": op}
    return {"index": index, "value": value, "op": op}


def _clone_rules() -> list[Rule]:
    """Rules against new namespaces (EPERM, as in Docker). clone3 can't be filtered: ENOSYS makes libc use clone."""
    rules = [_allow(["clone"], _arg(0, _NAMESPACE_FLAGS, "SCMP_CMP_MASKED_EQ"))]
    for flag in _NAMESPACES:
        has_it = {"index": 0, "value": flag, "valueTwo": flag, "op": "SCMP_CMP_MASKED_EQ"}
        rules.append({"names": ["clone"], "action": "SCMP_ACT_ERRNO", "errnoRet": _EPERM, "args": [has_it]})
    return [*rules, {"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": _ENOSYS}]


def _socket_rules() -> list[Rule]:
    """Rules that allow all address families but AF_ALG and AF_VSOCK; a rule may compare an argument only once."""
    return [
        _allow(["socket"], _arg(0, _AF_ALG, "SCMP_CMP_LT")),
        _allow(["socket"], _arg(0, _AF_ALG + 1, "SCMP_CMP_EQ")),
        _allow(["socket"], _arg(0, _AF_VSOCK, "SCMP_CMP_GT")),
        {
            "names": ["socket"],
            "action": "SCMP_ACT_ERRNO",
            "errnoRet": _EPERM,
            "args": [_arg(0, _AF_ALG, "SCMP_CMP_EQ")],
        },
        {
            "names": ["socket"],
            "action": "SCMP_ACT_ERRNO",
            "errnoRet": _EPERM,
            "args": [_arg(0, _AF_VSOCK, "SCMP_CMP_EQ")],
        },
    ]
