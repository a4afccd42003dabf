"""`seaway doctor`: what it says of machines that lack something, from their files."""

import os
import socket
from pathlib import Path

import pytest

from seaway_cli import doctor, doctor_firewall, doctor_host, doctor_suite
from seaway_cli.doctor_finding import Finding, fail, finding_text, note, ok
from seaway_cli.doctor_host import Host
from seaway_cli.layout import Layout
from seaway_cli.main import main

RELEASE = "proc/sys/kernel/osrelease"


def put(top: Path, name: str, text: str) -> None:
    path = top / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.fixture
def host(tmp_path: Path) -> Host:
    put(tmp_path, RELEASE, "6.1.0-18-amd64\n")
    return Host(tmp_path / "data", tmp_path, path=str(tmp_path / "bin"))


def test_kernels(host: Host) -> None:
    assert doctor_host.kernel(host) == ok("kernel", "Linux 6.1.0-18-amd64")
    put(host.top, RELEASE, "5.10.0")
    assert doctor_host.kernel(host).level == "fail"
    put(host.top, RELEASE, "5.12.1")
    assert doctor_host.kernel(host).level == "ok"


def test_the_overlay_file_system_may_be_a_module(host: Host) -> None:
    put(host.top, "proc/filesystems", "nodev\tsysfs\n\text4\n")
    assert doctor_host.overlay(host).level == "fail"
    (host.top / "lib/modules/6.1.0-18-amd64/kernel/fs/overlayfs").mkdir(parents=True)
    assert doctor_host.overlay(host).level == "ok"
    put(host.top, "proc/filesystems", "nodev\tsysfs\nnodev\toverlay\n")
    assert doctor_host.overlay(host).level == "ok"


def mounted(host: Host, *lines: str) -> None:
    put(host.top, "proc/self/mountinfo", "".join(f"32 31 0:29 / {line}\n" for line in lines))


def test_cgroups(host: Host) -> None:
    mounted(host)
    assert doctor_host.cgroups(host) == fail(
        "cgroups", "no cgroups are mounted", "mount -t cgroup2 none /sys/fs/cgroup"
    )
    mounted(host, "/sys/fs/cgroup rw - cgroup2 cgroup2 rw")
    put(host.top, "sys/fs/cgroup/cgroup.controllers", "cpuset cpu io pids\n")
    found = doctor_host.cgroups(host)
    assert (found.text, found.todo) == (
        "version 2 lacks the controllers memory",
        "boot the kernel with cgroup_enable=memory",
    )
    put(host.top, "sys/fs/cgroup/cgroup.controllers", "cpuset cpu io memory pids\n")
    assert doctor_host.cgroups(host).text == "version 2, with cpu, cpuset, io, memory, pids"
    one = [f"/sys/fs/cgroup/{name} rw - cgroup cgroup rw,{name}" for name in ("cpu", "memory", "pids")]
    mounted(host, *one, "/sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw")
    assert doctor_host.cgroups(host).text == "version 1, with cpu, memory, pids"
    mounted(host, *one[1:])
    assert doctor_host.cgroups(host).level == "fail"


def test_programs_are_named_with_version_and_package(host: Host) -> None:
    put(host.top, "bin/conmon", "#!/bin/sh\necho conmon version 2.1.6\n")
    put(host.top, "bin/tini", "#!/bin/sh\necho none\n")
    for name in ("conmon", "tini"):
        os.chmod(host.top / "bin" / name, 0o755)
    put(host.top, "sys/module/apparmor/parameters/enabled", "Y\n")
    found = {one.what: one for one in doctor_host.programs(host)}
    assert found["conmon"] == ok("conmon", f"{host.top}/bin/conmon, version 2.1.6")
    assert found["init"].text.endswith("/bin/tini, of a version that it doesn't say")
    assert found["crun"] == fail("crun", "crun is missing", "it is the default runtime: install the package crun")
    assert found["docker"].level == "note" and found["apparmor"].level == "note"


def test_room(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    assert doctor_host.disk(host).text.endswith(f"MiB are free in {host.top}"), "its data isn't there yet"
    real = os.statvfs(host.top)
    values = list(real)
    values[4] = 0  # f_bavail
    monkeypatch.setattr("os.statvfs", lambda path: os.statvfs_result(values))
    assert doctor_host.disk(host).level == "fail"


def test_memory(host: Host) -> None:
    for kib, level in ((50_000, "note"), (500_000, "ok")):
        put(host.top, "proc/meminfo", f"MemTotal: 900 kB\nMemAvailable:   {kib} kB\n")
        assert doctor_host.memory(host).level == level


def test_clocks() -> None:
    assert [doctor_host.clock(state).level for state in (0, 5, -1)] == ["ok", "note", "note"]
    assert doctor_host.clock_state() in range(6)


def test_other_firewalls(tmp_path: Path) -> None:
    assert list(doctor_firewall.other_firewalls(tmp_path)) == [ok("firewall", "no other firewall is in the way")]
    put(tmp_path, "etc/ufw/ufw.conf", "# x\nENABLED=yes\n")
    (found,) = doctor_firewall.other_firewalls(tmp_path)
    assert found.level == "note" and "ufw" in found.text and "DEFAULT_FORWARD_POLICY" in found.todo


def chain(table: str, policy: str, hook: str = "forward") -> dict[str, dict[str, str]]:
    return {"chain": {"family": "ip", "table": table, "name": "FORWARD", "hook": hook, "policy": policy}}


def test_chains_that_drop_what_is_forwarded() -> None:
    ours, input_chain = chain("seaway_0a0b0c", "drop"), chain("filter", "drop", hook="input")
    assert doctor_firewall.dropping({"nftables": [{"metainfo": {}}, ours, input_chain]}) == []
    (found,) = doctor_firewall.dropping({"nftables": [chain("filter", "drop"), chain("mangle", "accept")]})
    assert "ip filter FORWARD" in found.text
    (found,) = doctor_firewall.dropping({"nftables": [chain("firewalld", "accept")] * 2})
    assert "firewalld" in found.text


def test_another_docker(tmp_path: Path) -> None:
    put(tmp_path, "run/docker.pid", "77\n")
    assert list(doctor_firewall.other_docker(tmp_path)) == []
    put(tmp_path, "proc/77/comm", "dockerd\n")
    put(tmp_path, "run/docker.sock", "")
    (found,) = doctor_firewall.other_docker(tmp_path)
    assert found.level == "note" and "pid 77" in found.text and "/run/docker.sock" in found.text


def test_a_machine_without_a_suite_is_examined(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = list(doctor.examine(Layout(tmp_path / "root", tmp_path / "run")))
    assert found[-1].level == "note" and "`seaway up` starts a suite" in found[-1].todo
    assert all(one.todo or one.level == "ok" for one in found), "each says what to do"
    code = main(["doctor", "--root", str(tmp_path / "root"), "--run", str(tmp_path / "run")])
    assert code == int(any(one.level == "fail" for one in found))
    assert f"note  suite: {tmp_path}/root has neither" in capsys.readouterr().out


def test_ports_of_metrics() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        found = doctor_suite.metrics_ports(port - 1)
        assert found.level == "fail" and f"{port} (metadata)" in found.text and "--metrics-port" in found.todo


@pytest.mark.parametrize(
    ("finding", "text"),
    [
        (ok("a", "b"), "ok    a: b"),
        (note("a", "b", "c"), "note  a: b\n      → c"),
        (fail("a", "b", "c"), "FAIL  a: b\n      → c"),
    ],
)
def test_text(finding: Finding, text: str) -> None:
    assert finding_text(finding) == text
