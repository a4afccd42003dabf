import os
from pathlib import Path

from seaway_agent.kernel.cgroup_text import CgroupLayout, CgroupMode
from seaway_agent.kernel.hostinfo import (
    parse_meminfo,
    parse_os_release,
    read_host_info,
    security_options,
)


def test_os_release_quotes() -> None:
    text = "# comment\nPRETTY_NAME=\"Debian GNU/Linux 13 (trixie)\"\nID=debian\nX='a b'\nEMPTY=\n\n"
    assert parse_os_release(text) == {
        "PRETTY_NAME": "Debian GNU/Linux 13 (trixie)",
        "ID": "debian",
        "X": "a b",
        "EMPTY": "",
    }


def test_meminfo_in_bytes() -> None:
    assert parse_meminfo("MemTotal:       100 kB\nHugePages_Total:       0\n") == {"MemTotal": 102400}


def test_security_options_as_docker_orders_them() -> None:
    assert security_options(seccomp=True, apparmor=True, cgroup_mode=CgroupMode.V2) == (
        "name=apparmor",
        "name=seccomp,profile=builtin",
        "name=cgroupns",
    )
    assert security_options(seccomp=False, apparmor=False, cgroup_mode=CgroupMode.HYBRID) == ()


def test_this_host(tmp_path: Path) -> None:
    info = read_host_info(str(tmp_path), CgroupLayout(CgroupMode.V2, {}, "/sys/fs/cgroup"))
    assert info.kernel_version == os.uname().release
    assert info.memory_total == os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert info.cpus >= 1
    assert info.operating_system
    assert info.backing_filesystem != ""
    assert "name=apparmor" not in info.security_options


def test_apparmor_is_told_where_it_is_used(tmp_path: Path) -> None:
    layout = CgroupLayout(CgroupMode.V2, {}, "/sys/fs/cgroup")
    assert "name=apparmor" in read_host_info(str(tmp_path), layout, apparmor=True).security_options
