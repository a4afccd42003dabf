"""Which profile a container gets, and what the default one says."""

import re
from collections.abc import Iterator

import pytest

from seaway_agent.oci.apparmor import DEFAULT, UNCONFINED, label, loaded, profile_for, profile_text
from seaway_contracts.containers import Security

PRIVILEGED = Security(privileged=True)


@pytest.mark.parametrize(
    ("security", "found"),
    [
        (Security(), DEFAULT),
        (Security(apparmor=DEFAULT), DEFAULT),
        (Security(apparmor="mine"), "mine"),
        (Security(apparmor=UNCONFINED), UNCONFINED),
        (PRIVILEGED, UNCONFINED),
        (Security(privileged=True, apparmor="mine"), "mine"),
    ],
)
def test_who_gets_which(security: Security, found: str) -> None:
    assert profile_for(security, on=True, default=True) == found
    assert profile_for(security, on=False, default=False) == ""


@pytest.mark.parametrize("profile", ["", DEFAULT])
def test_no_default_where_it_can_not_be_loaded(profile: str) -> None:
    assert profile_for(Security(apparmor=profile), on=True, default=False) == ""
    assert profile_for(Security(apparmor="mine"), on=True, default=False) == "mine"


def text(agent: str = UNCONFINED, *, there: bool = True) -> str:
    return profile_text(agent, abi=there, tunables=there, base=there)


def test_includes_what_there_is() -> None:
    assert text().startswith("abi <abi/3.0>,\ninclude <tunables/global>\nprofile docker-default ")
    assert "include <abstractions/base>\n" in text()
    bare = text(there=False)
    assert bare.startswith("@{PROC}=/proc/\nprofile docker-default ") and "include" not in bare


def test_signals_of_the_agent_reach_it_whatever_it_runs_under() -> None:
    assert "signal (receive) peer=unconfined,\n" in text("seaway")
    assert "signal (receive) peer=seaway,\n" in text("seaway")
    assert text("unconfined").count("peer=unconfined") == 1
    assert text("a//&b").count("signal") == text().count("signal")


def test_containers_under_two_profiles_are_among_their_own() -> None:
    """crun stacks the profile on its own, where it has one, for a container with no-new-privileges."""
    for peer in (DEFAULT, "crun//&docker-default", "docker-default//&runc", "docker-default//&seaway"):
        assert f"signal (send, receive) peer={peer},\n" in text("seaway")
        assert f"ptrace (trace, tracedby, read, readby) peer={peer},\n" in text("seaway")
    assert "//&unconfined" not in text()


def denied(permission: str) -> Iterator[re.Pattern[str]]:
    """The paths that may not be written, say, as Python has them."""
    for pattern, permissions in re.findall(r"^deny (\S*/\S*) (\w+),$", text(), re.MULTILINE):
        if permission in permissions:
            plain = pattern.replace("@{PROC}", "/proc").replace("**", "\0").replace("*", "[^/]+").replace("\0", ".*")
            yield re.compile(plain)


def is_denied(path: str, permission: str) -> bool:
    return any(pattern.fullmatch(path) for pattern in denied(permission))


NOT_WRITTEN = """
    /proc/sysrq-trigger /proc/version /proc/bus/pci/00 /proc/sy/x /proc/sysvipc/shm /proc/system/x /proc/fs/x
    /proc/sys/vm/panic_on_oom /proc/sys/net/ipv4/ip_forward /proc/sys/kern/x /proc/sys/kernels/x
    /proc/sys/kernel/core_pattern /proc/sys/kernel/sysrq /proc/sys/kernel/sched_x
    /sys/kernel/uevent_helper /sys/f/x /sys/fx /sys/fsx/y /sys/fs/bpf/x /sys/fs/c/x /sys/fs/cgroups/x /sys/fs/cgrou/x
    /sys/firmware/efi/x /sys/kernel/security/apparmor/.load
"""
WRITTEN = """
    /proc/1/oom_score_adj /proc/977/task/977/attr/current /proc/sys/kernel/shmmax /proc/sys/kernel/shm_rmid_forced
    /sys/fs/cgroup/x/cgroup.procs /etc/passwd /system/x
"""


def test_what_can_be_written() -> None:
    assert [path for path in NOT_WRITTEN.split() if not is_denied(path, "w")] == []
    assert [path for path in WRITTEN.split() if is_denied(path, "w")] == []


def test_is_not_even_read() -> None:
    for path in ("/proc/kcore", "/sys/firmware/acpi/x", "/sys/devices/virtual/powercap/x/energy_uj"):
        assert is_denied(path, "r")
    for path in ("/proc/version", "/sys/kernel/mm/x", "/proc/sys/kernel/hostname"):
        assert not is_denied(path, "r")


def test_the_kernels_list() -> None:
    assert loaded("docker-default (enforce)\n/usr/bin/a b (complain)\nx//y (enforce)\n") == {
        DEFAULT,
        "/usr/bin/a b",
        "x//y",
    }
    assert loaded("") == frozenset()


@pytest.mark.parametrize(
    ("said", "found"),
    [("unconfined\n", UNCONFINED), ("", UNCONFINED), ("seaway (enforce)\n", "seaway"), ("a (b) (complain)\0", "a (b)")],
)
def test_a_processs_own_profile(said: str, found: str) -> None:
    assert label(said) == found
