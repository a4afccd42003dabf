"""Containers and clients that mean harm: the host's programs stay as they are, others are unharmed, nothing is left."""

import base64
import json
import os
import select
import shutil
import socket
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from e2e_rig import images
from e2e_rig.api import Api, connect
from e2e_rig.docker_cli import DockerCli
from e2e_rig.engine import Engine
from e2e_rig.waits import eventually

HANG_UPS: Final = int(os.environ.get("SEAWAY_HANG_UPS", "500"))
"""How many clients hang up. 10,000 take some minutes."""

# Holds the program of every process that comes into the container, and writes to it as soon as it no longer runs.
_OVERWRITE: Final = """
touch /seen; echo watching
while :; do
  for exe in /proc/[0-9]*/exe; do
    case "$(readlink $exe)" in */busybox|"") continue;; esac
    readlink $exe >> /seen
    { for try in 1 2 3 4 5; do echo overwritten > /proc/self/fd/3 && echo $exe >> /written; done; } 3< $exe 2> /dev/null
  done
done
"""


@pytest.fixture
def programs() -> Iterator[dict[Path, bytes]]:
    """The host's programs that run in or beside containers; one that doesn't stay as it is is put back."""
    paths = [Path(path).resolve() for name in ("crun", "runc", "conmon") if (path := shutil.which(name)) is not None]
    before = {path: path.read_bytes() for path in paths}
    yield before
    for path, data in before.items():
        if path.read_bytes() != data:
            fresh = path.with_suffix(".fresh")
            fresh.write_bytes(data)
            fresh.chmod(0o755)
            fresh.replace(path)


@pytest.mark.parametrize("runtime", ["crun", "runc"])
def test_the_runtime_can_not_be_overwritten(
    cli: DockerCli, programs: dict[Path, bytes], name: str, runtime: str
) -> None:
    """CVE-2019-5736: an exec makes the runtime a process of the container for a moment, with `/proc/N/exe`."""
    cli("run", "-d", "--runtime", runtime, "--privileged", "--name", name, "busybox", "sh", "-c", _OVERWRITE)
    eventually(lambda: "watching" in cli("logs", name).out, "the attacker")
    cli("exec", name, "sh", "-c", "printf '#!/proc/self/exe\\n' > /bin/trap; chmod +x /bin/trap")
    for number in range(20):
        cli.try_("exec", name, *(["/proc/self/exe", "true"] if number % 2 else ["/bin/trap"]))
    seen = cli("exec", name, "cat", "/seen").lines
    assert {path: path.read_bytes() for path in programs} == programs, "a program of the host was overwritten"
    assert any(runtime in line or "memfd" in line for line in seen), f"the attacker never saw the runtime: {seen}"
    assert cli("run", "--rm", "--runtime", runtime, "busybox", "echo", "well").out == "well"


ALLOW_ALL: Final = base64.b64encode(struct.pack("=HBBI", 0x06, 0, 0, 0x7FFF0000)).decode()
"""A seccomp filter: BPF_RET, SECCOMP_RET_ALLOW."""


@pytest.mark.parametrize(
    ("runtime", "key", "value"),
    [
        ("crun", "run.oci.seccomp_bpf_data", ALLOW_ALL),
        ("crun", "run.oci.pidfd_receiver", "{socket}"),
        ("crun", "run.oci.handler", "wasm"),
        ("crun", "module.wasm.image/variant", "compat"),
        ("runc", "org.systemd.property.Description", "'mine'"),
        ("runc", "run.oci.seccomp_bpf_data", ALLOW_ALL),
        ("runsc", "dev.gvisor.flag.debug-log", "{socket}"),
    ],
)
def test_an_annotation_does_not_command_the_runtime(
    cli: DockerCli, name: str, e2e_directory: Path, runtime: str, key: str, value: str
) -> None:
    """crun would load that filter in place of ours, or connect to that socket as root of the host."""
    path = e2e_directory / f"r-{name}"
    value = value.format(socket=path)
    script = "unshare --user true; grep Seccomp: /proc/self/status"
    words = ["--runtime", runtime, "--name", name, "--annotation", f"{key}={value}"]
    with socket.socket(socket.AF_UNIX) as receiver:
        receiver.bind(str(path))
        receiver.listen()
        said = cli("run", *words, "busybox", "sh", "-c", script)
        assert select.select([receiver], [], [], 0)[0] == []
    if runtime != "runsc":  # its own kernel lets everybody have namespaces
        assert said.out == "Seccomp:\t2"
        assert "Operation not permitted" in said.err
    assert json.loads(cli("inspect", "-f", "{{json .HostConfig.Annotations}}", name).out) == {key: value}


def trap_archive(tag: str, target: str) -> bytes:
    """An image whose places for the runtime's mounts and files are links to a directory of the host, or FIFOs."""
    layer = images.Layer()
    layer.directory("etc")
    for name in ("dev", "proc", "sys", "etc/hosts", "etc/resolv.conf", "etc/mtab"):
        layer.link(name, f"{target}/{Path(name).name}")
    for name, file in (("passwd", "passwd"), ("group", "hosts")):
        layer.file(f"etc/.wh.{name}", b"")
        layer.link(f"etc/{name}", f"{target}/{file}")
    layer.fifo("etc/hostname")
    return images.archive([images.busybox_layer(), layer.bytes()], {"Cmd": ["sh"]}, [tag])


@pytest.fixture
def lure(e2e_directory: Path, name: str) -> Iterator[Path]:
    """A directory of the host that has what the links point to; it must stay as it is."""
    place = e2e_directory / f"lure-{name}"
    for directory in ("dev", "proc", "sys"):
        (place / directory).mkdir(parents=True)
    for file in ("hosts", "resolv.conf", "mtab", "passwd"):
        (place / file).write_text("app:x:4711:4711::/:/bin/sh\n")
    before = {path: (path.lstat().st_mode, path.lstat().st_mtime_ns) for path in place.rglob("*")}
    yield place
    assert {path: (path.lstat().st_mode, path.lstat().st_mtime_ns) for path in place.rglob("*")} == before
    shutil.rmtree(place)


@pytest.mark.seaway_only
@pytest.mark.parametrize("upwards", ["", "../../../../../../../.."])
@pytest.mark.parametrize("runtime", ["crun", "runc"])
def test_links_of_an_image_lead_nowhere(cli: DockerCli, lure: Path, name: str, runtime: str, upwards: str) -> None:
    cli("load", "-q", input=trap_archive(f"{name}:1", f"{upwards}{lure}"))
    script = "stat -c %F /dev /proc /sys /etc/hosts /etc/hostname /etc/resolv.conf; grep -c localhost /etc/hosts; id -u"
    shown = cli("run", "-d", "--runtime", runtime, "--name", name, f"{name}:1", "sh", "-c", f"{script}; exec sleep 60")
    eventually(lambda: len(cli("logs", name).lines) == 8, "the script's end")
    kinds = ["directory"] * 3 + ["regular file"] * 3
    assert (shown.code, cli("logs", name).lines[:6], cli("logs", name).lines[7]) == (0, kinds, "0")
    assert cli("exec", name, "id", "-u").out == "0"
    for words in (["run", "--rm", "--runtime", runtime, "-u", "app", f"{name}:1"], ["exec", "-u", "app", name]):
        refused = cli.try_(*words, "id", "-u")
        assert refused.code != 0 and "unable to find user app" in refused.err + refused.out
    cli("rm", "-f", name)
    cli("rmi", f"{name}:1")


@pytest.mark.seaway_only
@pytest.mark.parametrize("kind", ["p", "c 1 7", "c 10 130"])
def test_accounts_that_are_no_file_hold_up_nobody(cli: DockerCli, name: str, kind: str) -> None:
    """A device must not even be opened: the second is one that fails at each write, the third a watchdog's."""
    script = f"rm -rf /etc/passwd /etc/group; mknod /etc/passwd {kind}; mkdir /etc/group; echo set; exec sleep 60"
    cli("run", "-d", "--name", name, "busybox", "sh", "-c", script)
    eventually(lambda: "set" in cli("logs", name).out, "the trap")
    assert cli("exec", name, "echo", "in").out == "in"
    refused = cli.try_("exec", "-u", "app", name, "id")
    assert refused.code != 0 and "unable to find user app" in refused.err + refused.out
    cli("restart", "-t", "0", name)  # with the trap in place from the beginning
    assert cli("exec", "-u", "12:34", name, "grep", "Uid", "/proc/self/status").out.split()[1:] == ["12"] * 4


def test_only_three_descriptors_in_an_exec(cli: DockerCli, name: str) -> None:
    cli("run", "-d", "--name", name, "busybox", "sleep", "60")
    listed = "for fd in /proc/self/fd/*; do readlink $fd > /dev/null && echo ${fd##*/}; done; true"
    for words in (["exec"], ["exec", "-i"]):
        assert cli(*words, name, "sh", "-c", listed).lines == ["0", "1", "2"]


def test_a_bomb_of_descriptors_harms_nobody_else(cli: DockerCli, api: Api, name: str) -> None:
    """Each `tail` holds as many files as it may."""
    bomb = "tail -f $(yes /etc/passwd | head -30000) > /dev/null 2>&1 &"
    script = f"for n in 1 2 3 4; do {bomb} done; sleep 1; echo up; wait"
    cli("run", "-d", "--name", name, "--pids-limit", "50", "busybox", "sh", "-c", script)
    eventually(lambda: "up" in cli("logs", name).out, "the bomb", 30)
    assert cli("run", "--rm", "busybox", "echo", "well").out == "well"
    assert cli("exec", name, "echo", "well").out == "well"
    assert api.get("/info")["ContainersRunning"] == 1
    cli("rm", "-f", name)


@pytest.mark.seaway_only  # dockerd keeps a descriptor for each
def test_clients_that_hang_up_leave_nothing(api: Api, engine: Engine, name: str) -> None:
    """Attaches, execs and resizes in turn, each hung up upon; the census after this module finds what is left."""
    body = {"Image": "busybox", "Cmd": ["cat"], "Tty": True, "OpenStdin": True, "HostConfig": {"NetworkMode": "none"}}
    container = api.request("POST", f"/containers/create?name={name}", body).json()["Id"]
    assert api.request("POST", f"/containers/{container}/start").status == 204
    for number in range(HANG_UPS):
        match number % 4:
            case 0:
                _hang_up(api, f"/containers/{container}/attach?stream=1&stdin=1&stdout=1&logs=1", upgrade=True)
            case 1:
                made = api.request("POST", f"/containers/{container}/exec", {"Cmd": ["true"], "AttachStdout": True})
                _hang_up(api, f"/exec/{made.json()['Id']}/start", b'{"Detach":false}', upgrade=number % 8 == 1)
            case 2:
                _hang_up(api, f"/containers/{container}/resize?h={1 + number % 50}&w=80")
            case 3:
                _hang_up(api, f"/containers/{container}/attach?stream=1&stdout=1", upgrade=False)
    eventually(lambda: api.get(f"/containers/{container}/json")["ExecIDs"] is None, "the end of the execs", 60)
    assert api.get(f"/containers/{container}/json")["State"]["Running"]
    assert all(row["state"] == "ready" for row in getattr(engine, "rows", list)())


def _hang_up(api: Api, path: str, body: bytes = b"", *, upgrade: bool = False) -> None:
    """Send a request and go, before or while it is answered."""
    lines = [f"POST {path} HTTP/1.1", "Host: d", "Content-Type: application/json", f"Content-Length: {len(body)}"]
    lines += ["Connection: Upgrade", "Upgrade: tcp"] if upgrade else []
    with connect(api.path) as client:
        client.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
