"""Options of create and run, each proven from inside the container."""

import json
from pathlib import Path

import pytest
from e2e_rig.api import Api
from e2e_rig.docker_cli import DockerCli

V1_MEMORY, V2_MEMORY = "/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory.max"
DEFAULT_CAPABILITIES = "00000000a80425fb"


def test_environment_and_its_order(cli: DockerCli) -> None:
    lines = cli("run", "--rm", "-h", "box", "-e", "A=1", "-e", "B=two words", "busybox", "env").lines
    assert lines[0].startswith("PATH=/usr/local/sbin:")
    given = sorted(lines[2:-1])  # the command shuffles them itself
    assert [lines[1], *given, lines[-1]] == ["HOSTNAME=box", "A=1", "B=two words", "HOME=/root"]


def test_environment_from_the_client(cli: DockerCli) -> None:
    assert "FROM_ME=here" in cli("run", "--rm", "-e", "FROM_ME", "busybox", "env", FROM_ME="here").lines


def test_working_directory_is_made(cli: DockerCli) -> None:
    assert cli("run", "--rm", "-w", "/made/for/me", "busybox", "pwd").out == "/made/for/me"


def test_working_directory_must_be_absolute(cli: DockerCli) -> None:
    result = cli.try_("create", "-w", "relative", "busybox")
    assert result.code == 1 and "needs to be an absolute path" in result.err


@pytest.mark.parametrize(
    ("user", "expected"),
    [
        ("app", "uid=1000(app) gid=1000(app) groups=1000(app),2000(extra)"),
        ("1000", "uid=1000(app) gid=1000(app) groups=1000(app),2000(extra)"),
        ("1000:2000", "uid=1000(app) gid=2000(extra) groups=2000(extra)"),
        ("app:nogroup", "uid=1000(app) gid=65534(nogroup) groups=65534(nogroup)"),
        ("4321:8765", "uid=4321 gid=8765 groups=8765"),
    ],
)
def test_user(cli: DockerCli, user: str, expected: str) -> None:
    assert cli("run", "--rm", "-u", user, "busybox", "id").out == expected


def test_unknown_user(cli: DockerCli) -> None:
    result = cli.try_("run", "--rm", "-u", "nobody-knows", "busybox", "id")
    assert result.code == 125
    assert "unable to find user nobody-knows: no matching entries in passwd file" in result.err


def test_added_groups(cli: DockerCli) -> None:
    words = ["-u", "app:app", "--group-add", "nogroup", "--group-add", "77"]
    assert set(cli("run", "--rm", *words, "busybox", "id", "-G").out.split()) == {"1000", "65534", "77"}


def test_entrypoint_replaces_both(cli: DockerCli) -> None:
    assert cli("run", "--rm", "--entrypoint", "echo", "dressed:1").out == ""
    assert cli("run", "--rm", "--entrypoint", "echo", "dressed:1", "own").out == "own"
    assert cli("run", "--rm", "dressed:1", "other").out == "dressed other"


def test_labels_are_merged_with_the_image_s(cli: DockerCli, name: str) -> None:
    cli("create", "--name", name, "-l", "a=b", "-l", "bare", "-l", "tier=mine", "dressed:1")
    labels = json.loads(cli("inspect", name, "--format", "{{json .Config.Labels}}").out)
    assert labels == {"a": "b", "bare": "", "maker": "rig", "tier": "mine"}


def test_bind_mount_is_shared_with_the_host(cli: DockerCli, tmp_path: Path) -> None:
    (tmp_path / "given").write_text("from the host")
    bind = f"{tmp_path}:/data"
    assert cli("run", "--rm", "-v", bind, "busybox", "sh", "-c", "cat /data/given; echo made > /data/new").out == (
        "from the host"
    )
    assert (tmp_path / "new").read_text() == "made\n"


def test_read_only_bind(cli: DockerCli, tmp_path: Path) -> None:
    (tmp_path / "given").write_text("kept")
    result = cli.try_("run", "--rm", "-v", f"{tmp_path}:/data:ro", "busybox", "sh", "-c", "echo x > /data/given")
    assert result.code == 1 and "Read-only file system" in result.err
    assert (tmp_path / "given").read_text() == "kept"


def test_bind_of_a_file(cli: DockerCli, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("one file")
    assert (
        cli("run", "--rm", "-v", f"{tmp_path}/file:/deep/er/file", "busybox", "cat", "/deep/er/file").out == "one file"
    )


def test_v_makes_a_missing_host_directory(cli: DockerCli, tmp_path: Path) -> None:
    cli("run", "--rm", "-v", f"{tmp_path}/not/yet:/data", "busybox", "touch", "/data/here")
    assert (tmp_path / "not/yet/here").exists()


def test_mount_refuses_a_missing_host_directory(cli: DockerCli, api: Api, tmp_path: Path) -> None:
    result = cli.try_("run", "--rm", "--mount", f"type=bind,src={tmp_path}/none,dst=/data", "busybox", "true")
    assert result.code == 125
    assert f"bind source path does not exist: {tmp_path}/none" in result.err
    assert not (tmp_path / "none").exists()
    assert api.containers() == []


def test_mount_syntax(cli: DockerCli, tmp_path: Path) -> None:
    words = ["--mount", f"type=bind,src={tmp_path},dst=/data,readonly", "--mount", "type=tmpfs,dst=/quick"]
    shown = cli("run", "--rm", *words, "busybox", "sh", "-c", "touch /quick/a; touch /data/b || ls /quick").out
    assert shown == "a"


def test_tmpfs(cli: DockerCli) -> None:
    script = "grep ' /cache ' /proc/mounts; stat -c %a /cache"
    mount, mode = cli("run", "--rm", "--tmpfs", "/cache:size=1m,mode=1770", "busybox", "sh", "-c", script).lines
    assert mount.startswith("tmpfs /cache tmpfs rw,nosuid,nodev,noexec,relatime,size=1024k,mode=1770")
    assert mode == "1770"


def test_read_only_root(cli: DockerCli) -> None:
    result = cli.try_(
        "run", "--rm", "--read-only", "--tmpfs", "/tmp", "busybox", "sh", "-c", "touch /tmp/a && touch /b"
    )
    assert result.code == 1 and "/b: Read-only file system" in result.err


def test_hostname(cli: DockerCli) -> None:
    lines = cli("run", "--rm", "-h", "box.example.org", "busybox", "sh", "-c", "hostname; cat /etc/hostname").lines
    assert lines == ["box.example.org", "box.example.org"]
    container = cli("create", "busybox", "hostname").out
    assert cli("start", "-a", container).out == container[:12]


def test_name_and_its_rules(cli: DockerCli, name: str) -> None:
    cli("create", "--name", name, "busybox")
    assert cli("inspect", name, "--format", "{{.Name}}").out == f"/{name}"
    result = cli.try_("create", "--name", "no spaces", "busybox")
    assert result.code == 1
    assert "Invalid container name (no spaces), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed" in result.err


def test_name_in_use(cli: DockerCli, api: Api, name: str) -> None:
    first = cli("create", "--name", name, "busybox").out
    result = cli.try_("run", "--name", name, "busybox", "true")
    assert result.code == 125
    expected = f'Conflict. The container name "/{name}" is already in use by container "{first}".'
    assert expected in result.err
    assert api.request("POST", f"/containers/create?name={name}", {"Image": "busybox"}).status == 409
    assert api.containers() == [first]
    cli("rm", name)
    assert cli("create", "--name", name, "busybox").out != first


def test_nameless_containers_get_a_name(cli: DockerCli) -> None:
    container = cli("create", "busybox").out
    assert "_" in cli("inspect", container, "--format", "{{.Name}}").out


def test_memory_limit(cli: DockerCli) -> None:
    script = f"cat {V2_MEMORY} 2>/dev/null || cat {V1_MEMORY}"
    assert cli("run", "--rm", "-m", "64m", "busybox", "sh", "-c", script).out == str(64 << 20)


def test_too_much_memory_is_killed(cli: DockerCli, name: str) -> None:
    limits = ["-m", "32m", "--memory-swap", "32m"]
    result = cli.try_("run", "--name", name, *limits, "busybox", "dd", "if=/dev/zero", "of=/dev/null", "bs=200M")
    shown = cli("inspect", name, "--format", "{{.State.OOMKilled}} {{.State.ExitCode}}").out
    assert (result.code, shown) == (137, "true 137")


def test_memory_limit_below_the_least(cli: DockerCli) -> None:
    result = cli.try_("create", "-m", "1m", "busybox")
    assert result.code == 1 and "Minimum memory limit allowed is 6MB" in result.err


def test_cpu_limit(cli: DockerCli) -> None:
    version_1 = "cd /sys/fs/cgroup/cpu; cat cpu.cfs_quota_us cpu.cfs_period_us"
    script = f"cat /sys/fs/cgroup/cpu.max 2>/dev/null || {{ {version_1}; }}"
    shown = cli("run", "--rm", "--cpus", "0.5", "busybox", "sh", "-c", script).out.split()
    assert shown == ["50000", "100000"]


def test_more_cpus_than_there_are(cli: DockerCli) -> None:
    result = cli.try_("create", "--cpus", "4000", "busybox")
    assert result.code == 1 and "CPUs" in result.err


def test_pids_limit(cli: DockerCli) -> None:
    script = "cat /sys/fs/cgroup/pids.max 2>/dev/null || cat /sys/fs/cgroup/pids/pids.max"
    assert cli("run", "--rm", "--pids-limit", "17", "busybox", "sh", "-c", script).out == "17"
    forks = "for n in 1 2 3 4 5 6 7 8 9; do sleep 5 & done; wait"
    result = cli.try_("run", "--rm", "--pids-limit", "5", "busybox", "sh", "-c", forks)
    assert result.code != 0 and "can't fork" in result.err


def test_default_capabilities(cli: DockerCli) -> None:
    lines = cli("run", "--rm", "busybox", "grep", "Cap", "/proc/self/status").lines
    found = dict(line.split(":\t") for line in lines)
    assert found["CapEff"] == found["CapPrm"] == found["CapBnd"] == DEFAULT_CAPABILITIES
    assert found["CapAmb"] == found["CapInh"] == "0000000000000000"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--cap-add", "NET_ADMIN"], "00000000a80435fb"),
        (["--cap-drop", "CHOWN"], "00000000a80425fa"),
        (["--cap-drop", "ALL", "--cap-add", "cap_kill"], "0000000000000020"),
        (["--cap-drop", "ALL"], "0000000000000000"),
    ],
)
def test_capabilities(cli: DockerCli, words: list[str], expected: str) -> None:
    shown = cli("run", "--rm", *words, "busybox", "grep", "CapEff", "/proc/self/status").out
    assert shown == f"CapEff:\t{expected}"


def test_unknown_capability(cli: DockerCli) -> None:
    result = cli.try_("create", "--cap-add", "FLYING", "busybox")
    assert result.code == 1 and 'invalid CapAdd: unknown capability: "CAP_FLYING"' in result.err


def test_a_user_has_no_capabilities(cli: DockerCli) -> None:
    assert cli("run", "--rm", "-u", "app", "busybox", "grep", "CapEff", "/proc/self/status").out.endswith("0" * 16)


def test_privileged(cli: DockerCli) -> None:
    script = "grep -E 'CapEff|Seccomp:' /proc/self/status; ls -d /dev/kmsg"
    shown = cli(
        "run", "--rm", "--privileged", "busybox", "sh", "-c", f"{script}; mount -t tmpfs x /tmp && echo mounted"
    ).out
    with open("/proc/self/status") as status:
        bounding = next(line.split()[1] for line in status if line.startswith("CapBnd"))
    assert f"CapEff:\t{bounding}" in shown and "Seccomp:\t0" in shown
    assert "mounted" in shown and "/dev/kmsg" in shown


def test_seccomp_is_on_and_can_be_off(cli: DockerCli) -> None:
    assert cli("run", "--rm", "busybox", "grep", "Seccomp:", "/proc/self/status").out == "Seccomp:\t2"
    words = ["--security-opt", "seccomp=unconfined"]
    assert cli("run", "--rm", *words, "busybox", "grep", "Seccomp:", "/proc/self/status").out == "Seccomp:\t0"
    result = cli.try_("run", "--rm", "busybox", "unshare", "--user", "true")
    assert result.code == 1 and "Operation not permitted" in result.err


def test_no_new_privileges(cli: DockerCli) -> None:
    assert cli("run", "--rm", "busybox", "grep", "NoNewPrivs", "/proc/self/status").out == "NoNewPrivs:\t0"
    words = ["--security-opt", "no-new-privileges"]
    assert cli("run", "--rm", *words, "busybox", "grep", "NoNewPrivs", "/proc/self/status").out == "NoNewPrivs:\t1"


def test_masked_and_read_only_paths(cli: DockerCli) -> None:
    hidden = "cat /proc/timer_list; cat /proc/keys | wc -c; ls /sys/firmware /proc/acpi 2>/dev/null | grep -v : | wc -w"
    script = f"{hidden}; echo 1 > /proc/sys/kernel/panic"
    result = cli.try_("run", "--rm", "busybox", "sh", "-c", script)
    assert result.out.split() == ["0", "0"]
    assert "/proc/sys/kernel/panic: Read-only file system" in result.err


def test_devices_and_shm(cli: DockerCli) -> None:
    expected = {"null", "zero", "full", "random", "urandom", "tty", "pts", "ptmx", "shm", "mqueue", "fd", "stdin"}
    assert expected <= set(cli("run", "--rm", "busybox", "ls", "/dev").lines)
    assert "size=65536k" in cli("run", "--rm", "busybox", "grep", " /dev/shm ", "/proc/mounts").out
    assert "size=8192k" in cli("run", "--rm", "--shm-size", "8m", "busybox", "grep", " /dev/shm ", "/proc/mounts").out


def test_device(cli: DockerCli) -> None:
    shown = cli("run", "--rm", "--device", "/dev/kmsg:/dev/mine:r", "busybox", "ls", "-l", "/dev/mine").out
    assert shown.startswith("crw") and " 1,  11 " in shown


def test_sysctl_and_ulimit(cli: DockerCli) -> None:
    assert (
        cli(
            "run",
            "--rm",
            "--sysctl",
            "net.ipv4.ip_default_ttl=33",
            "busybox",
            "sysctl",
            "-n",
            "net.ipv4.ip_default_ttl",
        ).out
        == "33"
    )
    assert cli("run", "--rm", "--ulimit", "nofile=77:88", "busybox", "sh", "-c", "ulimit -n; ulimit -Hn").lines == [
        "77",
        "88",
    ]


def test_pid_namespace_and_process_list(cli: DockerCli) -> None:
    lines = cli("run", "--rm", "busybox", "ps").lines
    assert len(lines) == 2 and lines[1].split()[0] == "1"


def test_no_open_files_but_the_three(cli: DockerCli) -> None:
    assert cli("run", "--rm", "busybox", "sh", "-c", "ls /proc/$$/fd; true").out.split() == ["0", "1", "2"]


def test_create_then_start_attached(cli: DockerCli) -> None:
    container = cli("create", "-i", "busybox", "cat").out
    assert len(container) == 64
    assert cli("start", "-ai", container, input="through\n").out == "through"


def test_cidfile(cli: DockerCli, tmp_path: Path) -> None:
    cli("run", "-d", "--cidfile", str(tmp_path / "cid"), "busybox", "true")
    assert len((tmp_path / "cid").read_text()) == 64


def test_files_written_stay_until_removal(cli: DockerCli) -> None:
    container = cli("create", "busybox", "sh", "-c", "cat /kept || echo first > /kept").out
    assert cli.try_("start", "-a", container).out == ""
    assert cli("start", "-a", container).out == "first"
