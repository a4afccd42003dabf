"""The default filter against the one that dockerd 26.1 made for the same capabilities."""

import json
from pathlib import Path
from typing import Any

import pytest

from seaway_agent.oci.capabilities import ALL, DEFAULT
from seaway_agent.oci.seccomp import base_names, compile_filter, from_docker_profile

PROFILE = Path("/usr/share/containers/seccomp.json")
pytestmark = pytest.mark.skipif(not PROFILE.exists(), reason="needs the package golang-github-containers-common")
# What each capability opens, read off dockerd 26.1.5.
OPENED = {
    "CAP_BPF": {"bpf"},
    "CAP_DAC_READ_SEARCH": {"open_by_handle_at"},
    "CAP_PERFMON": {"perf_event_open"},
    "CAP_SYSLOG": {"syslog"},
    "CAP_SYS_ADMIN": {
        "bpf", "clone", "clone3", "fanotify_init", "fsconfig", "fsmount", "fsopen", "fspick", "lookup_dcookie", "mount",
        "mount_setattr", "move_mount", "open_tree", "perf_event_open", "quotactl", "quotactl_fd", "setdomainname",
        "sethostname", "setns", "syslog", "umount", "umount2", "unshare",
    },
    "CAP_SYS_BOOT": {"reboot"},
    "CAP_SYS_CHROOT": {"chroot"},
    "CAP_SYS_MODULE": {"delete_module", "finit_module", "init_module"},
    "CAP_SYS_NICE": {"get_mempolicy", "mbind", "set_mempolicy", "set_mempolicy_home_node"},
    "CAP_SYS_PACCT": {"acct"},
    "CAP_SYS_PTRACE": {"kcmp", "pidfd_getfd", "process_madvise"},
    "CAP_SYS_RAWIO": {"ioperm", "iopl"},
    "CAP_SYS_TIME": {"clock_settime", "clock_settime64", "settimeofday", "stime"},
    "CAP_SYS_TTY_CONFIG": {"vhangup"},
    "CAP_NET_ADMIN": set(),
}  # fmt: skip
NEVER = {
    "keyctl", "add_key", "request_key", "io_uring_setup", "io_uring_enter", "io_uring_register", "pivot_root",
    "kexec_load", "kexec_file_load", "userfaultfd", "swapon", "swapoff", "nfsservctl", "create_module",
}  # fmt: skip


@pytest.fixture(scope="module")
def base() -> frozenset[str]:
    return base_names(json.loads(PROFILE.read_bytes()))


def allowed(section: dict[str, Any]) -> set[str]:
    """The calls that are allowed whatever their arguments are."""
    plain = [rule for rule in section["syscalls"] if rule["action"] == "SCMP_ACT_ALLOW" and not rule.get("args")]
    return {name for rule in plain for name in rule["names"]}


def rules_for(section: dict[str, Any], name: str) -> list[dict[str, Any]]:
    return [rule for rule in section["syscalls"] if name in rule["names"]]


def test_as_many_calls_as_docker_allows(base: frozenset[str]) -> None:
    assert 345 <= len(allowed(compile_filter(base, DEFAULT, "x86_64"))) <= 375


@pytest.mark.parametrize("capability", sorted(OPENED))
def test_a_capability_opens_what_docker_opens(base: frozenset[str], capability: str) -> None:
    without = allowed(compile_filter(base, (), "x86_64"))
    assert allowed(compile_filter(base, (capability,), "x86_64")) - without == OPENED[capability]


def test_without_capabilities_all_of_that_is_closed(base: frozenset[str]) -> None:
    closed = set().union(*OPENED.values()) | NEVER
    assert not closed & allowed(compile_filter(base, (), "x86_64"))


def test_some_calls_no_capability_opens(base: frozenset[str]) -> None:
    assert not NEVER & allowed(compile_filter(base, ALL, "x86_64"))


def test_clone_makes_no_namespaces_and_clone3_says_that_it_is_not_there(base: frozenset[str]) -> None:
    section = compile_filter(base, DEFAULT, "x86_64")
    plain, *denied = rules_for(section, "clone")
    assert plain["args"] == [{"index": 0, "value": 0x7E020000, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"}]
    assert sum(rule["args"][0]["valueTwo"] for rule in denied) == 0x7E020000
    assert {(rule["action"], rule["errnoRet"]) for rule in denied} == {("SCMP_ACT_ERRNO", 1)}
    (clone3,) = rules_for(section, "clone3")
    assert (clone3["action"], clone3["errnoRet"]) == ("SCMP_ACT_ERRNO", 38)


def test_every_address_family_but_two(base: frozenset[str]) -> None:
    def fits(arg: dict[str, Any], family: int) -> bool:
        tests = {
            "SCMP_CMP_LT": family < arg["value"],
            "SCMP_CMP_EQ": family == arg["value"],
            "SCMP_CMP_GT": family > arg["value"],
        }
        return tests[arg["op"]]

    table = rules_for(compile_filter(base, DEFAULT, "x86_64"), "socket")
    for family in range(64):
        actions = {rule["action"] for rule in table if fits(rule["args"][0], family)}
        assert actions == {"SCMP_ACT_ERRNO" if family in (38, 40) else "SCMP_ACT_ALLOW"}, family


@pytest.mark.parametrize("caps", [(), DEFAULT, ("CAP_SYS_ADMIN",), ALL])
def test_no_call_is_both_allowed_and_denied_and_none_twice(base: frozenset[str], caps: tuple[str, ...]) -> None:
    section = compile_filter(base, caps, "x86_64")
    denied = {
        n for r in section["syscalls"] if r["action"] != "SCMP_ACT_ALLOW" and not r.get("args") for n in r["names"]
    }
    assert not denied & allowed(section)
    for rule in section["syscalls"]:
        assert len(rule["names"]) == len(set(rule["names"]))
    assert not [rule for rule in section["syscalls"] if not rule["names"]]


def test_architectures(base: frozenset[str]) -> None:
    x86, arm = (compile_filter(base, DEFAULT, machine) for machine in ("x86_64", "aarch64"))
    assert x86["architectures"] == ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"]
    assert arm["architectures"] == ["SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"]
    assert "arch_prctl" in allowed(x86)
    assert "set_tls" in allowed(arm)


@pytest.mark.parametrize("source", [{"defaultAction": ""}, {"defaultAction": "", "syscalls": []}])
def test_a_users_profile_that_says_nothing_is_no_filter(source: dict[str, Any]) -> None:
    assert from_docker_profile(source, (), "x86_64") is None


def test_a_users_profile_is_cut_down_to_capabilities_and_machine() -> None:
    source = {
        "defaultAction": "SCMP_ACT_ERRNO",
        "defaultErrnoRet": 1,
        "syscalls": [
            {"names": ["read"], "action": "SCMP_ACT_ALLOW"},
            {"name": "old", "action": "SCMP_ACT_ALLOW"},
            {"names": ["bpf"], "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_BPF"]}},
            {"names": ["kill"], "action": "SCMP_ACT_ERRNO", "errnoRet": 3, "excludes": {"caps": ["CAP_KILL"]}},
            {"names": ["arm_thing"], "action": "SCMP_ACT_ALLOW", "includes": {"arches": ["arm64"]}},
            {"names": ["s"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 0, "value": 1, "op": "SCMP_CMP_EQ"}]},
        ],
    }
    section = from_docker_profile(source, ("CAP_BPF",), "x86_64")
    assert section == {
        "defaultAction": "SCMP_ACT_ERRNO",
        "defaultErrnoRet": 1,
        "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"],
        "syscalls": [
            {"names": ["read"], "action": "SCMP_ACT_ALLOW"},
            {"names": ["old"], "action": "SCMP_ACT_ALLOW"},
            {"names": ["bpf"], "action": "SCMP_ACT_ALLOW"},
            {"names": ["kill"], "action": "SCMP_ACT_ERRNO", "errnoRet": 3},
            {"names": ["s"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 0, "value": 1, "op": "SCMP_CMP_EQ"}]},
        ],
    }
